"""What the demo says at its end: a table for people, one object for programs."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agl_core.cli.commands import duration
from agl_demo._job import counted
from agl_demo._presets import PRESETS

if TYPE_CHECKING:
    from agl_core.trainer import RunSummary

__all__ = ["as_object", "show"]


def as_object(summary: RunSummary, model: str) -> dict[str, Any]:
    """The run in one JSON object."""
    import agl_core as agl
    from agl_core.run import wall_time

    with agl.open_log(summary.log, readonly=True) as log:
        counts = counted(log, summary.run_id)
        spent = wall_time(log, summary.run_id)
    return {
        "run_id": summary.run_id,
        "log": summary.log,
        "algorithm": "grpo",
        "model": model,
        "reward_before": summary.result["reward_before"],
        "reward_after": summary.result["reward_after"],
        "difference": summary.result["difference"],
        **counts,
        "seconds": round(summary.seconds, 1),
        "time": {name: round(share, 4) for name, share in spent.shares.items()},
    }


def show(summary: RunSummary, model: str) -> None:
    """The table, and three things to do next."""
    from rich.console import Console
    from rich.table import Table

    found = as_object(summary, model)
    note = PRESETS[model].note
    title = "reward on the sealed test split, sampled as in training" + (f"\n({note})" if note else "")
    table = Table(title=title, title_justify="left")
    for column in ("policy", "mean reward", "95 % interval", "tasks"):
        table.add_column(column, justify="left" if column == "policy" else "right")
    for title, key in (("first", "reward_before"), ("last", "reward_after"), ("difference, paired", "difference")):
        table.add_row(title, *_estimate(found[key]))
    console = Console(highlight=False)
    console.print(table)
    console.print(
        f"{found['rollouts']} rollouts, {found['calls']} model calls, {found['steps']} GRPO steps "
        f"in {duration(found['seconds'])}\n"
        f"time {', '.join(f'{share:.0%} {name}' for name, share in found['time'].items())}\n"
        f"log  {found['log']}\n"
    )
    console.print("next")
    for command in (
        f"runs show {found['run_id']}",
        f"rollouts list --run {found['run_id']}",
        'log query "select type, count(*) from events group by 1"',
    ):
        console.print(f"  agl {command} --log {found['log']}", soft_wrap=True)


def _estimate(found: Mapping[str, Any]) -> tuple[str, str, str]:
    interval = "unknown" if found["ci95"] is None else f"{found['ci95'][0]:.3f} to {found['ci95'][1]:.3f}"
    return f"{found['mean']:.3f}", interval, str(found["n"])
