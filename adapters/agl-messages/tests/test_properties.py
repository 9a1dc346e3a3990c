"""Nothing is lost, nothing is learnt from twice, and a row is what its calls were asked with."""

from collections import Counter

from agl_messages import Messages, Preferences
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Target, Tool

_TEXTS = st.sampled_from(["", "a", "b", "ab"])


@st.composite
def rollouts(draw):
    """Agents that talk, branch, forget, fail and share words, all in a few words: prefixes meet by chance."""
    traces = []
    for number in range(draw(st.integers(1, 3))):
        histories = [[Message(role="system", content="s")]]
        calls = []
        for at in range(draw(st.integers(0, 6))):
            history = list(draw(st.sampled_from(histories)))
            asked = [*history, Message(role=draw(st.sampled_from(["user", "tool"])), content=draw(_TEXTS))]
            answers = [Message(role="assistant", content=text) for text in draw(st.lists(_TEXTS, max_size=2))]
            calls.append(_call(draw, f"ca-{number}-{at}", f"ro-{number}", asked, answers))
            histories += [[*asked, answer] for answer in answers]
        traces.append(_trace(draw, f"ro-{number}", tuple(calls)))
    return traces


def _call(draw, call_id, rollout_id, asked, answers):
    call = ModelCall(
        model="policy",
        messages=tuple(asked),
        tools=draw(st.sampled_from([(), (Tool(name="t"),)])),
        choices=tuple(Choice(message=answer) for answer in answers),
    )
    return CallRecorded(
        call_id=call_id, rollout_id=rollout_id, attempt_id="at", call=call, started_at=0, latency=0.0,
        role=draw(st.sampled_from(["policy", "policy", "policy", "judge"])),
        status=draw(st.sampled_from(["ok", "ok", "ok", "broken"])),
        agent=draw(st.sampled_from([None, "x"])),
    )  # fmt: skip


def _trace(draw, rollout_id, calls):
    value = draw(st.sampled_from([None, 0.0, 0.5, 1.0]))
    given_ = RewardGiven(
        rollout_id=rollout_id, target=Target(kind="rollout", id=rollout_id), value=value or 0.0, judge="j"
    )
    return Trace(
        rollout_id=rollout_id, attempt_id="at", task_id=draw(st.sampled_from(["t1", "t2"])), status="succeeded",
        exit_status=draw(st.sampled_from(["completed", "timeout", "worker_lost"])), calls=calls,
        rewards=() if value is None else (TraceReward(id="e", given=given_),),
    )  # fmt: skip


ADAPTERS = st.one_of(
    st.builds(
        Messages, level=st.sampled_from(["trajectory", "call"]), agent=st.sampled_from([None, "x"]),
        at_least=st.sampled_from([None, 0.5]), best_of=st.sampled_from([None, 1]), succeeded=st.booleans(),
    ),
    st.builds(
        Preferences, level=st.sampled_from(["trajectory", "call"]), margin=st.sampled_from([0.0, 1.0]),
        strategy=st.sampled_from(["best_vs_worst", "all_pairs"]), max_pairs=st.integers(1, 2),
    ),
)  # fmt: skip


@given(rollouts(), ADAPTERS)
def test_every_call_of_the_policy_is_kept_or_dropped_once(traces, adapter):
    """Whatever the adapter is told: captured = kept + dropped, and a call that is kept is in a row."""
    policy = [call.call_id for trace in traces for call in trace.calls if call.role == "policy"]

    adapted = adapter(traces)

    rows = adapted.rows
    in_rows = {id_ for row in rows for id_ in (row.call_ids if isinstance(adapter, Messages) else _calls(row))}
    dropped = [one.call_id for one in adapted.dropped]
    assert sorted([*in_rows, *dropped]) == sorted(policy)
    assert adapted.kept == len(in_rows)


def _calls(pair):
    return (*pair.chosen_calls, *pair.rejected_calls)


@given(rollouts())
def test_every_answer_is_learnt_from_once(traces):
    """In one transcript it is marked; in any other it is history."""
    said = Counter(
        call.call_id
        for trace in traces
        for call in trace.calls
        if call.role == "policy" and call.status == "ok" and trace.mask is None
        for choice in call.call.choices
        if choice.message.content
    )

    learnt = Counter()
    for row in Messages()(traces).rows:
        assert sum(row.trained) == len(row.call_ids)
        assert row.trained[-1]
        learnt.update(row.call_ids)

    assert learnt == said


@given(rollouts())
def test_before_each_answer_stands_what_its_call_was_asked_with(traces):
    """A row is no collage: up to each marked message it is the very prompt of that call."""
    asked = {call.call_id: call for trace in traces for call in trace.calls}

    for row in Messages()(traces).rows:
        places = [at for at, trained in enumerate(row.trained) if trained]
        for place, call_id in zip(places, row.call_ids, strict=True):
            assert row.messages[:place] == asked[call_id].call.messages
            assert row.tools == asked[call_id].call.tools


@given(rollouts())
def test_a_pair_is_of_one_prompt_and_the_better_one_earned_more(traces):
    """With all that makes two answers comparable."""
    for pair in Preferences(strategy="all_pairs")(traces).rows:
        assert pair.chosen_reward > pair.rejected_reward
        assert pair.chosen != pair.rejected
        assert pair.chosen_trained[0]
        assert pair.rejected_trained[0]
