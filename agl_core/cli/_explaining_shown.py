"""A batch explained, for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click

from agl_core.cli._explaining_sums import exact, lines
from agl_core.cli._tables import print_table

__all__ = ["show"]

_ALL = "--limit 0 shows all"


def show(told: Mapping[str, Any], *, kind: str, id_: str, limit: int) -> None:
    """One batch, and what is explained of it; of each list so many, or all for 0. What was asked for is that `id_`."""
    by = told.get("by") or told["adapter"]
    batch = f"{_bold('batch')} {told['batch_id']}, by {by}"
    click.echo(batch if told["batch_id"] else f"{_bold('no batch')}: as {by} would have it")
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
        _Rollout(rollout, limit, asked=id_ if kind == "reward" else None).show()
    if kind == "batch" and len(told["explained"]) < size["rollouts"]:
        click.echo(f"\n{len(told['explained'])} of {size['rollouts']} rollouts: {_ALL}")
    click.echo()


@dataclass(slots=True)
class _Rollout:
    told: Mapping[str, Any]
    limit: int
    asked: str | None
    """The reward that is asked for: it is the first of the table."""
    before: tuple[str, Any] = ("", None)
    """The call that was shown last, and its terms."""

    def show(self) -> None:
        told = self.told
        ended = f"{told['status']} ({told['exit_status']})" if told["exit_status"] else told["status"]
        masked = f", masked: {told['mask']}" if told["mask"] else ""
        zero = ", counted as zero" if told["treated"] == "zero" else ""
        click.echo(f"\n{_bold('rollout')} {told['rollout_id']}, repeat {told['repeat']}, {ended}{masked}{zero}")
        self._show_rows()
        if told["kept"]:
            nor = "" if any(call["terms"] for call in told["kept"]) else ", nor what each earned"
            click.echo(f"\n  {_bold('rows')} that do not say which calls they are made of{nor}")
            self._show_calls(told["kept"])
        for (reason, means), calls in _by_reason(told["dropped"]).items():
            click.echo(
                f"\n  {_bold('no row')} of {_counted(len(calls), 'call')}, {reason}{f': {means}' if means else ''}"
            )
            self._show_calls(calls, earned="it would have earned")
        if told["chain"]:
            click.echo(f"\n  {_bold('what came after')}: {_counted(len(told['chain']), 'call')} that it has a share of")
            self._show_calls(told["chain"])
        for others in told["beside"]:
            click.echo(f"\n  {_bold('not looked at')}: {_counted(len(others['calls']), 'call')}, {others['why']}")
        if told["rewards"]:
            self._show_rewards()

    def _show_rows(self) -> None:
        calls = [(row, call) for row in self.told["rows"] for call in row["calls"] or (None,)]
        shown = calls[: self.limit or None]
        last = None
        for row, call in shown:
            if row is not last:
                _show_row(row)
            if call is not None:
                self._show_call(call)
                if call["credit"] is None:
                    click.echo("      no credit")
            last = row
        if len(shown) < len(calls):
            click.echo(f"\n  {len(shown)} of {len(calls)} calls in rows: {_ALL}")

    def _show_calls(self, calls: Sequence[Mapping[str, Any]], *, earned: str = "earned") -> None:
        shown = calls[: self.limit or None]
        for call in shown:
            self._show_call(call, earned=earned)
        if len(shown) < len(calls):
            click.echo(f"    {len(shown)} of {len(calls)}: {_ALL}")

    def _show_call(self, call: Mapping[str, Any], *, earned: str = "earned") -> None:
        agent = self.told["agents"].get(call["call_id"])
        place = f", tokens {call['tokens'][0]} to {call['tokens'][1] - 1}" if "tokens" in call else ""
        version = "" if call.get("policy_version") is None else f", policy version {call['policy_version']}"
        by = f" by {agent}" if agent else ""
        click.echo(f"    {_bold('call')} {call['call_id']}{by}{place}{version}")
        if call["credit"] is not None:
            self._show_sum(call, earned)
        if "in_row" in call and call["in_row"] != call["credit"]:
            click.echo(f"      the row says {exact(call['in_row'])}: its adapter made something else of it")
        self.before = call["call_id"], call["terms"]

    def _show_sum(self, call: Mapping[str, Any], earned: str) -> None:
        by = f"{earned} {exact(call['credit'])} by {call['rule']}"
        if call["terms"] == self.before[1]:
            click.echo(f"      {by}: the same sum as {self.before[0]}")
            return
        click.echo(f"      {by}, the sum of")
        for line in lines(call["terms"], rollout_id=self.told["rollout_id"], limit=self.limit):
            click.echo(f"        {line}")

    def _show_rewards(self) -> None:
        rewards = sorted(self.told["rewards"], key=lambda one: bool(one["reward_id"] != self.asked))
        shown = rewards[: self.limit or None]
        click.echo(f"\n  {_bold('rewards')}")
        print_table(
            ("  reward", "name", "value", "judge", "of", "counts", "why"),
            [
                (
                    f"  {one['reward_id']}", one["name"], None if one["value"] is None else exact(one["value"]),
                    one["judge"], _target(one["target"]), _standing(one), one["why"],
                )
                for one in shown
            ],
        )  # fmt: skip
        if len(shown) < len(rewards):
            click.echo(f"  {len(shown)} of {len(rewards)} rewards: {_ALL}")


def _by_reason(dropped: Sequence[Mapping[str, Any]]) -> Mapping[tuple[str, str | None], list[Mapping[str, Any]]]:
    found: dict[tuple[str, str | None], list[Mapping[str, Any]]] = {}
    for one in dropped:
        found.setdefault((one["reason"], one["means"]), []).append(one)
    return found


def _show_row(row: Mapping[str, Any]) -> None:
    if "length" not in row:
        click.echo(f"\n  {_bold('row')} {row['row']}")
        return
    click.echo(
        f"\n  {_bold('row')} {row['row']}: {row['length']} tokens, {row['prompt_length']} of the prompt, "
        f"{row['sampled']} sampled, {row['put_between']} put between"
    )
    differs = f", from token {row['differs_at']} on" if row["differs_at"] is not None else ""
    click.echo(f"    begins here ({row['began']}){': ' if row['means'] else ''}{row['means'] or ''}{differs}")


def _target(target: Mapping[str, str]) -> str:
    """A table of a rollout need not repeat its id."""
    return "the rollout" if target["kind"] == "rollout" else f"{target['kind']} {target['id']}"


def _standing(one: Mapping[str, Any]) -> str:
    if not one["counts"]:
        return f"no: {one['standing']}"
    return f"for {_counted(one['calls'], 'call')}" if one["calls"] else "yes"


def _policy(told: Mapping[str, Any]) -> str:
    select = "".join(f", only {column} {' or '.join(values)}" for column, values in told["select"].items())
    failures = ", ".join(f"{ended}: {what}" for ended, what in told["failures"].items())
    return select + (f", with {failures}" if failures else "")


def _counted(count: int, what: str) -> str:
    return f"{count} {what}{'' if count == 1 else 's'}"


def _bold(word: str) -> str:
    return click.style(word, bold=True)
