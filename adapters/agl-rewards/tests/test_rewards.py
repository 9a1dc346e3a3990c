"""What a reward is for, which one of several counts, and what is refused."""

from __future__ import annotations

from statistics import fmean, stdev

import pytest
from agl_rewards import Rewards, agl_register_adapters

from agl_core.errors import BadValue


def unmatched(adapted):
    """Reasons, in order."""
    return [one.reason for one in adapted.unmatched]


@pytest.mark.parametrize(
    ("of", "reason"),
    [
        ("call ca-9", "unknown_target"),
        ("span sp-9", "unknown_target"),
        ("agent nobody", "unknown_target"),
        ("call ca-failed", "call_failed"),
        ("call ca-judge", "not_policy"),
        ("span sp-empty", "no_call"),
        ("agent judge", "no_call"),
    ],
)
def test_a_reward_that_reaches_no_call_says_why(call, span, reward, trace, of, reason):
    """And it changes no other call's credit."""
    calls = (
        call("ca-1"),
        call("ca-failed", status="error", started_at=1),
        call("ca-judge", role="judge", agent="judge", started_at=2),
    )
    story = trace(*calls, spans=[span("sp-empty", 50, 60)], rewards=[reward(1.0), reward(0.5, of=of)])

    adapted = Rewards("discounted")([story])

    assert [(one.reward_id, one.reason) for one in adapted.unmatched] == [("ro-1/1", reason)]
    assert [(one.call_id, one.value) for one in adapted.rows] == [("ca-1", 1.0)]


def test_a_rule_looks_for_its_own_targets_alone(call, reward, trace):
    """`final` does not look for the call that another reward names, and so does not miss it."""
    story = trace(call("ca-1"), rewards=[reward(1.0), reward(0.5, of="call ca-9")])

    assert unmatched(Rewards("final")([story])) == []
    assert unmatched(Rewards("per_agent")([story])) == []
    assert unmatched(Rewards("per_call")([story])) == ["unknown_target"]


def test_a_masked_rollout_has_no_unmatched_rewards(call, reward, trace):
    """Nothing of it counts."""
    story = trace(call("ca-1"), rewards=[reward(0.5, of="call ca-9")], status="failed", exit_status="worker_lost")

    assert unmatched(Rewards("per_call")([story])) == []


def test_a_reward_for_the_span_of_a_call_is_the_calls(call, span, reward, trace, earned):
    """A tracer's span of a model call tells of the call that the wire had: the later of two opinions counts."""
    told = span("sp-1", 0, 9, attributes={"gen_ai.operation.name": "chat", "gen_ai.response.id": "re-ca-1"})
    rewards = [reward(0.25, of="call ca-1"), reward(0.75, of="span sp-1")]

    assert earned(Rewards("per_call")([trace(call("ca-1"), spans=[told], rewards=rewards)])) == {"ca-1": 0.75}


def test_the_nearest_reward_is_the_calls_own(call, span, reward, trace, earned):
    """Whatever came last: the call's, then the inner span's, then the outer one's."""
    spans = [span("sp-out", 0, 100), span("sp-in", 15, 25, parent_id="sp-out")]
    rewards = [reward(1.0, of="call ca-1"), reward(2.0, of="span sp-in"), reward(3.0, of="span sp-out")]
    calls = [call(f"ca-{number}", started_at=10 * number) for number in (1, 2, 3)]

    assert earned(Rewards("per_call")([trace(*calls, spans=spans, rewards=rewards)])) == {
        "ca-1": 1.0,
        "ca-2": 2.0,
        "ca-3": 3.0,
    }


def test_a_dimension_answers_to_the_name_it_was_given_under(call, reward, trace, earned):
    """`emit_reward({"accuracy": 1, "style": 0.5}, primary_key="accuracy")`: the primary one is still accuracy."""
    primary = reward(1.0, evidence={"agentlightning.reward.0.name": "accuracy"})
    story = trace(call("ca-1"), rewards=[primary, reward(0.5, name="style")])

    assert earned(Rewards(reward="accuracy")([story])) == {"ca-1": 1.0}
    assert earned(Rewards(reward={"accuracy": 2.0, "style": 1.0})([story])) == {"ca-1": 2.5}
    assert earned(Rewards(reward="speed")([story])) == {"ca-1": "no_reward"}


def test_a_zero_nobody_gave_is_told_as_one(call, reward, trace):
    """Only where the run treats such rollouts so, and then with no event to point at."""
    ended = {"status": "failed", "exit_status": "timeout"}
    (credit,) = Rewards()([trace(call("ca-1"), treated="zero", **ended)]).rows
    (term,) = credit.terms

    assert (credit.value, term.reward_id, term.value) == (0.0, None, 0.0)
    assert "timeout" in term.why
    assert Rewards()([trace(call("ca-1"), **ended)]).kept == 0


