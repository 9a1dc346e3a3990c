"""What the log knows of a run: the facts that `agl runs` shows."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from typing import TYPE_CHECKING, Any, cast

from agl_core.cli._words import HEADLINES, iso
from agl_core.log import Owner, Past, is_alive

if TYPE_CHECKING:
    from agl_core.events import BatchFormed, RunStarted, RunStopAsked
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["is_driven", "listed", "stop_asked", "told"]


_LAST = "(select value from metrics m where m.run_id = r.run_id and name = '{}' order by step desc limit 1)"
_LIST = f"""
select run_id, status, algorithm, agent, seed, started_at, ended_at, resumed, why, position,
  coalesce({", ".join(_LAST.format(name) for name in HEADLINES)}),
  (select count(*) from rollouts o where o.run_id = r.run_id and hidden = 0)
from runs r
order by position desc
"""  # noqa: S608 - a name of ours


def listed(log: SqliteLog) -> Iterator[dict[str, Any]]:
    """Runs, newest first."""
    dead, stopping = _abandoned(log), _asked_to_stop(log)
    for run_id, status, algorithm, agent, seed, started, ended, resumed, why, _, reward, rollouts in log.rows(_LIST):
        yield {
            "run_id": run_id,
            "status": _status(status, is_dead=run_id in dead, is_stopping=run_id in stopping),
            "algorithm": algorithm,
            "agent": agent,
            "seed": seed,
            "reward": reward,
            "rollouts": rollouts,
            "resumed": resumed,
            "why": why,
            **_times(log, run_id, started, ended, is_over=status != "running" or run_id in dead),
        }


def stop_asked(log: SqliteLog, run_id: str) -> RunStopAsked | None:
    """Who asked the run to stop first, and why; None when nobody did."""
    from agl_core.events import RunStopAsked

    found = next(iter(log.read(stream=f"run/{run_id}", types=[RunStopAsked.type], limit=1)), None)
    # Of one that was erased, there is nothing to tell.
    return found.event if found and isinstance(found.event, RunStopAsked) else None


def is_driven(log: SqliteLog, run_id: str) -> bool:
    """Whether a living process has it."""
    return run_id not in _abandoned(log)


def told(log: SqliteLog, run_id: str) -> dict[str, Any]:
    """All of one run."""
    asked = stop_asked(log, run_id)
    row = next(row for row in listed(log) if row["run_id"] == run_id)
    position, result = log.rows("select position, result from runs where run_id = ?", (run_id,))[0]
    started = cast("RunStarted", next(iter(log.read(after=position - 1, until=position))).event)
    return {
        **{name: value for name, value in row.items() if name not in {"reward", "rollouts"}},
        "stop_asked": {"why": asked.why, "by": asked.by} if asked else None,
        "config": started.algorithm.config,
        "models": started.models,
        "deterministic": started.deterministic,
        "select": started.config.select,
        "judges": {
            name: {"name": judge.name, "version": judge.version, "config": judge.config}
            for name, judge in started.config.judges.items()
        },
        "failures": started.config.failures,
        "max_failed_fraction": started.config.max_failed_fraction,
        **_spending(log, started),
        "tasks": {split: len(getattr(started, split)) for split in ("train", "val", "test")},
        "result": json.loads(result) if result else None,
        "metrics": _metrics(log, run_id),
        "batches": _batches(log, run_id),
        "policies": [
            {**policy, "folder": _folder(log, policy["checkpoint"])}
            for policy in _named(log, "policies", ("policy", "version", "checkpoint", "position"), run_id)
        ],
        "checkpoints": _named(log, "checkpoints", ("checkpoint_id", "digest", "bytes", "position"), run_id),
        "rollouts": dict(
            log.rows("select status, count(*) from rollouts where run_id = ? and hidden = 0 group by 1", (run_id,))
        ),
        "time": _time(log, run_id),
    }


def _abandoned(log: SqliteLog) -> set[str]:
    """Runs that say they run, and that no living process drives; in the past nobody is known to be dead."""
    if isinstance(log, Past):
        return set()
    held = {id_: Owner.parse(owner) for id_, owner in log.rows("select id, owner from in_flight where kind = 'run'")}
    running = [run_id for (run_id,) in log.rows("select run_id from runs where status = 'running'")]
    return {run_id for run_id in running if run_id not in held or is_alive(held[run_id]) is False}


def _asked_to_stop(log: SqliteLog) -> set[str]:
    asked = log.rows("select stream from events where type = 'run.stop_asked'")
    return {stream.removeprefix("run/") for (stream,) in asked}


def _status(status: str, *, is_dead: bool, is_stopping: bool) -> str:
    if is_dead:
        return "interrupted"
    return "stopping" if is_stopping and status == "running" else status


def _times(log: SqliteLog, run_id: str, started: int, ended: int | None, *, is_over: bool) -> dict[str, Any]:
    """A run that was killed ended with the last thing it did; one that runs has come as far as the log."""
    if ended is None:
        own = "select max(recorded_at) from events where stream = ?"
        newest = "select recorded_at from events order by position desc limit 1"
        ended = int((log.rows(own, (f"run/{run_id}",)) if is_over else log.rows(newest))[0][0])
    return {
        "started_at": iso(started),
        "ended_at": iso(ended) if is_over else None,
        "seconds": round(max(0, ended - started) / 1e9, 3),
    }


def _metrics(log: SqliteLog, run_id: str) -> dict[str, list[list[float]]]:
    found: dict[str, list[list[float]]] = {}
    for name, step, value in log.rows(
        "select name, step, value from metrics where run_id = ? order by name, step", (run_id,)
    ):
        found.setdefault(name, []).append([step, value])
    return found


def _batches(log: SqliteLog, run_id: str) -> list[dict[str, Any]]:
    """From their facts: the table has not all that they say."""
    return [_batch(record) for record in log.read(stream=f"run/{run_id}", types=["batch.formed"])]


def _batch(record: Record) -> dict[str, Any]:
    batch = cast("BatchFormed", record.event)
    names = ("batch_id", "adapter", "captured", "kept", "rows", "dropped", "masked", "zeroed", "unmatched")
    told = {name: getattr(batch, name) for name in names}
    return {**told, "rollouts": len(batch.rollouts), "position": record.position}


def _named(log: SqliteLog, table: str, columns: Sequence[str], run_id: str) -> list[dict[str, Any]]:
    sql = f"select {', '.join(columns)} from {table} where run_id = ? order by position"  # noqa: S608 - names of ours
    return [dict(zip(columns, row, strict=True)) for row in log.rows(sql, (run_id,))]


def _folder(log: SqliteLog, digest: str) -> str | None:
    from agl_core.cli._resources_weights import folder_of

    found = folder_of(log, digest)
    return str(found) if found else None


def _spending(log: SqliteLog, started: RunStarted) -> dict[str, Any]:
    """What was asked of whom, what the budget counts of it, and what that is limited to."""
    from agl_core.run import Prices, asked, last_limits, spent

    rows = asked(log, started.run_id)
    budget, prices = last_limits(log, started)
    counted = {"count": "calls", **{name: name for name in ("failed", "prompt_tokens", "completion_tokens")}}
    return {
        "budget": budget,
        "prices": prices,
        "spent": asdict(spent(log, started.run_id, Prices(prices))),
        "spending": rows,
        "calls": {name: sum(row[column] for row in rows) for name, column in counted.items()},
    }


def _time(log: SqliteLog, run_id: str) -> dict[str, float]:
    """Seconds, and the share of each thing they went into."""
    from agl_core.run import wall_time

    spent = wall_time(log, run_id)
    shares = {name: round(share, 4) for name, share in spent.shares.items()}
    return {"seconds": round(spent.seconds, 3), **shares}
