"""Every reward of a rollout, and whether it counts in a batch: if not, why."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agl_core.cli._explaining_reasons import UNMATCHED
from agl_core.spans.rewards import is_called

if TYPE_CHECKING:
    from agl_core.adapter import Trace
    from agl_core.cli._explaining_recipes import Made
    from agl_core.events import RewardGiven, RewardWithdrawn, RewardWithheld, Target
    from agl_core.log import SqliteLog
    from agl_core.record import Record

__all__ = ["reward_facts"]


def reward_facts(log: SqliteLog, made: Made, rollout_id: str) -> list[dict[str, Any]]:
    """In the order they were given, or withheld; those that came after the batch, too."""
    from agl_core.events import AttemptExpired, RewardGiven, RewardWithdrawn, RewardWithheld

    given: list[tuple[Record, RewardGiven | RewardWithheld]] = []
    withdrawn: dict[str, tuple[int, RewardWithdrawn]] = {}
    fences: dict[str, int] = {}
    kinds = [cls.type for cls in (RewardGiven, RewardWithheld, RewardWithdrawn, AttemptExpired)]
    for record in log.read(stream=f"rollout/{rollout_id}", types=kinds):
        match record.event:
            case RewardGiven() | RewardWithheld() as event:
                given.append((record, event))
            case RewardWithdrawn() as event:
                withdrawn.setdefault(event.reward, (record.position, event))
            case AttemptExpired() as event:
                fences.setdefault(event.attempt_id, record.position)
    missed = {one.reward_id: one.reason for one in made.adapted.unmatched if one.rollout_id == rollout_id}
    trace = made.traces[rollout_id]
    last = {(one.given.name, one.given.target): one.id for one in trace.rewards}
    facts = _Facts(made, trace, withdrawn, fences, missed, last)
    return [
        facts.of(record, event) if isinstance(event, RewardGiven) else _withheld(record, event)
        for record, event in given
    ]


def _withheld(record: Record, event: RewardWithheld) -> dict[str, Any]:
    """A judge who gave no number."""
    return {
        "reward_id": record.id,
        "position": record.position,
        "name": event.name,
        "value": None,
        "judge": event.judge,
        "target": {"kind": "rollout", "id": event.rollout_id},
        "counts": False,
        "standing": "withheld",
        "why": f"{event.judge} gave no number: {event.code}: {event.why}",
        "calls": 0,
    }


@dataclass(frozen=True, slots=True)
class _Facts:
    made: Made
    trace: Trace
    withdrawn: dict[str, tuple[int, RewardWithdrawn]]
    """By reward."""
    fences: dict[str, int]
    """By attempt, where its lease was lost."""
    missed: Mapping[str | None, str]
    """By reward, why it reached no call."""
    last: Mapping[tuple[str, Target], str | None]
    """By name and target, the reward that came last."""

    def of(self, record: Record, event: RewardGiven) -> dict[str, Any]:
        """What it says, and where it stands."""
        standing, why = self._standing(record, event)
        return {
            "reward_id": record.id,
            "position": record.position,
            "name": event.name,
            "value": event.value,
            "judge": event.judge,
            "target": {"kind": event.target.kind, "id": event.target.id},
            "counts": standing == "counts",
            "standing": standing,
            "why": why,
            "calls": self.made.rewarded.get(record.id, 0),
        }

    def _standing(self, record: Record, event: RewardGiven) -> tuple[str, str | None]:
        as_of = self.made.recipe.as_of
        gone = self.withdrawn.get(record.id)
        if record.id in self.made.rewarded:
            later = f"withdrawn since, at position {gone[0]}: {gone[1].why}" if gone else None
            return "counts", later
        if record.position > as_of:
            return "late", f"given at position {record.position}, and the batch is of the log up to {as_of}"
        if gone is not None and gone[0] <= as_of:
            return "withdrawn", gone[1].why or "no reason was given"
        if event.attempt_id not in {None, self.trace.attempt_id}:
            return "other_attempt", f"of attempt {event.attempt_id}; the one that counts is {self.trace.attempt_id}"
        if event.attempt_id is not None and record.position > self.fences.get(event.attempt_id, record.position):
            return "fenced", "said when its attempt had lost its lease"
        return self._unused(record, event)

    def _unused(self, record: Record, event: RewardGiven) -> tuple[str, str]:
        """Why a reward that stands is in no credit."""
        if self.trace.mask:
            return "masked", f"nothing of its rollout counts: {self.trace.mask}"
        names = self.made.names
        if not any(is_called(event, name) for name in names):
            return "other_name", f"the batch asks for {' and '.join(names)}"
        if record.id in self.missed:
            reason = self.missed[record.id]
            return reason, UNMATCHED.get(reason, reason)
        if self.made.rule is None:
            return "counts", "its adapter does not say for which calls"
        last = self.last.get((event.name, event.target))
        if last not in {None, record.id} and last in self.made.rewarded:
            return "superseded", f"a later one for the same counts: {last}"
        return "not_used", f"no call has credit of it by rule {self.made.rule}"
