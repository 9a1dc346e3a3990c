"""What a run may cost, and what it has cost: calls, tokens, money."""

from __future__ import annotations

import math
from dataclasses import dataclass

from agl_core.errors import BadValue
from agl_core.log import SqliteLog

__all__ = ["Budget", "Spending", "spent"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Spending:
    """Of all model calls of a run, whoever made them: its agents, its judges, its algorithm."""

    calls: int = 0
    tokens: int = 0
    """Of prompts and answers, as the providers count them."""
    usd: float = 0.0
    """As far as prices are known."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Budget:
    """The most that they may come to; None is any amount."""

    calls: int | None = None
    tokens: int | None = None
    usd: float | None = None

    def __post_init__(self) -> None:
        for name in ("calls", "tokens", "usd"):
            value = getattr(self, name)
            if value is not None and (isinstance(value, bool) or not 0 < value < math.inf):
                raise BadValue(f"budget.{name}", value, why="it is a number above 0; leave it out for any amount")

    def __bool__(self) -> bool:
        return any(getattr(self, name) is not None for name in ("calls", "tokens", "usd"))

    def covers(self, spending: Spending) -> bool:
        """Whether so much is within it."""
        most = ((self.calls, spending.calls), (self.tokens, spending.tokens), (self.usd, spending.usd))
        return all(limit is None or cost <= limit for limit, cost in most)


def spent(log: SqliteLog, run_id: str) -> Spending:
    """As of the last commit."""
    rows = log.rows(_SPENT, (run_id, f"run/{run_id}"))
    calls, tokens = rows[0]
    return Spending(calls=calls, tokens=tokens)


_SPENT = """
select count(*), coalesce(sum(prompt_tokens + completion_tokens), 0)
from (
  select c.prompt_tokens, c.completion_tokens
  from calls c
  join rollouts r using (rollout_id)
  where r.run_id = ?
  union all
  select c.prompt_tokens, c.completion_tokens
  from events e
  join calls c using (position)
  where e.stream = ?
)
"""
