"""What runs have spent, added up from their logs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.events import RunConfig, RunResumed, RunStarted
from agl_core.log import SqliteLog
from agl_core.run._budget import Account, Prices, Spending

__all__ = ["SPENDING", "account", "asked", "last_limits", "spent"]


def account(log: SqliteLog, run_id: str, prices: Prices) -> Account:
    """As of the last commit."""
    found = Account()
    for model, named, requests, prompt_tokens, completion_tokens in log.rows(_SPENT, (run_id,)):
        found.calls += requests
        found.add(prompt_tokens, completion_tokens, prices.of(model, named))
    return found


def spent(log: SqliteLog, run_id: str, prices: Prices | None = None) -> Spending:
    """As of the last commit."""
    return account(log, run_id, prices or Prices()).spending


def asked(log: SqliteLog, run_id: str) -> list[dict[str, Any]]:
    """What a run asked of whom, and what it came to: the rows of `SPENDING` that are its own."""
    # Apart, because SQLite would make all of them first.
    return [dict(zip(_ASKED, row, strict=True)) for row in log.rows(_OF_RUN, (run_id,))]


def last_limits(log: SqliteLog, started: RunStarted) -> tuple[Mapping[str, float], Mapping[str, Any]]:
    """Budget and prices of a run, as they were said last."""
    config: RunConfig | RunResumed = started.config
    for record in log.read(stream=f"run/{started.run_id}", types=[RunResumed.type]):
        if isinstance(record.event, RunResumed) and (record.event.budget or record.event.prices):
            config = record.event
    return config.budget, config.prices


_CALLS = """
  select r.run_id, c.position, c.model, c.role, c.status, c.prompt_tokens, c.completion_tokens
  from rollouts r
  join attempts a on a.rollout_id = r.rollout_id
  join calls c on c.attempt_id = a.attempt_id
  union all
  select substr(e.stream, 5), c.position, c.model, c.role, c.status, c.prompt_tokens, c.completion_tokens
  from calls c
  join events e on e.position = c.position
  where c.attempt_id = ''
"""
"""Of runs: their agents', their judges', and those that stand in a run's own stream."""
_REQUESTS = "(select ifnull(json_extract(data, '$.requests'), 1) from events where events.position = c.position)"
_PLAIN = "rtrim(rtrim(model, '0123456789'), '@')"
"""`policy` of `policy@3`."""
_NAMED = f"""
  (select json_extract(data, '$.named') from events
   where type = 'endpoint.registered' and stream in ('endpoint/' || model, 'endpoint/' || {_PLAIN})
   order by length(stream) desc, position desc limit 1)
"""  # noqa: S608 - our own words
"""What a model is called where it is served."""
_SPENT = f"""
select model, ifnull({_NAMED}, ''), requests, prompt_tokens, completion_tokens
from (
  select model, sum(requests) requests, sum(prompt_tokens) prompt_tokens, sum(completion_tokens) completion_tokens
  from (select model, {_REQUESTS} requests, prompt_tokens, completion_tokens from ({_CALLS}) c where run_id = ?)
  where requests > 0
  group by model
)
"""  # noqa: S608 - our own words
# The last prices of the run, and of those the best that fits. A table in between: SQLite sorts by nothing from outside.
_PRICE = f"""
  (select value from (
    select p.value, e.position, (p.key = model) * 4 + (p.key = {_PLAIN}) * 2 + (p.key = named) fits
    from events e, json_each(e.data, iif(e.type = 'run.started', '$.config.prices', '$.prices')) p
    where e.stream = 'run/' || run_id and e.type in ('run.started', 'run.resumed')
  ) where fits > 0 order by position desc, fits desc limit 1)
"""  # noqa: S608 - our own words
_ASKED = ("model", "role", "calls", "failed", "requests", "prompt_tokens", "completion_tokens", "usd")


def _spending(of: str) -> str:
    return f"""
    (select *, (json_extract(price, '$[0]') * prompt_tokens + json_extract(price, '$[1]') * completion_tokens) / 1e6 usd
     from (
       select *, {_PRICE} price
       from (
         select *, ifnull({_NAMED}, '') named
         from (
           select run_id, model, role, count(*) calls, sum(status <> 'ok') failed, sum({_REQUESTS}) requests,
             sum(prompt_tokens) prompt_tokens, sum(completion_tokens) completion_tokens
           from ({_CALLS}) c {of}
           group by run_id, model, role
         )
       )
     ))
    """  # noqa: S608 - our own words


SPENDING = _spending("")
"""What runs asked of whom, and what it came to: a row for each run, model and role."""
_OF_RUN = f"select {', '.join(_ASKED)} from {_spending('where run_id = ?')} order by model, role"  # noqa: S608 - ours
