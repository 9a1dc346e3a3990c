"""Rewards among the spans: each that was given to an attempt reads as the span that Agent Lightning would have made."""

from __future__ import annotations

from collections.abc import Iterable

from agl_core.events import Event, RewardGiven
from agl_core.record import Record
from agl_core.spans import rewards
from agl_core.store._span import Span, TraceStatus

__all__ = ["BESIDE", "REWARDS", "SAID", "rewarded"]

_NAME = "agentlightning.annotation"
_SECOND = 1e9

# A reward that was made of a span is in that span. One without an attempt came later, and is in no trace of an agent.
REWARDS = f"""
select
  w.rollout_id, w.attempt_id, w.id as span_id, null as trace_id, null as parent_id, '{_NAME}' as name, 'ok' as status,
  e.occurred_at as started_at, e.occurred_at as ended_at, w.position,
  (
    select coalesce(max(s.sequence_id), 1) from spans s where s.rollout_id = w.rollout_id and s.position < w.position
  ) as sequence_id
from rewards w join events e on e.position = w.position
where w.name = 'primary' and w.attempt_id is not null and coalesce(e.key, '') not glob '{rewards.MADE}*'
"""  # noqa: S608 - our own names
"""Rewards as rows of `spans`: one for each `primary`. Its number is that of the span before it."""
SAID = f"""
select rollout_id, attempt_id, span_id, trace_id, parent_id, name, status, started_at, ended_at, position, sequence_id
from spans union all {REWARDS}
"""  # noqa: S608 - our own names
"""All that an agent said."""
BESIDE = """
select o.position
from rewards w join rewards o
  on o.rollout_id = w.rollout_id and o.attempt_id = w.attempt_id and o.judge = w.judge
  and o.target_kind = w.target_kind and o.target_id = w.target_id and o.name <> 'primary' and o.position > w.position
where w.position = ? and o.position < (
  select coalesce(min(n.position), ~(1 << 63)) from rewards n
  where n.rollout_id = w.rollout_id and n.attempt_id = w.attempt_id and n.name = 'primary' and n.position > w.position
)
order by o.position
"""
"""Further dimensions of the reward at that position: what the same judge gave to the same thing before the next one."""


def rewarded(record: Record, reward: RewardGiven, others: Iterable[Event], sequence_id: int) -> Span:
    """The reward as a span, with its dimensions."""
    dimensions = [reward, *(other for other in others if isinstance(other, RewardGiven))]
    return Span(
        rollout_id=reward.rollout_id,
        attempt_id=reward.attempt_id or "",
        sequence_id=sequence_id,
        span_id=record.id,
        name=_NAME,
        status=TraceStatus(status_code="OK"),
        attributes=rewards.shape(dimensions),
        start_time=record.occurred_at / _SECOND,
        end_time=record.occurred_at / _SECOND,
    )
