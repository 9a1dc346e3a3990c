"""What holds for every trace that is matched: of its calls, its rewards, and whatever its spans say."""

from __future__ import annotations

import copy
from collections import Counter

import msgspec
from agl_triplets import LlmProxyTraceToTriplet, Matched, RewardMatchPolicy, TracerTraceToTriplet
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, SpanRecorded, Target

IDS = {"rollout_id": "ro-1", "attempt_id": "at-1"}
MODEL_CALL = {"prompt_token_ids": [1], "response_token_ids": [2]}
PROXIED = {"llm.hosted_vllm.prompt_token_ids": "[1]", "llm.hosted_vllm.response_token_ids": "[[2]]"}
SPANS = [
    ("step", {}),
    ("agent", {"agent.name": "writer"}),
    ("openai.chat.completion", MODEL_CALL),
    ("openai.chat.completion", {}),
    ("ChatOpenAI", MODEL_CALL),
    ("raw_gen_ai_request", PROXIED),
    ("agentlightning.operation", {"agentlightning.operation.name": "agentlightning.reward"}),
    ("agentlightning.annotation", {"agentlightning.reward.0.value": 1.0}),
]
times = st.integers(0, 20)
ids = st.integers(0, 9).map("s{}".format)


@st.composite
def spans(draw, number):
    """A span of any kind, anywhere, in circles too."""
    name, attributes = draw(st.sampled_from(SPANS))
    said = draw(st.fixed_dictionaries({}, optional={"gen_ai.response.id": st.sampled_from("xy")}))
    began = draw(times)
    return SpanRecorded(
        **IDS, span_id=f"s{number}", parent_id=draw(st.none() | ids | st.just("lost")), name=name,
        attributes={**attributes, **said}, status=draw(st.sampled_from(["ok", "ok", "error"])),
        agent=draw(st.sampled_from([None, "writer", "critic"])), started_at=began, ended_at=draw(times),
    )  # fmt: skip


@st.composite
def calls(draw, number):
    """A call of anybody's, that went well or not, with no answer or several."""
    sampled = draw(st.lists(st.lists(st.integers(1, 5), max_size=2), max_size=2))
    answers = [
        Choice(message=Message(role="assistant"), token_ids=tuple(one), logprobs=(-1.0,) * len(one)) for one in sampled
    ]
    asked = ModelCall(
        model="policy", prompt_token_ids=(1,), choices=tuple(answers), response_id=draw(st.sampled_from([None, "x"])),
        dialect=draw(st.sampled_from(["openai.chat", "anthropic.messages"])),
    )  # fmt: skip
    return CallRecorded(
        **IDS, call_id=f"c{number}", call=asked, started_at=draw(times), latency=1e-9,
        role=draw(st.sampled_from(["policy", "policy", "judge", "tool"])),
        status=draw(st.sampled_from(["ok", "ok", "error"])), agent=draw(st.sampled_from([None, "writer", "critic"])),
    )  # fmt: skip


targets = st.one_of(
    st.just(Target(kind="rollout", id="ro-1")),
    st.builds(Target, kind=st.just("call"), id=st.integers(0, 5).map("c{}".format)),
    st.builds(Target, kind=st.just("span"), id=ids),
    st.builds(Target, kind=st.just("agent"), id=st.sampled_from(["writer", "nobody"])),
)


@st.composite
def rewards(draw, number):
    """For anything, stated by any span or by none, at any time or at none."""
    event = RewardGiven(
        **IDS,
        target=draw(targets),
        value=1.0,
        judge="agent",
        name=draw(st.sampled_from(["primary", "primary", "style"])),
    )
    return TraceReward(id=f"r{number}", given=event, span_id=draw(st.none() | ids), given_at=draw(st.none() | times))


@st.composite
def traces(draw):
    """One with any of these; its facts stand in the log in any order, or nobody knows in which."""
    facts = [draw(spans(number)) for number in range(draw(st.integers(0, 8)))]
    asked = [draw(calls(number)) for number in range(draw(st.integers(0, 4)))]
    scored = [draw(rewards(number)) for number in range(draw(st.integers(0, 4)))]
    known = [*(one.span_id for one in facts), *(one.call_id for one in asked), *(one.id for one in scored)]
    order = draw(st.permutations(known)) if draw(st.booleans()) else []
    return Trace(
        **IDS, task_id="ta-1", status="succeeded", exit_status=draw(st.sampled_from(["completed", "worker_lost"])),
        calls=tuple(asked), spans=tuple(facts), rewards=tuple(scored),
        positions={id_: place for place, id_ in enumerate(order, start=1)},
    )  # fmt: skip


settings = {
    "repair_hierarchy": st.booleans(),
    "agent_match": st.sampled_from([None, "writer"]),
    "exclude_llm_call_in_reward": st.booleans(),
    "reward_match": st.sampled_from(RewardMatchPolicy),
}
adapters = st.one_of(
    st.builds(TracerTraceToTriplet, **settings, _skip_empty_token_spans=st.booleans()),
    st.builds(Matched, **settings),
    st.just(LlmProxyTraceToTriplet()),
)


@given(traces(), adapters)
def test_every_call_is_kept_or_dropped(trace, adapt):
    """Those of the wire, where there are any: then a span is none. Each once, with a reason if it is dropped."""
    adapted = adapt([trace])

    policy = {one.call_id for one in trace.calls if one.role == "policy"}
    dropped = Counter(one.call_id for one in adapted.dropped)
    assert set(dropped.values()) <= {1}
    assert all(one.reason for one in adapted.dropped)
    if trace.calls or any(one.startswith("c") for one in trace.positions):
        assert adapted.captured == len(policy)
        assert dropped.keys() <= policy
    else:
        assert adapted.captured <= len(trace.spans)
        assert dropped.keys() <= {one.span_id for one in trace.spans}


@given(traces(), adapters)
def test_every_reward_is_for_one_call_or_for_none(trace, adapt):
    """Rewards that were matched, and those that were not, are all of that name; a masked rollout has none."""
    adapted = adapt([trace])

    wanted = [one.id for one in trace.rewards if one.given.name == "primary"] if not trace.mask else []
    left = [one.reward_id for one in adapted.unmatched]
    if isinstance(adapt, Matched):
        terms = [term.reward_id for one in adapted.rows for term in one.terms]
        assert sorted([*terms, *left]) == sorted(wanted)
        assert len({one.call_id for one in adapted.rows}) == len(adapted.rows)
    else:
        assert len(set(left)) == len(left) <= len(wanted)
        assert set(left) <= set(wanted)
        assert len(wanted) - len(left) <= adapted.kept


@given(traces(), adapters)
def test_the_same_trace_gives_the_same_rows(trace, adapt):
    """Byte for byte, and the trace stays as it was."""
    before = copy.deepcopy(trace)

    first, again = adapt([trace]), adapt([copy.deepcopy(trace)])

    assert msgspec.json.encode(first.rows) == msgspec.json.encode(again.rows)
    assert (first.dropped, first.unmatched) == (again.dropped, again.unmatched)
    assert trace == before
