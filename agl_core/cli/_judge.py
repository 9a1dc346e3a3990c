"""`agl judge`: old rollouts judged, with new and named facts; what was recorded stays as it was."""

from __future__ import annotations

import asyncio
import sys
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._guest_options import Guested, names_of
from agl_core.cli._options import as_json, log_level, log_path, quiet

if TYPE_CHECKING:
    from agl_core.judges import Sat, Seat
    from agl_core.log import SqliteLog
    from agl_core.run import Failures
    from agl_core.store import Store

__all__ = ["judge"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)
PARTIAL = 3
_SILENCE = 5.0
_CHOSEN = """
select rollout_id, run_id from rollouts
where hidden = 0 and (?1 = '[]' or rollout_id in (select value from json_each(?1))
  or run_id in (select value from json_each(?1)))
order by position
"""
_DELETED = "select rollout_id from rollouts where hidden = 1 and rollout_id in (select value from json_each(?))"


class Judge(Guested):
    """A command that has, beside its own options, those of the judge it is given."""

    def sections(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Sequence[click.Option]]:
        """Those of the judge."""
        from agl_core.cli._configs import config_options
        from agl_core.cli._named_components import judge_class
        from agl_core.plugins import Plugins

        name = self._named(args)
        if name is None:
            return {}
        kind = judge_class(Plugins.load(), name)
        return {"Options of the judge": config_options(kind, taken=names_of(self.params))}

    def _named(self, args: Sequence[str]) -> str | None:
        """The first word that is no option, and no option's value."""
        takes = {one for own in self.params for one in own.opts if isinstance(own, click.Option) and not own.is_flag}
        left = iter(args)
        for word in left:
            if not word.startswith("-"):
                return word
            if word in takes:
                next(left, None)
        return None


