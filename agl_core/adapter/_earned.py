"""What the calls of a batch earned, for an adapter that is told a `credit` adapter."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from agl_core.adapter._adapter import Adapter, Unmatched
from agl_core.adapter._credit import Credit
from agl_core.errors import BadValue
from agl_core.projections import Trace

__all__ = ["Earned"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Earned:
    """A number or a reason for every policy call."""

    by_call: Mapping[str, float]
    reasons: Mapping[str, str]
    """By call, why it has no number."""
    unmatched: Sequence[Unmatched] = ()

    @classmethod
    def by(cls, credit: Adapter[Credit], traces: Sequence[Trace]) -> Earned:
        """As that adapter has it; `BadValue` where that is an adapter of something else."""
        adapted = credit(traces)
        if not all(isinstance(one, Credit) for one in adapted.rows):
            raise BadValue(
                "credit", getattr(credit, "name", credit), why="its rows are no credits: `rewards` has some, by a rule"
            )
        return cls(
            by_call={one.call_id: one.value for one in adapted.rows},
            reasons={one.call_id: one.reason for one in adapted.dropped},
            unmatched=tuple(adapted.unmatched),
        )

    def why_not(self, call_id: str) -> str | None:
        """Why the call earned nothing; None where it did."""
        return None if call_id in self.by_call else self.reasons.get(call_id, "no_credit")
