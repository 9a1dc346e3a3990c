"""Who is learnt from: by what it earned, and by nothing else."""

from __future__ import annotations

from collections import defaultdict

import pytest
from agl_sft import Chosen, SftConfig, agl_register_adapters
from hypothesis import given
from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Target
from agl_core.testing import AdapterContract


def call(name, rollout_id, role="policy"):
    """An answer of one token."""
    answer = Choice(message=Message(role="assistant", content="a"), token_ids=(7,), logprobs=(-0.1,))
    asked = ModelCall(model="policy", prompt_token_ids=(1, 2), choices=(answer,), provenance="engine")
    return CallRecorded(
        call_id=name, rollout_id=rollout_id, attempt_id="at-1", call=asked, role=role, started_at=0, latency=0.1
    )


def trace(number, task, reward, *, exit_status="completed", calls=1):
    """A rollout that earned `reward`; nothing where that is None."""
    rollout_id = f"ro-{number}"
    target = Target(kind="rollout", id=rollout_id)
    earned = [] if reward is None else [RewardGiven(rollout_id=rollout_id, target=target, value=reward, judge="agent")]
    return Trace(
        rollout_id=rollout_id,
        attempt_id="at-1",
        task_id=task,
        status="succeeded" if exit_status == "completed" else "failed",
        exit_status=exit_status,
        calls=tuple(call(f"ca-{number}-{place}", rollout_id) for place in range(calls)),
        rewards=tuple(TraceReward(id=f"{number}", given=one) for one in earned),
    )


REWARDS = st.none() | st.sampled_from([-1.0, 0.0, 0.25, 0.5, 0.5, 1.0])
ENDS = st.sampled_from(["completed", "completed", "completed", "tool_failed", "gave_up"])


@st.composite
def rounds(draw):
    """Rollouts of a few tasks, in any order; some earned nothing, some came to a bad end."""
    kinds = draw(st.lists(st.tuples(st.sampled_from("xyz"), REWARDS, ENDS, st.integers(0, 2)), max_size=12))
    return [
        trace(number, task, reward, exit_status=end, calls=calls)
        for number, (task, reward, end, calls) in enumerate(kinds)
    ]


RULES = st.sampled_from(
    [
        Chosen(),
        Chosen(best=2),
        Chosen(at_least=0.5),
        Chosen("threshold", at_least=0.5),
        Chosen("weighted"),
        Chosen("weighted", at_least=0.5),
    ]
)


def chosen(rule, traces):
    """The rollouts that are learnt from."""
    return [trace for trace, reason in zip(traces, rule.reasons(traces), strict=True) if reason is None]


@given(traces=rounds(), rule=RULES)
def test_nothing_is_learnt_from_what_is_masked_or_unscored(traces, rule):
    """Whatever the rule; and under a bar, from nothing that earned less."""
    for one in chosen(rule, traces):
        assert one.mask is None
        assert one.reward is not None
        assert rule.at_least is None or one.reward >= rule.at_least
        assert rule.rule != "weighted" or one.reward > 0


@given(traces=rounds(), rule=RULES)
def test_each_call_has_a_credit_or_a_reason(traces, rule):
    """The credit is what its rollout earned, and re-adds."""
    made = rule(traces)

    assert made.captured == sum(len(one.calls) for one in traces)
    earned = {one.rollout_id: one.reward for one in traces}
    assert all(credit.value == earned[credit.rollout_id] for credit in made.rows)


@given(traces=rounds(), best=st.integers(1, 3))
def test_of_each_task_the_best_are_chosen_and_of_equals_the_earlier(traces, best):
    """No other of the task earned more, or as much and earlier."""
    fit = defaultdict(list)
    for place, one in enumerate(traces):
        if one.mask is None and one.reward is not None:
            fit[one.task_id].append((-one.reward, place))
    expected = {traces[place].rollout_id for ranked in fit.values() for _, place in sorted(ranked)[:best]}

    assert {one.rollout_id for one in chosen(Chosen(best=best), traces)} == expected


@given(traces=rounds())
def test_a_threshold_takes_all_that_reach_it(traces):
    """The bar itself is enough."""
    enough = [one for one in traces if one.mask is None and one.reward is not None and one.reward >= 0.5]

    assert chosen(Chosen("threshold", at_least=0.5), traces) == enough


def test_a_zero_is_no_missing_reward_and_weighs_nothing():
    """Three reasons that are not one."""
    traces = [
        trace(1, "x", 0.0),
        trace(2, "x", None),
        trace(3, "x", 0.5),
        trace(4, "x", 1.0, exit_status="tool_failed"),
    ]

    assert Chosen("weighted").reasons(traces) == ["not_positive", "no_reward", None, "masked:tool_failed"]


def test_calls_of_judges_are_not_looked_at():
    """They are no policy's."""
    one = trace(1, "x", 1.0)
    judged = Trace(
        **{name: getattr(one, name) for name in ("rollout_id", "attempt_id", "task_id", "status", "rewards")},
        calls=(*one.calls, call("ca-j", "ro-1", role="judge")),
    )

    assert Chosen()([judged]).captured == 1


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "most"},
        {"best": 0},
        {"rule": "threshold"},
        {"rule": "threshold", "at_least": float("nan")},
        {"rule": "weighted", "best": 2},
    ],
)
def test_what_makes_no_choice_is_refused(options):
    """Also as hyper-parameters of the algorithm."""
    with pytest.raises(BadValue):
        Chosen(**options)
    with pytest.raises(BadValue):
        SftConfig(**{"choose" if name == "rule" else name: value for name, value in options.items()})


class TestChosen(AdapterContract):
    """What every adapter promises."""

    @pytest.fixture
    def adapter(self):
        """As a plugin has it."""
        return agl_register_adapters()["chosen"]()
