"""Builders of calls, rewards and traces, with what a test does not care about filled in."""

from __future__ import annotations

import pytest

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, ModelCall, RewardGiven, SpanRecorded, Target


def make_call(call_id, *, agent=None, rollout_id="ro-1", started_at=0, **facts):
    """A policy call that was answered."""
    return CallRecorded(
        call_id=call_id,
        rollout_id=rollout_id,
        attempt_id="at-1",
        agent=agent,
        call=ModelCall(model="policy", response_id=f"re-{call_id}"),
        started_at=started_at,
        latency=0.0,
        **facts,
    )


def make_span(span_id, start, end, *, parent_id=None, rollout_id="ro-1", **facts):
    """A piece of work from `start` to `end`."""
    return SpanRecorded(
        rollout_id=rollout_id,
        attempt_id="at-1",
        span_id=span_id,
        parent_id=parent_id,
        name=span_id,
        started_at=start,
        ended_at=end,
        **facts,
    )


def make_reward(value, *, of=None, name="primary", rollout_id="ro-1", judge="agent", **facts):
    """A reward for `of`, written `call ca-1`; without it, for the rollout."""
    kind, _, id_ = (of or f"rollout {rollout_id}").partition(" ")
    return RewardGiven(
        rollout_id=rollout_id, target=Target(kind=kind, id=id_), value=value, name=name, judge=judge, **facts
    )


def make_trace(*calls, rewards=(), spans=(), rollout_id="ro-1", task_id="ta-1", **facts):
    """A rollout that came to a good end."""
    facts = {"status": "succeeded", "exit_status": "completed", "run_id": "run-1", "group": "round-1", **facts}
    return Trace(
        rollout_id=rollout_id,
        attempt_id="at-1",
        task_id=task_id,
        calls=tuple(calls),
        spans=tuple(spans),
        rewards=tuple(TraceReward(id=f"{rollout_id}/{place}", given=given) for place, given in enumerate(rewards)),
        **facts,
    )


def credits_of(adapted):
    """By call, what it earned; of the others, why they earned nothing."""
    return {
        **{credit.call_id: credit.value for credit in adapted.rows},
        **{dropped.call_id: dropped.reason for dropped in adapted.dropped},
    }


@pytest.fixture(scope="session")
def call():
    """`make_call`."""
    return make_call


@pytest.fixture(scope="session")
def span():
    """`make_span`."""
    return make_span


@pytest.fixture(scope="session")
def reward():
    """`make_reward`."""
    return make_reward


@pytest.fixture(scope="session")
def trace():
    """`make_trace`."""
    return make_trace


@pytest.fixture(scope="session")
def earned():
    """`credits_of`."""
    return credits_of