def test_terms_say_what_they_are_of(call, reward, trace):
    """Event, judge, raw value and weight: enough to do the sum on paper."""
    calls = call("ca-1"), call("ca-2", started_at=1)
    story = trace(*calls, rewards=[reward(8.0, judge="exact-match 1.0")])

    first, last = Rewards("discounted", gamma=0.5)([story]).rows
    (share,), (term,) = first.terms, last.terms

    assert (term.reward_id, term.judge, term.value, term.weight) == ("ro-1/0", "exact-match 1.0", 8.0, 1.0)
    assert (term.call_id, term.why) == (None, "for the rollout, at the last call")
    assert (share.reward_id, share.call_id, share.judge) == (None, "ca-2", "discounted")
    assert (share.value, share.weight, share.why) == (last.value, 0.5, "discount 0.5, for what comes after")
    assert (first.rule, first.value) == ("discounted", 4.0)


def test_a_long_rollout_has_as_many_terms_as_rewards_and_calls(call, reward, trace):
    """Ten thousand calls, each scored: not fifty million terms, and the first call still has of the last reward."""
    many = 10_000
    calls = [call(f"ca-{number}", started_at=number) for number in range(many)]
    rewards = [reward(1.0, of=f"call {one.call_id}") for one in calls]

    rows = Rewards("discounted")([trace(*calls, rewards=rewards)]).rows

    assert sum(len(credit.terms) for credit in rows) == 2 * many - 1
    assert [credit.value for credit in rows] == [float(many - place) for place in range(many)]


def test_a_return_is_the_discounted_sum_of_what_comes(call, reward, trace):
    """The recursion (3.9) comes to what the definition (3.8) says."""
    gamma, given = 0.9, [0.3, -2.0, 0.0, 7.5, 0.125]
    calls = [call(f"ca-{number}", started_at=number) for number in range(len(given))]
    rewards = [reward(value, of=f"call ca-{number}") for number, value in enumerate(given)]

    rows = Rewards("discounted", gamma=gamma)([trace(*calls, rewards=rewards)]).rows

    definition = [sum(gamma**k * value for k, value in enumerate(given[t:])) for t in range(len(given))]
    assert [credit.value for credit in rows] == pytest.approx(definition, rel=1e-12)


def test_zeros_that_nobody_gave_arrive_at_the_end(call, trace):
    """Each agent's last call has it, and the ones before have their share of nothing."""
    calls = call("ca-1", agent="writer"), call("ca-2", agent="critic"), call("ca-3", agent="writer")
    story = trace(*calls, treated="zero", status="failed", exit_status="timeout")

    rows = Rewards("discounted", gamma=0.5)([story]).rows

    assert [(one.call_id, one.value) for one in rows] == [("ca-1", 0.0), ("ca-2", 0.0), ("ca-3", 0.0)]
    assert [[(term.judge, term.call_id) for term in one.terms] for one in rows] == [
        [("discounted", "ca-3")],
        [("failures", None)],
        [("failures", None)],
    ]


def test_a_zero_that_one_name_lacks_stands_where_the_last_thing_arrives(call, reward, trace):
    """A name that was scored midway, and one that nobody gave: after the first nothing arrives."""
    calls = [call(f"ca-{number}", started_at=number) for number in (1, 2, 3)]
    scored = [reward(4.0, of="call ca-2", name="style")]
    story = trace(*calls, rewards=scored, treated="zero", status="failed", exit_status="timeout")

    adapted = Rewards("discounted", gamma=0.5, reward={"style": 1.0, "primary": 1.0})([story])

    assert [(one.call_id, one.value, len(one.terms)) for one in adapted.rows] == [("ca-1", 2.0, 1), ("ca-2", 4.0, 2)]
    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("ca-3", "no_reward")]


def test_groups_tell_their_size(call, reward, trace):
    """To whoever logs them; in each term, too."""
    batch = [
        trace(call(f"ca-{n}", rollout_id=f"ro-{n}"), rewards=[reward(float(n % 2))], rollout_id=f"ro-{n}")
        for n in range(4)
    ]
    rewards = Rewards("group_relative")

    (group,) = rewards.groups(batch)
    terms = rewards(batch).rows[0].terms

    assert (group.size, group.mean, group.task_id) == (4, 0.5, "ta-1")
    assert group.std == pytest.approx(0.57735, abs=1e-5)
    assert [term.rollout_id for term in terms] == ["ro-0", "ro-1", "ro-2", "ro-3"]
    assert "in a group of 4" in terms[0].why


def test_other_tasks_groups_and_runs_are_not_compared(call, reward, trace):
    """A group is one task in one group of one run."""
    facts = [{}, {"task_id": "ta-2"}, {"group": "round-2"}, {"run_id": "run-2"}]
    batch = [
        trace(call(f"ca-{n}", rollout_id=f"ro-{n}"), rewards=[reward(1.0)], rollout_id=f"ro-{n}", **said)
        for n, said in enumerate(facts)
    ]

    adapted = Rewards("group_relative")(batch)

    assert {dropped.reason for dropped in adapted.dropped} == {"group_too_small"}
    assert adapted.kept == 0


