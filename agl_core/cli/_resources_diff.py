"""What changed between two versions: prompts line by line, settings of models field by field."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._resources_shown import interval
from agl_core.cli._tables import print_table

if TYPE_CHECKING:
    from agl_core.resources import Resource, ResourcesUpdate

__all__ = ["differences", "show_compared", "show_differences"]

_COLOURS = {"+": "green", "-": "red", "@": "cyan"}


def differences(before: ResourcesUpdate, after: ResourcesUpdate) -> dict[str, dict[str, Any]]:
    """For each name that is not the same on both sides: its fields, and the lines of its template."""
    from agl_core.resources import dump

    def fields(resource: Resource | None) -> dict[str, Any]:
        return dump(resource) if resource is not None else {}

    found = {}
    for name in sorted({*before.resources, *after.resources}):
        first, second = fields(before.resources.get(name)), fields(after.resources.get(name))
        if first == second:
            continue
        changed = {
            field: [first.get(field), second.get(field)]
            for field in {**first, **second}
            if field != "template" and first.get(field) != second.get(field)
        }
        found[name] = {
            "is_new": not first, "is_gone": not second, "fields": changed,
            "template": _lines(first.get("template"), second.get("template")),
        }  # fmt: skip
    return found


def show_differences(found: Mapping[str, Any]) -> None:
    """As `diff -u` writes it; in colours on a terminal."""
    if not found["resources"]:
        click.echo(f"{found['before']} and {found['after']} are the same", err=True)
        return
    for name, change in found["resources"].items():
        for side, mark, is_missing in (("before", "---", change["is_new"]), ("after", "+++", change["is_gone"])):
            click.echo(click.style(f"{mark} {'nothing' if is_missing else f'{found[side]} {name}'}", bold=True))
        for line in (*_settings(change), *change["template"]):
            click.echo(click.style(line, fg=_COLOURS.get(line[:1])))


def show_compared(compared: Sequence[Mapping[str, Any]]) -> None:
    """What the change earned, on the tasks that both versions were scored on; nothing, where there are none."""
    if not compared:
        return
    click.echo()
    print_table(
        ("split", "tasks", "difference", "95 %", "better", "worse"),
        [
            (
                one["mode"], one["difference"]["n"], one["difference"]["mean"], interval(one["difference"]["ci95"]),
                one["better"], one["worse"],
            )
            for one in compared
        ],
    )  # fmt: skip


def _settings(change: Mapping[str, Any]) -> Iterator[str]:
    for field, (first, second) in change["fields"].items():
        for mark, value in (("-", first), ("+", second)):
            if value is not None:
                yield f"{mark}{field}: {value if isinstance(value, str) else json.dumps(value, sort_keys=True)}"


def _lines(first: str | None, second: str | None) -> list[str]:
    # Split at "\n" alone, with what follows the last one: a template that ends in one differs from one that does not.
    before, after = ([] if text is None else text.split("\n") for text in (first, second))
    return [*difflib.unified_diff(before, after, lineterm="")][2:]
