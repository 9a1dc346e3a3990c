"""Old rollouts judged, whoever asks for it: which of them, by whom, and what came of it."""

from __future__ import annotations

import asyncio
import time
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn

if TYPE_CHECKING:
    from agl_core.judges import Sat, Seat
    from agl_core.log import SqliteLog
    from agl_core.plugins import Plugins
    from agl_core.run import Failures
    from agl_core.store import Store

__all__ = ["Verdicts", "judged"]

PARTIAL = 3
_SILENCE = 5.0
_CHOSEN = """
select rollout_id, run_id from rollouts
where hidden = 0 and (?1 = '[]' or rollout_id in (select value from json_each(?1))
  or run_id in (select value from json_each(?1)))
order by position
"""
_DELETED = "select rollout_id from rollouts where hidden = 1 and rollout_id in (select value from json_each(?))"


def judged(
    plugins: Plugins,
    seat: Seat,
    targets: Sequence[str],
    *,
    log_path: str | None,
    quiet: bool,
    concurrency: int = 8,
    replace: bool = False,
    dry_run: bool = False,
) -> Verdicts:
    """Have the rollouts judged that the targets are, or that are of them; of none, all of the log.

    What is given are new facts in that log; with `dry_run` nothing is, and it is said what would be.
    """
    from agl_core.cli._logs import busy_is_said, there
    from agl_core.judges import identity
    from agl_core.store import Store

    path = there(log_path)
    with busy_is_said(path), plugins.open_log(str(path), readonly=dry_run) as log:
        chosen, deleted = _chosen(log, targets)
        head = {"judge": identity(seat.judge), "name": seat.dimension, "log": str(path)}
        left_out = dict.fromkeys(deleted, "deleted")
        verdicts = Verdicts(head=head, of=len(chosen), quiet=quiet, dry_run=dry_run, left_out=left_out)
        store = Store(log)
        try:
            if dry_run:
                _foresee(store, seat, chosen, verdicts, replace=replace)
            else:
                _judged(plugins, store, seat, chosen, verdicts, concurrency=concurrency, replace=replace)
        finally:
            store.close()
    return verdicts


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


def _judged(plugins: Any, store: Store, seat: Seat, chosen: Mapping[str, Failures], told: Verdicts, **how: Any) -> None:
    from agl_core.trainer import judge_rollouts

    asyncio.run(judge_rollouts(plugins, store, seat, chosen, heard=told.heard, **how))


def _foresee(store: Store, seat: Seat, chosen: Mapping[str, Failures], told: Verdicts, *, replace: bool) -> None:
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
class Verdicts:
    """What came of each rollout, added up, and said while it goes on."""

    head: Mapping[str, Any]
    """Who judged, what it is called, and where."""
    of: int
    quiet: bool
    dry_run: bool
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

    def to_json(self) -> dict[str, Any]:
        """For programs."""
        return {
            **self.head, "dry_run": self.dry_run, "judged": self.count("judged"), "known": self.count("known"),
            "withheld": dict(self._codes), "left_out": dict(self._reasons), "withdrawn": self._withdrawn,
            "mean": self._mean, "rollouts": [*self._listed()],
        }  # fmt: skip

    def show(self) -> None:
        """For people."""
        from agl_core.cli._tables import facts
        from agl_core.cli._words import number

        facts(
            [
                *self.head.items(),
                ("would be judged" if self.dry_run else "judged", self.count("judged")),
                ("judged before", self.count("known") or None),
                ("withdrawn", self._withdrawn or None),
                ("mean", None if self._mean is None else number(self._mean)),
                *((f"left out: {reason}", count) for reason, count in self._reasons.most_common()),
                *((f"no number: {code}", count) for code, count in self._codes.most_common()),
            ]
        )
        for code in self._codes:
            first = next(one for one in self.sat if one.code == code)
            warn(f"{first.rollout_id} [{code}]: {first.why}")

    @property
    def _codes(self) -> Counter[str]:
        return Counter(one.code for one in self.sat if one.status == "withheld")

    @property
    def _reasons(self) -> Counter[str]:
        return Counter(self.left_out.values())

    @property
    def _withdrawn(self) -> int:
        return sum(one.withdrawn for one in self.sat)

    @property
    def _mean(self) -> float | None:
        values = [reward.value for one in self.sat for reward in one.rewards if reward.name == self.head["name"]]
        return sum(values) / len(values) if values else None

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