def test_a_rollout_without_calls_is_in_the_mean(call, reward, trace, earned):
    """It tried, and was scored."""
    silent = trace(rewards=[reward(0.0)], rollout_id="ro-2")
    spoke = trace(call("ca-1"), rewards=[reward(1.0)])

    assert earned(Rewards("group_relative", normalise_std=False)([spoke, silent])) == {"ca-1": 0.5}


def test_agents_are_compared_with_their_namesakes(call, reward, trace, earned):
    """`of="per_agent"`: the writer of one rollout with the writer of another."""
    batch = [
        trace(
            call(f"writer-{n}", agent="writer", rollout_id=f"ro-{n}"),
            call(f"critic-{n}", agent="critic", rollout_id=f"ro-{n}", started_at=1),
            rewards=[reward(writer, of="agent writer"), *([reward(1.0, of="agent critic")] if n else [])],
            rollout_id=f"ro-{n}",
        )
        for n, writer in enumerate((1.0, 3.0))
    ]

    assert earned(Rewards("group_relative", of="per_agent", normalise_std=False)(batch)) == {
        "writer-0": -1.0,
        "critic-0": "no_reward",
        "writer-1": 1.0,
        "critic-1": "group_too_small",
    }


def test_a_group_that_agrees_earns_nothing(call, reward, trace, earned):
    """Exactly zero, whatever the value is and however it rounds."""
    batch = [
        trace(call(f"ca-{n}", rollout_id=f"ro-{n}"), rewards=[reward(0.1)], rollout_id=f"ro-{n}") for n in range(3)
    ]

    assert set(earned(Rewards("group_relative")(batch)).values()) == {0.0}


def test_advantages_are_those_of_grpo(call, reward, trace, earned):
    """As the paper writes them, and not as a sum: (r - mean) / (std + 1e-6), or r - mean."""
    given = {"ro-0": 0.3, "ro-1": 0.9, "ro-2": 0.31, "ro-3": -2.0}
    batch = [
        trace(call(rollout_id, rollout_id=rollout_id), rewards=[reward(value)], rollout_id=rollout_id)
        for rollout_id, value in given.items()
    ]

    for normalise_std in (True, False):
        found = earned(Rewards("group_relative", normalise_std=normalise_std)(batch))

        scale = stdev(given.values()) + 1e-6 if normalise_std else 1.0
        paper = {rollout_id: (value - fmean(given.values())) / scale for rollout_id, value in given.items()}
        assert found == pytest.approx(paper, rel=1e-12, abs=1e-12)


def test_one_agent_can_be_kept(call, reward, trace, earned):
    """The others' calls are dropped, and say so; the steps between stay as they were."""
    calls = call("ca-1", agent="writer"), call("ca-2", agent="critic"), call("ca-3", agent="writer")

    found = earned(Rewards("discounted", gamma=0.5, agent="writer")([trace(*calls, rewards=[reward(1.0)])]))

    assert found == {"ca-1": 0.5, "ca-2": "other_agent", "ca-3": 1.0}


@pytest.mark.parametrize(
    "options",
    [
        {"rule": "best"},
        {"rule": "discounted", "gamma": 1.5},
        {"rule": "discounted", "gamma": float("nan")},
        {"rule": "final", "gamma": 0.9},
        {"rule": "final", "otherwise": "final"},
        {"rule": "per_call", "otherwise": "zero"},
        {"rule": "group_relative", "of": "discounted"},
        {"rule": "sum", "normalise_std": False},
        {"rule": "sum", "advantage": "rloo"},
        {"rule": "group_relative", "advantage": "ppo"},
        {"rule": "group_relative", "advantage": "rloo", "normalise_std": False},
        {"reward": {}},
        {"reward": {"accuracy": float("inf")}},
        {"reward": {"accuracy": "much"}},
        {"reward": ["accuracy"]},
        {"reward": ""},
    ],
)
def test_bad_options_are_refused(options):
    """With a code, before any trace is read; one that its rule has no use for, too."""
    with pytest.raises(BadValue):
        Rewards(**options)


@pytest.mark.parametrize("rule", ["sum", "discounted", "group_relative"])
def test_rewards_too_large_to_add_are_refused(call, reward, trace, rule):
    """With a code: each is a finite number, and their sum is none."""
    huge = [reward(1.7e308), reward(1.7e308, of="call ca-1")] + [reward(1.7e308)] * (rule == "sum")
    batch = [trace(call("ca-1"), rewards=huge), trace(call("ca-2"), rewards=[reward(-1.7e308)], rollout_id="ro-2")]

    with pytest.raises(BadValue, match="too large"):
        Rewards(rule)(batch)


def test_weights_too_large_are_refused(call, reward, trace):
    """With a code: one infinity less another is no number."""
    story = trace(call("ca-1"), rewards=[reward(10.0, name="accuracy"), reward(10.0, name="style")])

    with pytest.raises(BadValue, match="too large"):
        Rewards(reward={"accuracy": 1e308, "style": -1e308})([story])


def test_the_hook_is_registered_under_its_name():
    """What the registry finds is the class itself."""
    assert agl_register_adapters() == {"rewards": Rewards}
    assert Rewards.name == "rewards"
