"""A version, for people: what it is, what it earned, its prompts whole, and what made it."""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import Any

import click

from agl_core.cli._tables import facts, print_table
from agl_core.cli._words import here, number

__all__ = ["interval", "scored", "show"]


def show(found: Mapping[str, Any], *, with_others: bool = False) -> None:
    """What `told` says of a version; what was tried and rejected on the way is counted, or shown when it is wanted."""
    promotion, examination = found["promotion"], found["examination"]
    facts(
        [
            ("resource", f"{found['resources_id']}@{found['version']}"),
            ("run", found["run_id"]),
            ("parent", found["parent"]),
            ("created", here(found["created_at"])),
            ("best", {"now": "yes", "before": "it was"}.get(found["promoted"], "no")),
            ("promoted", promotion and f"{here(promotion['at'])}, by {promotion['by']}"),
            ("because", (promotion and promotion["why"]) or None),
            ("run tested", examination and _examined(examination)),
        ]
    )  # fmt: skip
    _show_earned(found["earned"])
    for name, resource in found["resources"].items():
        _show_resource(name, resource, wants=found["placeholders"].get(name))
    _show_lineage(found["lineage"])
    _show_tried(found["tried"], is_whole=with_others)
    _show_rejected(found["rejected"], is_whole=with_others)


def scored(earned: Mapping[str, Any] | None) -> tuple[float | None, str | None]:
    """The mean, and of what."""
    return (earned["mean"], f"{earned['tasks']} {earned['mode'] or 'other'} tasks") if earned else (None, None)


def _show_earned(earned: Sequence[Mapping[str, Any]]) -> None:
    if not earned:
        click.echo("\nno rollout has ended with it")
        return
    click.echo()
    print_table(
        ("split", "rollouts", "tasks", "reward", "95 %", "masked", "unscored"),
        [
            (
                one["mode"], one["rollouts"], one["tasks"], one["mean"], interval(one["ci95"]), one["masked"],
                one["unscored"],
            )
            for one in earned
        ],
    )  # fmt: skip


def _show_resource(name: str, resource: Mapping[str, Any], *, wants: Sequence[str] | None) -> None:
    title = click.style(name, bold=True)
    if resource["resource_type"] != "prompt_template":
        click.echo(f"\n{title}  {resource['resource_type']}")
        facts((field, value) for field, value in resource.items() if field != "resource_type")
        return
    wanted = "its placeholders cannot be read" if wants is None else f"wants {', '.join(wants) or 'nothing'}"
    click.echo(f"\n{title}  prompt, {resource['engine']}, {wanted}\n")
    click.echo(textwrap.indent(resource["template"], "  "))


def _show_lineage(lineage: Sequence[Mapping[str, Any]]) -> None:
    click.echo("\nlineage")
    for one in lineage:
        _show_one(one, "best" if one["promoted"] == "now" else None)


def _show_one(one: Mapping[str, Any], note: str | None) -> None:
    reward, of = scored(one["earned"])
    parts = (one["name"], note, f"{number(reward)} on {of}" if of else None)
    click.echo("  " + "  ".join(part for part in parts if part))
    if one["why"]:
        click.echo(textwrap.indent(one["why"], "    "))


def _show_tried(tried: Sequence[Mapping[str, Any]], *, is_whole: bool) -> None:
    if not tried:
        return
    click.echo(f"\ntried beside: {len(tried)}" + ("" if is_whole else "; --lineage shows them"))
    for one in tried if is_whole else ():
        _show_one(one, f"from {one['parent']}")


def _show_rejected(rejected: Sequence[Mapping[str, Any]], *, is_whole: bool) -> None:
    if not rejected:
        return
    click.echo(f"\nrejected on the way: {len(rejected)}" + ("" if is_whole else "; --lineage shows them"))
    for one in rejected if is_whole else ():
        click.echo(f"  from {one['parent']}: {one['reason']}, {one['detail']}")
        for heading, text in (("critique", one["why"]), ("text", one["text"])):
            if text:
                click.echo(f"    {heading}\n{textwrap.indent(text, '      ')}")


def _examined(examination: Mapping[str, Any]) -> str:
    before, after = (examination.get(name) for name in ("reward_before", "reward_after"))
    difference = examination["difference"]
    sides = f"{number(before['mean'])} before, {number(after['mean'])} after; " if before and after else ""
    return f"{sides}difference {difference['mean']:+.4g} {interval(difference['ci95']) or ''}, {difference['n']} tasks"


def interval(ci95: Sequence[float] | None) -> str | None:
    """Its ends; None where it is not known."""
    return f"[{ci95[0]:.4g}, {ci95[1]:.4g}]" if ci95 else None
