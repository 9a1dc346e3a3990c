"""`agl runs`: what was tried, and how it went."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import click

from agl_core.cli._logs import find, open_log
from agl_core.cli._options import as_json, at, log_level, log_path
from agl_core.cli._tables import facts, print_json, print_table
from agl_core.cli._words import HEADLINES, curve, duration, here, number, size

__all__ = ["runs"]


@click.group()
def runs() -> None:
    """Runs: what was tried, and how it went."""


@runs.command("list")
@at
@log_path
@as_json
@log_level
def list_runs(*, at: str | None, log_path: str | None, as_json: bool) -> None:
    """Runs of the log, newest first."""
    from agl_core.cli._stories import listed

    with open_log(log_path, at=at) as log:
        found = list(listed(log))
    if as_json:
        print_json(found)
        return
    columns = ("run", "status", "algorithm", "agent", "reward", "rollouts", "started", "took")
    print_table(
        columns,
        [
            (
                run["run_id"], run["status"], run["algorithm"], run["agent"], run["reward"], run["rollouts"],
                here(run["started_at"]), duration(run["seconds"]),
            )
            for run in found
        ],
    )  # fmt: skip


@runs.command("show")
@click.argument("run_id", metavar="[RUN]", required=False)
@at
@log_path
@as_json
@log_level
def show_run(*, run_id: str | None, at: str | None, log_path: str | None, as_json: bool) -> None:
    """One run: its numbers, batches, weights and end. RUN may be the start of an id; without one, the newest."""
    from agl_core.cli._stories import told

    with open_log(log_path, at=at) as log:
        run = told(log, find(log, "run", run_id) if run_id else _newest(log))
    if as_json:
        print_json(run)
    else:
        _show(run)


_REASONS = {
    "dropped": "dropped",
    "masked": "masked rollouts",
    "zeroed": "zeroed rollouts",
    "unmatched": "unmatched rewards",
}
"""What a batch counts by reason, and the heading of it."""
_ALWAYS = {"dropped", "masked"}
"""Shown where there is none of it, too."""


def _newest(log: Any) -> str:
    from agl_core.errors import UnknownId

    found = log.rows("select run_id from runs order by position desc limit 1")
    if not found:
        raise UnknownId("run", "newest")
    return str(found[0][0])


def _show(run: Mapping[str, Any]) -> None:
    calls = run["calls"]
    facts(
        [
            ("run", run["run_id"]),
            ("status", run["status"] + (f", resumed {run['resumed']} times" if run["resumed"] else "")),
            ("why", run["why"]),
            ("stop asked", _stop(run) or None),
            ("agent", run["agent"]),
            ("algorithm", run["algorithm"] + _words(run["config"], before="  ")),
            ("models", _words(run["models"]) or None),
            ("seed", f"{run['seed']}{', deterministic' if run['deterministic'] else ''}"),
            ("select", _select(run) or None),
            ("judges", _judges(run) or None),
            ("failures", _failures(run) or None),
            ("tasks", _words({split: count for split, count in run["tasks"].items() if count}) or None),
            ("started", f"{here(run['started_at'])}, took {duration(run['seconds'])}"),
            ("rollouts", _words(run["rollouts"]) or None),
            (
                "calls",
                (
                    f"{calls['count']}, {calls['failed']} failed; {calls['prompt_tokens']} tokens in, "
                    f"{calls['completion_tokens']} out"
                ),
            ),
            ("spent", _spent(run) or None),
            ("time", _time(run["time"]) or None),
            ("result", _words(run["result"] or {}) or None),
        ]
    )
    _show_spending(run)
    _show_metrics(run["metrics"])
    _show_batches(run["batches"])
    _show_weights(run)


def _stop(run: Mapping[str, Any]) -> str:
    asked = run["stop_asked"]
    return f"{asked['why']}{', by ' + asked['by'] if asked['by'] else ''}" if asked else ""


def _select(run: Mapping[str, Any]) -> str:
    return ", ".join(f"{column}={value}" for column, values in run["select"].items() for value in values)


def _judges(run: Mapping[str, Any]) -> str:
    return _words({name: f"{judge['name']} {judge['version']}" for name, judge in run["judges"].items()})


def _failures(run: Mapping[str, Any]) -> str:
    most = run["max_failed_fraction"]
    return "; ".join(filter(None, (_words(run["failures"]), f"at most {most:g} masked" if most < 1 else "")))


def _spent(run: Mapping[str, Any]) -> str:
    """Beside what it is limited to."""
    if not run["budget"] and not run["prices"]:
        return ""
    spent, most = run["spent"], run["budget"]
    named = [name for name in ("calls", "tokens", "usd") if name != "usd" or run["prices"]]
    return ", ".join(
        f"{number(spent[name])}{f' of {number(most[name])}' if name in most else ''} {name}" for name in named
    )


def _show_spending(run: Mapping[str, Any]) -> None:
    """On whom, where there is more to say than of one model without a price."""
    if len(run["spending"]) > 1 or run["prices"]:
        columns = ("model", "role", "calls", "failed", "requests", "prompt_tokens", "completion_tokens", "usd")
        click.echo()
        print_table(columns, [[row[name] for name in columns] for row in run["spending"]])


def _time(time: Mapping[str, float]) -> str:
    """Where it went, as far as any of it went into a model."""
    parts = {name: share for name, share in time.items() if name != "seconds"}
    return ", ".join(f"{share:.0%} {name}" for name, share in parts.items()) if parts["idle"] < 1 else ""


def _show_metrics(metrics: Mapping[str, Sequence[Sequence[float]]]) -> None:
    if not metrics:
        return
    headline = next((name for name in HEADLINES if name in metrics), None)
    if headline:
        values = [value for _, value in metrics[headline]]
        click.echo(f"\n{headline}  {number(values[0])} {curve(values)} {number(values[-1])}")
    click.echo()
    print_table(
        ("metric", "step", "last", "first", "min", "max"),
        [
            (name, int(points[-1][0]), points[-1][1], points[0][1], min(values), max(values))
            for name, points in metrics.items()
            if (values := [value for _, value in points])
        ],
    )


def _show_batches(batches: Sequence[Mapping[str, Any]]) -> None:
    if not batches:
        return
    total = {name: sum(batch[name] for batch in batches) for name in ("rollouts", "captured", "kept", "rows")}
    reasons = [name for name in _REASONS if name in _ALWAYS or any(batch[name] for batch in batches)]
    added: dict[str, Any] = {name: _added(batches, name) for name in reasons}
    click.echo(f"\nbatches: {len(batches)}; all {total['captured']} calls are accounted for")
    print_table(
        ("", *total, *(_REASONS[name] for name in reasons)),
        [
            (title, *(batch[name] for name in total), *(_words(batch[name]) or "none" for name in reasons))
            for title, batch in [("all", total | added), *((batch["batch_id"], batch) for batch in batches[-5:])]
        ],
    )
    if len(batches) > 5:
        click.echo(f"the last 5 are shown; --json shows all {len(batches)}")


def _show_weights(run: Mapping[str, Any]) -> None:
    sizes = {checkpoint["digest"]: checkpoint["bytes"] for checkpoint in run["checkpoints"]}
    if not run["policies"] and not sizes:
        return
    click.echo(f"\nweights: {len(run['policies'])} versions served, {len(sizes)} checkpoints kept")
    print_table(
        ("policy", "version", "checkpoint", "size", "folder"),
        [
            (
                policy["policy"], policy["version"], policy["checkpoint"],
                size(sizes[policy["checkpoint"]]) if policy["checkpoint"] in sizes else None, policy["folder"],
            )
            for policy in run["policies"][-5:]
        ],
    )  # fmt: skip


def _added(batches: Sequence[Mapping[str, Any]], name: str) -> dict[str, int]:
    total: dict[str, int] = {}
    for batch in batches:
        for reason, count in batch[name].items():
            total[reason] = total.get(reason, 0) + count
    return total


def _words(values: Mapping[str, Any], *, before: str = "") -> str:
    shown = ", ".join(f"{name} {_short(value)}" for name, value in values.items())
    return before + shown if shown else ""


def _short(value: Any) -> str:
    return number(value) if isinstance(value, int | float) and not isinstance(value, bool) else str(value)
