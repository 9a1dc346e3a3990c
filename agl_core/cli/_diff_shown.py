"""What two of a kind have otherwise than each other, for people."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

import click

from agl_core.cli._resources_diff import show_compared, show_differences
from agl_core.cli._resources_shown import interval
from agl_core.cli._tables import print_table

__all__ = ["show"]

_OF_VALUE = 200


def show(found: Mapping[str, Any], *, limit: int) -> None:
    """By kind. Where nothing differs, that is said on the side."""
    if found["same"]:
        click.echo(f"{found['a']} and {found['b']} are the same", err=True)
    match found["kind"]:
        case "resource":
            if not found["same"]:
                show_differences(found)
                show_compared(found["earned"])
        case "rollout":
            _show_rollouts(found, limit)
        case "replay":
            _show_replay(found["rollouts"], limit)
        case _:
            _show_facts([*found.get("settings", ()), *found.get("facts", ())])
            if "rows" in found:
                _show_rows(found, limit)
            for split in found["splits"]:
                _show_split(split, found.get("inputs", {}), limit)


def _show_facts(facts: Sequence[Mapping[str, Any]]) -> None:
    for one in facts:
        click.echo(f"{one['what']}: {_value(one['a'])} | {_value(one['b'])}")


def _show_rows(found: Mapping[str, Any], limit: int) -> None:
    counts = found["rows"]
    click.echo(
        f"rows: {counts['a']} | {counts['b']}; {counts['same']} the same, {counts['changed']} changed, "
        f"{counts['only_a']} only in A, {counts['only_b']} only in B"
    )
    if found["fields"]:
        click.echo("fields that changed: " + ", ".join(f"{name} ({count})" for name, count in found["fields"].items()))
    for one in found["changed"][: limit or None]:
        click.echo(f"  {one['row']}: {', '.join(one['fields'])}")
    _more(len(found["changed"]), limit, "changed rows")


def _show_split(split: Mapping[str, Any], inputs: Mapping[str, str], limit: int) -> None:
    name = f"{split['split']}: " if split["split"] else ""
    if split["tasks"]:
        difference, low_high = split["difference"], interval(split["difference"]["ci95"])
        click.echo(
            f"\n{name}{split['tasks']} task(s) on both sides: {split['a']['mean']:.4g} | {split['b']['mean']:.4g}, "
            f"difference {difference['mean']:+.4g} ({low_high}, {split['interval']}); "
            f"won {split['won']}, lost {split['lost']}, tied {split['tied']}"
        )
    for kind, title in (("regressions", "worse in B"), ("improvements", "better in B")):
        rows = [
            (title, one["task"], one["a"], one["b"], one["change"], inputs.get(one["task"], ""))
            for one in split[kind][: limit or None]
        ]
        if rows:
            print_table(("", "task", "A", "B", "change", "begins"), rows)
            _more(len(split[kind]), limit, f"tasks {title}")
    for kind, title in (
        ("only_a", "only in A"),
        ("only_b", "only in B"),
        ("without_a_number", "on both sides, and not scored on both"),
    ):
        if split[kind]:
            click.echo(f"{name}{len(split[kind])} task(s) {title}:")
            for task in split[kind][: limit or None]:
                click.echo(f"  {task}  {inputs.get(task, '')}".rstrip())
            _more(len(split[kind]), limit, f"tasks {title}")


def _show_replay(rollouts: Sequence[Mapping[str, Any]], limit: int) -> None:
    """Each, and those that differ in full."""
    differing = [one for one in rollouts if not one["same"]]
    shown = [*differing, *(one for one in rollouts if one["same"])][: limit or None]
    print_table(
        ("source", "replay", "first difference"),
        [(one["a"], one["b"], one["first"]["at"] if one["first"] else "none") for one in shown],
    )
    _more(len(rollouts), limit, "rollouts")
    for one in differing[: limit or None]:
        click.echo(f"\n{one['a']}")
        _show_rollouts(one, limit)


def _show_rollouts(found: Mapping[str, Any], limit: int) -> None:
    a, b = found["sides"]
    print_table(
        ("", "A", "B"),
        [(name, a[name], b[name]) for name in ("status", "exit_status", "calls", "tool_calls", "reward")],
    )
    for number, one in enumerate(found["differences"][: limit or None]):
        title = "first difference at" if number == 0 else "then at"
        click.echo(f"\n{title} {one['at']}")
        for mark, colour, value in (("-", "red", one["a"]), ("+", "green", one["b"])):
            click.echo(click.style(f"{mark} {_value(value)}", fg=colour))
    _more(len(found["differences"]), limit, "differences")


def _value(value: Any) -> str:
    text = value if isinstance(value, str) else json.dumps(value, ensure_ascii=False, sort_keys=True, default=str)
    return text if len(text) <= _OF_VALUE else f"{text[: _OF_VALUE - 3]}..."


def _more(count: int, limit: int, what: str) -> None:
    if limit and count > limit:
        click.echo(f"  {limit} of {count} {what} are shown: --limit 0 shows all", err=True)
