"""The mask has a 1 exactly on what the policy produced, in conversations of many turns, with tools between."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Sampling, Target
from agl_core.export.rows import _trl

triplets = pytest.importorskip("agl_triplets")

_TOKENS = st.lists(st.integers(0, 9), min_size=1, max_size=4)


@st.composite
def rollouts(draw):
    """Agents that ask, are answered, and put a tool's result, or nothing, behind it; now and then one forgets."""
    agents, calls = [[] for _ in range(draw(st.integers(1, 2)))], []
    for number in range(draw(st.integers(1, 6))):
        history = draw(st.sampled_from(agents))
        if draw(st.integers(0, 4)) == 0:
            history.clear()
        history += draw(_TOKENS) if not history or draw(st.booleans()) else []
        sampled = draw(_TOKENS)
        answer = Choice(message=Message(role="assistant"), token_ids=tuple(sampled), logprobs=(-0.5,) * len(sampled))
        call = ModelCall(
            model="policy", prompt_token_ids=tuple(history), choices=(answer,), provenance="engine",
            logprobs_mode="processed", sampling=Sampling(temperature=1.0),
        )  # fmt: skip
        calls.append(
            CallRecorded(call_id=f"ca-{number}", rollout_id="ro", attempt_id="at", call=call, started_at=0, latency=0.1)
        )
        history += sampled
    given_ = RewardGiven(rollout_id="ro", target=Target(kind="rollout", id="ro"), value=1.0, judge="agent")
    return Trace(
        rollout_id="ro", attempt_id="at", task_id="ta", status="succeeded", calls=tuple(calls),
        rewards=(TraceReward(id="e", given=given_),),
    )  # fmt: skip


@given(rollouts())
def test_the_mask_is_1_exactly_on_what_the_policy_produced(trace):
    """Over all rows: each sampled token once, at the place and after the very tokens it was sampled at."""
    exporter = _trl.Trl(shape="tokens")
    sampled = {call.call_id: call.call for call in trace.calls}

    rows = triplets.Triplets(**exporter.options)([trace]).rows

    seen = []
    for row in rows:
        line = _trl.masked(row)
        expected = [0] * len(line["input_ids"])
        for call_id in row.call_ids:
            call = sampled[call_id]
            start, ids = len(call.prompt_token_ids), call.choices[0].token_ids
            assert tuple(line["input_ids"][: start + len(ids)]) == (*call.prompt_token_ids, *ids)
            expected[start : start + len(ids)] = [1] * len(ids)
        assert line["assistant_masks"] == line["completion_mask"] == expected
        seen += row.call_ids
    assert sorted(seen) == sorted(sampled)
