"""Judging a rollout of a log: what was judged before is not judged again, and what cannot be judged says why."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

from agl_core.errors import AglError, JudgeFailed
from agl_core.events import RewardGiven, RewardWithdrawn, RewardWithheld, Target
from agl_core.ids import canonical, digest
from agl_core.judges._judge import Ask, AskingJudge, Judge, Verdict, asks, fingerprint, identity, verdicts
from agl_core.log import SqliteLog, View
from agl_core.projections import Trace
from agl_core.record import Draft
from agl_core.store import FINISHED, Store

__all__ = ["Sat", "Seat", "Sitting", "why_not"]

_ACTOR = "agl-core judges"
_EARLIER = """
select id from rewards
where rollout_id = ? and withdrawn = 0 and name = ? and substr(judge, 1, length(?) + 1) = ? || ' '
"""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Seat:
    """A judge, and what its verdicts are called."""

    judge: Judge | AskingJudge
    dimension: str = "primary"
    """Name of the reward that its `primary` verdicts become; others keep their own."""

    def named(self, verdict: Verdict) -> str:
        """What the reward is called."""
        return self.dimension if verdict.name == "primary" else verdict.name

    def prefix(self, trace: Trace) -> str:
        """Begins the keys of its judgements, told the same and under the same name, of the attempt that counts."""
        who = digest(canonical([fingerprint(self.judge), self.dimension]))[:16]
        return f"judge/{trace.rollout_id}/{trace.attempt_id}/{who}/"

    def judgements(self, log: SqliteLog, trace: Trace) -> dict[int, list[str]]:
        """Keys of the rewards that this judge, told the same, gave the rollout, by judgement; withdrawn ones too."""
        prefix = self.prefix(trace)
        found: dict[int, list[str]] = {}
        for (key,) in log.rows(
            "select key from events where key >= ? and key < ? order by position", (prefix, f"{prefix}~")
        ):
            found.setdefault(int(key[len(prefix) :].partition("/")[0]), []).append(key)
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Sat:
    """What came of judging a rollout."""

    rollout_id: str
    status: Literal["judged", "known", "withheld"]
    """`known` when the same judge, told the same, judged it before; `withheld` when it gave no number."""
    rewards: tuple[RewardGiven, ...] = ()
    """What it gave; where it is known, what it gave then."""
    withdrawn: int = 0
    """Earlier rewards that these replace."""
    code: str = ""
    why: str = ""


Handing = Callable[[Seat, Trace, str], Ask]
"""Makes what a judge asks its model with, for the judgement of that key."""


def why_not(trace: Trace) -> str | None:
    """Why there is nothing to judge: it is not over, or ended by what its policy did not cause; None where there is."""
    if trace.status not in FINISHED:
        return "open"
    return trace.mask or (None if trace.attempt_id else "never_begun")


@dataclass(frozen=True, slots=True)
class Sitting:
    """Judges rollouts, and writes down what came of it."""

    store: Store
    asking: Handing

    async def judge(self, seat: Seat, trace: Trace, *, replace: bool = False) -> Sat:
        """Have the rollout judged, unless that was done; `replace` does it anew, and withdraws what was given before.

        All verdicts of a judgement are written together, or none. A judge without a verdict leaves `reward.withheld`.
        """
        before = seat.judgements(self.store.log, trace)
        if before and not replace:
            return self._known(trace, before[max(before)])
        key = f"{seat.prefix(trace)}{1 + max(before, default=-1)}"
        try:
            ask = self.asking(seat, trace, key) if asks(seat.judge) else None
            rewards = _rewards(seat, trace, await verdicts(seat.judge, trace, ask))
        except AglError as error:
            return await self._withhold(seat, trace, key, error)
        return await self._give(seat, trace, key, rewards, replace=replace)

    def _known(self, trace: Trace, keys: Sequence[str]) -> Sat:
        records = (self.store.log.get(key) for key in keys)
        given = (record.event for record in records if record is not None)
        rewards = tuple(event for event in given if isinstance(event, RewardGiven))
        return Sat(rollout_id=trace.rollout_id, status="known", rewards=rewards)

    async def _give(self, seat: Seat, trace: Trace, key: str, rewards: Sequence[RewardGiven], *, replace: bool) -> Sat:
        def decide(view: View) -> list[Draft]:
            if _is_known(view, key):
                return []
            drafts = [_draft(trace, event, f"{key}/{n}") for n, event in enumerate(rewards)]
            return [*(_withdrawals(view, seat, trace, rewards) if replace else ()), *drafts]

        records = await self.store.log.soon(decide)
        if not records:  # somebody else judged it meanwhile, and was first
            return self._known(trace, [f"{key}/{n}" for n in range(len(rewards))])
        withdrawn = sum(isinstance(record.event, RewardWithdrawn) for record in records)
        return Sat(rollout_id=trace.rollout_id, status="judged", rewards=tuple(rewards), withdrawn=withdrawn)

    async def _withhold(self, seat: Seat, trace: Trace, key: str, error: AglError) -> Sat:
        who = identity(seat.judge)
        event = RewardWithheld(
            rollout_id=trace.rollout_id,
            attempt_id=trace.attempt_id,
            judge=who,
            name=seat.dimension,
            code=error.code,
            why=str(error),
        )
        records = await self.store.log.soon(
            lambda view: [] if _is_known(view, key) else [_draft(trace, event, None)],
        )
        if not records:
            return self._known(trace, [f"{key}/0"])
        _log.info("%s is not judged by %s [%s]: %s", trace.rollout_id, who, error.code, error)
        return Sat(rollout_id=trace.rollout_id, status="withheld", code=error.code, why=str(error))


def _rewards(seat: Seat, trace: Trace, found: Sequence[Verdict]) -> list[RewardGiven]:
    rewards = [_reward(seat, trace, verdict) for verdict in found]
    if len({(reward.name, reward.target) for reward in rewards}) < len(rewards):
        raise JudgeFailed(identity(seat.judge), why=f"two of its verdicts would be called {seat.dimension!r}")
    return rewards


def _reward(seat: Seat, trace: Trace, verdict: Verdict) -> RewardGiven:
    return RewardGiven(
        rollout_id=trace.rollout_id,
        # No attempt: a judge comes later, and what is late of an attempt would not count.
        target=verdict.target or Target(kind="rollout", id=trace.rollout_id),
        value=float(verdict.value),
        name=seat.named(verdict),
        judge=identity(seat.judge),
        evidence=verdict.evidence,
    )


def _draft(trace: Trace, event: RewardGiven | RewardWithdrawn | RewardWithheld, key: str | None) -> Draft:
    return Draft(
        stream=f"rollout/{trace.rollout_id}",
        event=event,
        key=key,
        correlation_id=trace.run_id or trace.rollout_id,
        actor=_ACTOR,
    )


def _is_known(view: View, key: str) -> bool:
    return bool(view.rows("select 1 from events where key = ?", (f"{key}/0",)))


def _withdrawals(view: View, seat: Seat, trace: Trace, rewards: Sequence[RewardGiven]) -> list[Draft]:
    """Of what that judge gave before, in any version, under the same names."""
    name, who = seat.judge.name, identity(seat.judge)
    earlier = [
        id_
        for dimension in dict.fromkeys(reward.name for reward in rewards)
        for (id_,) in view.rows(_EARLIER, (trace.rollout_id, dimension, name, name))
    ]
    why = f"{who} judged it anew"
    return [
        _draft(trace, RewardWithdrawn(rollout_id=trace.rollout_id, reward=id_, why=why), None)
        for id_ in dict.fromkeys(earlier)
    ]
