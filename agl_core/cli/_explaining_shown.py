"""A batch explained, for people. Numbers are whole: what is printed can be added again."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import click

from agl_core.cli._tables import print_table

__all__ = ["show"]


def show(told: Mapping[str, Any]) -> None:
    """One batch, and what is explained of it."""
    click.echo(f"{_bold('batch')} {told['batch_id'] or '(nobody formed it)'}, by {told.get('by') or told['adapter']}")
    click.echo(f"of the log up to position {told['as_of']}{_policy(told)}")
    if "error" in told:
        click.echo(f"cannot be made again: {told['error']['message']}\n")
        return
    if told["options"] is None:
        click.echo("what its adapter was told is not recorded: it is made again with what is usual")
    if told["agrees"] is not None:
        same = "the same rows as were recorded" if told["agrees"] else "NOT the rows that were recorded"
        click.echo(f"made again: {same}")
    size = told["size"]
    kept = f"{size['kept']} of them in {_counted(size['rows'], 'row')}"
    click.echo(f"{_counted(size['rollouts'], 'rollout')}, {_counted(size['captured'], 'call')}, {kept}")
    for rollout in told["explained"]:
        _show_rollout(rollout)
    click.echo()


def _show_rollout(rollout: Mapping[str, Any]) -> None:
    ended = f"{rollout['status']} ({rollout['exit_status']})" if rollout["exit_status"] else rollout["status"]
    masked = f", masked: {rollout['mask']}" if rollout["mask"] else ""
    zero = ", counted as zero" if rollout["treated"] == "zero" else ""
    click.echo(f"\n{_bold('rollout')} {rollout['rollout_id']}, repeat {rollout['repeat']}, {ended}{masked}{zero}")
    before: tuple[str, Any] = ("", None)
    for row in rollout["rows"]:
        _show_row(row)
        for call in row["calls"]:
            before = _show_call(call, rollout["agents"].get(call["call_id"]), before)
    if rollout["kept"]:
        click.echo(f"\n  {_bold('rows')} that do not say which calls they are made of")
    for call in rollout["kept"]:
        before = _show_call(call, rollout["agents"].get(call["call_id"]), before)
    for dropped in rollout["dropped"]:
        means = f": {dropped['means']}" if dropped["means"] else ""
        click.echo(f"\n  {_bold('no row')} of call {dropped['call_id']}, {dropped['reason']}{means}")
        if dropped["credit"] is not None:
            click.echo(f"    it would have earned {dropped['credit']!r}")
    for others in rollout["beside"]:
        click.echo(f"\n  {_bold('not looked at')}: {_counted(len(others['calls']), 'call')}, {others['why']}")
    if rollout["rewards"]:
        click.echo(f"\n  {_bold('rewards')}")
        print_table(
            ("  reward", "name", "value", "judge", "of", "counts", "why"),
            [
                (
                    f"  {one['reward_id']}", one["name"], _whole(one["value"]), one["judge"],
                    f"{one['target']['kind']} {one['target']['id']}",
                    _standing(one), one["why"],
                )
                for one in rollout["rewards"]
            ],
        )  # fmt: skip


def _show_row(row: Mapping[str, Any]) -> None:
    if "length" not in row:
        click.echo(f"\n  {_bold('row')} {row['row']}")
        return
    click.echo(
        f"\n  {_bold('row')} {row['row']}: {row['length']} tokens, {row['prompt_length']} of the prompt, "
        f"{row['sampled']} sampled, {row['put_between']} put between"
    )
    differs = f", from token {row['differs_at']} on" if row["differs_at"] is not None else ""
    click.echo(f"    begins here: {row['began']}{': ' if row['means'] else ''}{row['means'] or ''}{differs}")


def _show_call(call: Mapping[str, Any], agent: str | None, before: tuple[str, Any]) -> tuple[str, Any]:
    """Print it; what to compare the next with."""
    place = f", tokens {call['tokens'][0]} to {call['tokens'][1] - 1}" if "tokens" in call else ""
    version = "" if call.get("policy_version") is None else f", policy version {call['policy_version']}"
    by = f" by {agent}" if agent else ""
    click.echo(f"    {_bold('call')} {call['call_id']}{by}{place}{version}")
    if call["credit"] is None:
        click.echo("      no credit")
    elif call["terms"] == before[1]:
        click.echo(f"      earned {call['credit']!r} by {call['rule']}: the same sum as {before[0]}")
    else:
        click.echo(f"      earned {call['credit']!r} by {call['rule']}, the sum of")
        for term in call["terms"]:
            _show_term(term)
    if "in_row" in call and call["in_row"] != call["credit"]:
        click.echo(f"      the row says {call['in_row']!r}: its adapter made something else of it")
    return call["call_id"], call["terms"]


def _show_term(term: Mapping[str, Any]) -> None:
    of = f"reward {term['reward_id']} of {term['rollout_id']}" if term["reward_id"] else f"of {term['rollout_id']}"
    named = "" if term["name"] == "primary" else f", {term['name']}"
    click.echo(f"        {term['weight']!r} * {term['value']!r}  {term['why']}; {of} by {term['judge']}{named}")


def _standing(one: Mapping[str, Any]) -> str:
    if not one["counts"]:
        return f"no: {one['standing']}"
    return f"for {_counted(one['calls'], 'call')}" if one["calls"] else "yes"


def _whole(value: float | None) -> str | None:
    """Not as a table cuts it."""
    return None if value is None else repr(value)


def _policy(told: Mapping[str, Any]) -> str:
    select = "".join(f", only {column} {' or '.join(values)}" for column, values in told["select"].items())
    failures = ", ".join(f"{ended}: {what}" for ended, what in told["failures"].items())
    return select + (f", with {failures}" if failures else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _bold(word: str) -> str:
    return click.style(word, bold=True)