@click.command(cls=Judge)
@click.argument("name", metavar="JUDGE", is_eager=True)
@click.argument("targets", metavar="[RUN|ROLLOUT]...", nargs=-1)
@click.option("--as", "dimension", metavar="NAME", help="What the reward is called; default: as the judge.")
@click.option("--replace", is_flag=True, help="Judge again, and withdraw what this judge gave under that name.")
@click.option("--dry-run", is_flag=True, help="Say what would be judged, and leave nothing.")
@click.option("--concurrency", default=8, show_default=True, type=click.IntRange(min=1), help="Rollouts at a time.")
@click.option("--config", "config_file", type=FILE, help="Options of the judge, as TOML or JSON.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One option of the judge, over the file.")
@log_path
@quiet
@as_json
@log_level
def judge(
    *,
    name: str,
    targets: Sequence[str],
    dimension: str | None,
    replace: bool,
    dry_run: bool,
    concurrency: int,
    config_file: Path | None,
    sets: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Judge rollouts that have ended: by id, by run, or all of the log.

    JUDGE is a registered name, or module:name; with --help after it, its options are shown. What it gives are new
    rewards, called as the judge unless --as says otherwise: no `primary` changes unless it is asked for, and batches
    that were formed stay what they were. The same judge, told the same, judges a rollout once. Exit code 3 when some
    could not be judged.
    """
    from agl_core.cli._logs import busy_is_said, there
    from agl_core.judges import identity
    from agl_core.plugins import Plugins
    from agl_core.store import Store

    plugins, path = Plugins.load(), there(log_path)
    seat = _seat(plugins, name, dimension, config_file, sets, options)
    with busy_is_said(path), plugins.open_log(str(path), readonly=dry_run) as log:
        chosen, deleted = _chosen(log, targets)
        told = _Told(of=len(chosen), quiet=quiet, left_out=dict.fromkeys(deleted, "deleted"))
        store = Store(log)
        try:
            if dry_run:
                _foresee(store, seat, chosen, told, replace=replace)
            else:
                _judged(plugins, store, seat, chosen, told, concurrency=concurrency, replace=replace)
        finally:
            store.close()
    head = {"judge": identity(seat.judge), "name": seat.dimension, "log": str(path)}
    told.show(head, as_json=as_json, dry_run=dry_run)
    sys.exit(told.exit_code)


def _seat(
    plugins: Any,
    name: str,
    dimension: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    options: Mapping[str, Any],
) -> Seat:
    from agl_core.cli._configs import configured, read_config
    from agl_core.cli._named_components import judge_class
    from agl_core.trainer import seats_of

    kind = judge_class(plugins, name)
    values = configured(
        kind, name, file=read_config(config_file) if config_file else {}, sets=sets,
        options={option: value for option, value in options.items() if value is not None},
    )  # fmt: skip
    (seat,) = seats_of(plugins, {dimension or getattr(kind, "name", name): {"name": name, **values}})
    return seat


def _chosen(log: SqliteLog, targets: Sequence[str]) -> tuple[dict[str, Failures], list[str]]:
    """Rollout to the failure policy of its run, in the order they were enqueued; and those named that were deleted."""
    from agl_core.cli._logs import find_either
    from agl_core.events import RunStarted
    from agl_core.ids import canonical
    from agl_core.record import Record
    from agl_core.run import Failures

    ids = [find_either(log, target) for target in targets]
    known = canonical(ids).decode()
    rows = log.rows(_CHOSEN, (known,))
    deleted = [rollout_id for (rollout_id,) in log.rows(_DELETED, (known,))]
    policies = {None: Failures()}
    for run_id in {run_id for _, run_id in rows} - {None}:
        match log.get(run_id):
            case Record(event=RunStarted(config=config)):
                policies[run_id] = Failures.of(config.failures)
            case _:  # its rollouts are here, and its beginning is not
                policies[run_id] = Failures()
    return {rollout_id: policies[run_id] for rollout_id, run_id in rows}, deleted


def _judged(plugins: Any, store: Store, seat: Seat, chosen: Mapping[str, Failures], told: _Told, **how: Any) -> None:
    from agl_core.trainer import judge_rollouts

    asyncio.run(judge_rollouts(plugins, store, seat, chosen, heard=told.heard, **how))


def _foresee(store: Store, seat: Seat, chosen: Mapping[str, Failures], told: _Told, *, replace: bool) -> None:
    from agl_core.judges import Sat
    from agl_core.trainer import judgeable

    for rollout_id, failures in chosen.items():
        trace, why = judgeable(store, rollout_id, failures)
        if trace is None:
            told.heard(rollout_id, why)
        else:
            is_known = not replace and bool(seat.judgements(store.log, trace))
            told.heard(rollout_id, Sat(rollout_id=rollout_id, status="known" if is_known else "judged"))


@dataclass
class _Told:
    """What came of each rollout, added up, and said while it goes on."""

    of: int
    quiet: bool
    sat: list[Sat] = field(default_factory=list)
    left_out: dict[str, str] = field(default_factory=dict)
    """Rollout to why there was nothing to judge."""
    _spoke: float = field(default_factory=time.monotonic)

    def heard(self, rollout_id: str, what: Sat | str) -> None:
        """One more."""
        if isinstance(what, str):
            self.left_out[rollout_id] = what
        else:
            self.sat.append(what)
        now = time.monotonic()
        if not self.quiet and now - self._spoke >= _SILENCE:
            self._spoke = now
            done = len(self.sat) + len(self.left_out)
            click.echo(f"{done} of {self.of} rollouts looked at, {self.count('withheld')} without a number", err=True)

    def count(self, status: str) -> int:
        """How many came to that."""
        return sum(one.status == status for one in self.sat)

    @property
    def exit_code(self) -> int:
        """3 when some have no number for which there is one to be had, 1 when none has."""
        missing = self.count("withheld") + sum(why == "open" for why in self.left_out.values())
        if not missing:
            return 0
        return PARTIAL if self.count("judged") + self.count("known") else 1

    def show(self, head: Mapping[str, Any], *, as_json: bool, dry_run: bool) -> None:
        """Say how it went."""
        from agl_core.cli._tables import facts, print_json
        from agl_core.cli._words import number

        values = [reward.value for one in self.sat for reward in one.rewards if reward.name == head["name"]]
        mean = sum(values) / len(values) if values else None
        codes = Counter(one.code for one in self.sat if one.status == "withheld")
        reasons = Counter(self.left_out.values())
        judged, known = self.count("judged"), self.count("known")
        if as_json:
            print_json(
                {
                    **head, "dry_run": dry_run, "judged": judged, "known": known, "withheld": dict(codes),
                    "left_out": dict(reasons), "withdrawn": sum(one.withdrawn for one in self.sat), "mean": mean,
                    "rollouts": [*self._listed()],
                }
            )  # fmt: skip
            return
        facts(
            [
                *head.items(),
                ("would be judged" if dry_run else "judged", judged),
                ("judged before", known or None),
                ("withdrawn", sum(one.withdrawn for one in self.sat) or None),
                ("mean", None if mean is None else number(mean)),
                *((f"left out: {reason}", count) for reason, count in reasons.most_common()),
                *((f"no number: {code}", count) for code, count in codes.most_common()),
            ]
        )
        for code in codes:
            first = next(one for one in self.sat if one.code == code)
            warn(f"{first.rollout_id} [{code}]: {first.why}")

    def _listed(self) -> Iterator[dict[str, Any]]:
        for one in self.sat:
            rewards = [
                {
                    "name": reward.name,
                    "value": reward.value,
                    "target": {"kind": reward.target.kind, "id": reward.target.id},
                }
                for reward in one.rewards
            ]
            told = {"code": one.code, "why": one.why} if one.code else {}
            yield {"rollout_id": one.rollout_id, "status": one.status, "rewards": rewards, **told}
        for rollout_id, why in self.left_out.items():
            yield {"rollout_id": rollout_id, "status": "left_out", "why": why}
