"""Conservation: whatever is selected, zeroed, masked and unmatched at once, a batch accounts for every call."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from typing import Any, get_args

import pytest
from hypothesis import given
from hypothesis import strategies as some

from agl_core.adapter import Adapted, Dropped, Trace, TraceReward, Unmatched
from agl_core.errors import BadValue, CaptureNone, RewardMissing
from agl_core.events import CallRecorded, ExitStatus, ModelCall, RewardGiven, Target
from agl_core.run import Failures, Selection, adapted, treated
from agl_core.run._batch import formed, refuse_empty

ENDS = get_args(ExitStatus)


class Picky:
    """An adapter with a reason for everything: what is masked, what has no reward, what did not go well."""

    name = "picky"

    def __call__(self, traces: Sequence[Trace]) -> Adapted[tuple[str, float]]:
        """A row of each call that is left, and no call for rewards of what is not there."""
        rows: list[tuple[str, float]] = []
        dropped: list[Dropped] = []
        unmatched: list[Unmatched] = []
        for trace in traces:
            known = {call.call_id for call in trace.calls}
            unmatched += [
                Unmatched(reward_id=reward.id, rollout_id=trace.rollout_id, reason="no_call")
                for reward in trace.rewards
                if reward.given.target.kind == "call" and reward.given.target.id not in known
            ]
            for call in trace.calls:
                if call.role != "policy":
                    continue
                if reason := _why_not(trace, call):
                    dropped.append(Dropped(call_id=call.call_id, rollout_id=trace.rollout_id, reason=reason))
                elif trace.reward is not None:
                    rows.append((call.call_id, trace.reward))
        return Adapted(rows=tuple(rows), dropped=tuple(dropped), kept=len(rows), unmatched=tuple(unmatched))


def _why_not(trace: Trace, call: CallRecorded) -> str | None:
    if trace.mask:
        return f"masked:{trace.mask}"
    if trace.reward is None:
        return "no_reward"
    return None if call.status == "ok" else "call_failed"


@some.composite
def traces(draw: Any) -> list[Trace]:
    """Rollouts of a round, ended in any way, with any rewards and any calls."""
    return [_trace(draw, f"ro-{number}") for number in range(draw(some.integers(0, 6)))]


def _trace(draw: Any, rollout_id: str) -> Trace:
    exit_status = draw(some.sampled_from([*ENDS, None]))
    status = "failed" if exit_status else draw(some.sampled_from(["cancelled", "succeeded", "running"]))
    calls = tuple(
        CallRecorded(
            call_id=f"{rollout_id}/{number}", rollout_id=rollout_id, attempt_id="at-1", started_at=1, latency=0.1,
            agent=draw(some.sampled_from([None, "writer", "critic"])),
            role=draw(some.sampled_from(["policy", "policy", "judge"])),
            status=draw(some.sampled_from(["ok", "error"])),
            call=ModelCall(model=draw(some.sampled_from(["big", "small"]))),
        )
        for number in range(draw(some.integers(0, 4)))
    )  # fmt: skip
    targets = some.builds(
        Target, kind=some.sampled_from(["rollout", "call"]), id=some.sampled_from([f"{rollout_id}/0", "ca-gone"])
    )
    rewards = tuple(
        TraceReward(
            id=f"{rollout_id}/reward-{number}",
            given=RewardGiven(
                rollout_id=rollout_id,
                target=draw(targets),
                name=draw(some.sampled_from(["primary", "style"])),
                value=float(number),
                judge="agent",
            ),
        )
        for number in range(draw(some.integers(0, 2)))
    )
    return Trace(
        rollout_id=rollout_id, attempt_id="at-1", task_id="ta-1", status=status, exit_status=exit_status,
        calls=calls, rewards=rewards,
    )  # fmt: skip


WHAT = some.sampled_from(["train", "zero", "mask", "retry"])
POLICIES = some.builds(
    lambda said, unscored: Failures.of({**said, "no_reward": unscored}),
    some.dictionaries(some.sampled_from([*set(ENDS) - {"completed"}, "environment", "infrastructure"]), WHAT),
    some.sampled_from(["zero", "mask", "train"]),
)
SELECTIONS = some.sampled_from([{}, {"agent": "writer"}, {"agent": ["writer", ""], "model": "big"}]).map(Selection.of)


@given(traces(), POLICIES, SELECTIONS)
def test_a_batch_accounts_for_every_call_and_every_rollout(seen, failures, selection):
    """Captured is what was recorded; masked counts rollouts, and zeros are for those that count."""
    batch = adapted(seen, Picky(), selection=selection, failures=failures)
    event = formed(
        "run-1", "picky", seen, batch, failures=failures, digest="0f", options=None, as_of=1
    )  # raises when it does not add up

    recorded = Counter(call.call_id for trace in seen for call in trace.calls if call.role == "policy")
    rows = Counter(call_id for call_id, _ in batch.rows)
    dropped = Counter(one.call_id for one in batch.dropped)
    assert rows + dropped == recorded, "each once"
    assert event.captured == recorded.total() == event.kept + sum(event.dropped.values())
    assert (event.kept, event.rows) == (rows.total(), rows.total())
    had = treated(seen, failures)
    assert sum(event.masked.values()) == sum(trace.mask is not None for trace in had)
    assert sum(event.zeroed.values()) == sum(trace.reward == 0.0 and trace.treated == "zero" for trace in had)
    masked = {trace.rollout_id for trace in had if trace.mask is not None}
    assert not masked & {trace.rollout_id for trace in had if trace.treated == "zero"}
    assert not masked & {call_id.partition("/")[0] for call_id in rows}
    assert sum(event.unmatched.values()) == len(batch.unmatched)
    assert event.rollouts == tuple(trace.rollout_id for trace in seen)


@given(traces(), POLICIES, SELECTIONS)
def test_a_batch_is_made_again_from_the_traces(seen, failures, selection):
    """Pure: nothing of the first time is left in them."""
    first = adapted(seen, Picky(), selection=selection, failures=failures)

    assert adapted(seen, Picky(), selection=selection, failures=failures) == first


@given(traces())
def test_no_zero_comes_of_itself(seen):
    """Where nothing is said, every reward of every row is one that an event gave."""
    batch = adapted(seen, Picky())

    given_ = {reward.given.value for trace in seen for reward in trace.rewards}
    assert {reward for _, reward in batch.rows} <= given_
    assert not [reward for trace in treated(seen, Failures()) for reward in trace.rewards if reward.id is None]


# --- what a batch is not silent about


def one(**facts: Any) -> list[Trace]:
    """A rollout with a call."""
    call = CallRecorded(
        call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=ModelCall(model="m"), started_at=1, latency=0.1
    )
    told: dict[str, Any] = {"status": "succeeded", "exit_status": "completed", "calls": (call,), **facts}
    return [Trace(rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", **told)]


def test_an_adapter_that_loses_a_call_is_refused():
    """Kept or dropped for a reason: there is no third."""

    class Loses:
        name = "loses"

        def __call__(self, traces: Sequence[Trace]) -> Adapted[Any]:
            return Adapted(rows=(), kept=0)

    with pytest.raises(BadValue, match=r"'loses' is refused: of 1 policy call\(s\) it kept 0 and dropped 0"):
        adapted(one(), Loses())


@pytest.mark.parametrize(
    ("said", "is_refused"), [({}, True), ({"no_reward": "mask"}, False), ({"policy": "mask"}, False)]
)
def test_what_counts_and_was_not_scored_is_refused_unless_the_run_says_otherwise(said, is_refused):
    """It is never a zero by itself."""
    failures = Failures.of(said)

    def check() -> None:
        batch = adapted(one(), Picky(), failures=failures)
        refuse_empty(one(), batch, selection=Selection(), failures=failures, ever_selected=lambda: True)

    if is_refused:
        with pytest.raises(RewardMissing, match="ro-1"):
            check()
    else:
        check()


def test_a_batch_without_a_call_is_refused_where_some_rollout_counts():
    """Of one in which all are masked, nothing was to be expected."""
    failures = Failures.of({"no_reward": "train"})
    for exit_status, is_refused in (("completed", True), ("worker_lost", False)):
        seen = one(exit_status=exit_status, calls=())
        batch = adapted(seen, Picky(), failures=failures)
        if is_refused:
            with pytest.raises(CaptureNone):
                refuse_empty(seen, batch, selection=Selection(), failures=failures, ever_selected=lambda: True)
        else:
            refuse_empty(seen, batch, selection=Selection(), failures=failures, ever_selected=lambda: True)
