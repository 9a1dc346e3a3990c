"""What a run came to, out of its log: the numbers that a curve is drawn from, small enough to keep."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import agl_core as agl

__all__ = ["DRAWN", "gathered"]

DRAWN = ("reward/mean", "val/reward")
"""The metrics that are kept."""
_SECOND = 1_000_000_000
_PAUSE = 600
"""No work here goes on for so many seconds without a fact."""


def gathered(sources: Iterable[Path]) -> dict[str, dict[str, Any]]:
    """Figures by the name of their proof: of logs, and of files that hold some already; runs in the order of seeds."""
    found: dict[str, dict[str, Any]] = {}
    for source in sources:
        for figures in [json.loads(source.read_text())] if source.suffix == ".json" else _read(source):
            known = found.setdefault(figures["proof"], {**figures, "runs": []})
            known["runs"] = sorted([*known["runs"], *figures["runs"]], key=lambda run: run["seed"])
    return found


def _read(log_path: Path) -> list[dict[str, Any]]:
    """Of each run of a log that is finished."""
    from examples.learning.proofs import PROOFS

    with agl.open_log(str(log_path), readonly=True) as log:
        runs = log.rows(
            "select run_id, algorithm, seed, result, started_at, ended_at from runs "
            "where status = 'finished' order by position",
            (),
        )
        return [
            {
                "proof": algorithm,
                "title": PROOFS[algorithm].title,
                "settings": _settings(log, run_id, named=PROOFS[algorithm].algorithm),
                "runs": [
                    {
                        "seed": seed,
                        "seconds": round((ended - started - _away(log)) / _SECOND),
                        "result": _result(json.loads(result)),
                        "metrics": _metrics(log, run_id),
                    }
                ],
            }
            for run_id, algorithm, seed, result, started, ended in runs
        ]


def _away(log: Any) -> int:
    """How long nobody worked on it, in nanoseconds: a run that was killed waits until it is taken up again."""
    ((away,),) = log.rows(
        "select coalesce(sum(pause), 0) from "
        "(select occurred_at - lag(occurred_at) over (order by position) as pause from events) where pause > ?",
        (_PAUSE * _SECOND,),
    )
    return int(away)


def _metrics(log: Any, run_id: str) -> list[dict[str, Any]]:
    """As `agl log query --json` prints them."""
    names = ", ".join(f"'{name}'" for name in DRAWN)
    rows = log.rows(
        f"select step, name, value from metrics where run_id = ? and name in ({names}) order by name, step",  # noqa: S608 - names of ours
        (run_id,),
    )
    return [{"step": step, "name": name, "value": round(value, 4)} for step, name, value in rows]


def _settings(log: Any, run_id: str, *, named: Iterable[str]) -> Mapping[str, Any]:
    """What the proof says of the algorithm, as the run had it; what it leaves to defaults is in the log."""
    ((config,),) = log.rows(
        "select json_extract(data, '$.algorithm.config') from events where type = 'run.started' and stream = ?",
        (f"run/{run_id}",),
    )
    used: dict[str, Any] = json.loads(config)
    return {name: used[name] for name in named}


def _result(result: Mapping[str, Any]) -> dict[str, Any]:
    kept = ("reward_before", "reward_after", "difference", "val", "verdict", "winner", "prompts", "rollouts", "chosen")
    return {key: result[key] for key in kept if key in result}
