"""The adapter `attempts`: what an attempt left, whole, for formats that hold all of it."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import ClassVar

from agl_core.adapter import Adapted, Dropped, Trace
from agl_core.events import CallRecorded

__all__ = ["Attempts"]


@dataclass(frozen=True, slots=True)
class Attempts:
    """Traces as they are: one row an attempt in which the policy said something, however it ended.

    Nothing is learnt from such a row as it stands, so no rollout is masked. Every policy call is in its row, or in
    `dropped`, with the first of these reasons that holds: `not_succeeded` · `call_failed`.
    """

    name: ClassVar[str] = "attempts"

    succeeded: bool = False
    """Keep rollouts that came to a good end only."""

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Trace]:
        """Rows in the order of `traces`."""
        rows: list[Trace] = []
        dropped: list[Dropped] = []
        kept = 0
        for trace in traces:
            reasons = [(call, self._unfit(trace, call)) for call in trace.calls if call.role == "policy"]
            dropped += [
                Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=reason)
                for call, reason in reasons
                if reason is not None
            ]
            told = sum(reason is None for _, reason in reasons)
            kept += told
            if told:
                rows.append(trace)
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=kept)

    def _unfit(self, trace: Trace, call: CallRecorded) -> str | None:
        if self.succeeded and trace.status != "succeeded":
            return "not_succeeded"
        return None if call.status == "ok" else "call_failed"
