"""Calls of a rollout that no batch looks at, and why."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.adapter import Trace
    from agl_core.cli._explaining_recipes import Made
    from agl_core.log import SqliteLog

__all__ = ["beside"]

_CALLS = """
select call_id, attempt_id, role, c.position
from attempts a
join calls c using (attempt_id)
where a.rollout_id = ?
order by c.position
"""


def beside(log: SqliteLog, made: Made, trace: Trace) -> list[dict[str, Any]]:
    """By reason, those of another attempt, of judges and tools, and those that came too late."""
    counting = {call.call_id for call in trace.calls if call.role == "policy"}
    found: dict[str, list[str]] = {}
    for call_id, attempt_id, role, position in log.rows(_CALLS, (trace.rollout_id,)):
        if call_id not in counting:
            why = _why(trace, attempt_id, role, is_late=position > made.recipe.as_of)
            found.setdefault(why, []).append(call_id)
    return [{"why": why, "calls": calls} for why, calls in found.items()]


def _why(trace: Trace, attempt_id: str, role: str, *, is_late: bool) -> str:
    if is_late:
        return "made after the log was read"
    if attempt_id != trace.attempt_id:
        return f"of attempt {attempt_id}: the one that counts is {trace.attempt_id or 'none yet'}"
    return f"made as {role}: only a policy's are learnt from" if role != "policy" else "made when the lease was lost"
