"""What is dropped, and for which reason."""

from __future__ import annotations

import math
from dataclasses import replace

import pytest
from agl_triplets import Triplets, agl_register_adapters

from agl_core.errors import BadValue
from agl_core.hookspecs import hookspec
from agl_core.spans.rewards import called

alone = Triplets(min_group=1)


def reasons(adapted):
    """Reason codes, in order."""
    return [dropped.reason for dropped in adapted.dropped]


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"status": "error"}, "call_failed"),
        ({"status": "broken"}, "call_failed"),
        ({"status": "unknown"}, "call_failed"),
        ({"provenance": "absent"}, "no_token_ids"),
        ({"provenance": "retokenised"}, "retokenised"),
        ({"logprobs": ()}, "no_logprobs"),
        ({"logprobs": (-1.0, -1.0)}, "logprobs_length"),
        ({"logprobs": (math.nan,)}, "bad_logprobs"),
        ({"logprobs": (-math.inf,)}, "bad_logprobs"),
        ({"logprobs": (0.01,)}, "bad_logprobs"),
        ({"temperature": 0.0}, "greedy"),
        ({"temperature": 0.7, "logprobs_mode": "raw"}, "raw_logprobs"),
        ({"temperature": 0.7, "logprobs_mode": None}, "raw_logprobs"),
        ({"top_p": 0.9}, "truncated_sampling"),
        ({"extra": {"min_p": 0.1}}, "truncated_sampling"),
        ({"extra": {"logit_bias": {"7": -100}}}, "truncated_sampling"),
    ],
)
def test_a_call_that_cannot_train_is_dropped_with_its_reason(call, trace, facts, reason):
    """One reason a call, and the other calls of the rollout stay."""
    adapted = alone([trace("ro-1", call("bad", [1], [2], **facts), call("good", [1], [2]))])

    assert [(dropped.call_id, dropped.reason) for dropped in adapted.dropped] == [("bad", reason)]
    assert [row.call_ids for row in adapted.rows] == [("good",)]
    assert (adapted.captured, adapted.kept) == (2, 1)


@pytest.mark.parametrize(
    ("prompt", "reply", "reason"), [([], "said", "no_token_ids"), ([1], "said", "no_token_ids"), ([1], "", "empty")]
)
def test_nothing_sampled_differs_from_nothing_known(call, trace, prompt, reply, reason):
    """An answer without ids was not captured; no answer is `empty`."""
    assert reasons(alone([trace("ro-1", call("a", prompt, [], reply=reply))])) == [reason]


def test_a_named_reward_counts_also_as_the_first_of_several(call, trace, reward):
    """The first of `{"exact": 0.5, "style": 1.0}` is the primary one, and trains under its own name too."""
    given = (reward("ro-1", 0.5, evidence=called("exact")), reward("ro-1", 1.0, name="style"))
    story = trace("ro-1", call("a", [1], [2]), rewards=given)

    earned = {name: Triplets(min_group=1, reward=name)([story]).rows[0].credits for name in ("exact", "style")}

    assert earned == {"exact": (0.5,), "style": (1.0,)}


@pytest.mark.parametrize("facts", [{"logprobs_mode": "raw"}, {"top_p": 1.0}, {"extra": {"min_p": 0.0}}])
def test_settings_that_change_nothing_are_fine(call, trace, facts):
    """At temperature 1 raw logprobs are the processed ones, and a neutral value bends nothing."""
    assert alone([trace("ro-1", call("a", [1], [2], **facts))]).kept == 1


def test_truncated_sampling_can_be_allowed(call, trace):
    """For those who know that the ratio is then not one."""
    adapter = Triplets(min_group=1, allow_truncated_sampling=True)

    assert adapter([trace("ro-1", call("a", [1], [2], top_p=0.9))]).kept == 1


@pytest.mark.parametrize("role", ["judge", "tool"])
def test_only_policy_calls_count(call, trace, role):
    """A judge's call is neither kept nor dropped."""
    assert alone([trace("ro-1", call("a", [1], [2], role=role))]).captured == 0


def test_a_missing_reward_is_not_a_zero(call, trace):
    """Nothing is trained on a number nobody gave."""
    adapted = alone([trace("ro-1", call("a", [1], [2]), reward=None)])

    assert (reasons(adapted), adapted.rows) == (["no_reward"], ())


def test_the_last_reward_of_the_rollout_counts(call, trace, reward):
    """Not another name's, and not a call's."""
    others = [reward("ro-1", 1.0, name="style"), reward("ro-1", 1.0, kind="call")]
    given = [reward("ro-1", 0.25), reward("ro-1", 0.5), *others]

    (row,) = alone([trace("ro-1", call("a", [1], [2]), rewards=given)]).rows

    assert row.reward == 0.5


@pytest.mark.parametrize(
    ("facts", "reason"),
    [
        ({"status": "failed", "exit_status": "worker_lost"}, "masked:worker_lost"),
        ({"status": "failed", "exit_status": "agent_raised"}, "masked:agent_raised"),
        ({"status": "failed", "exit_status": "tool_failed"}, "masked:tool_failed"),
        ({"status": "cancelled"}, "masked:cancelled"),
        ({"status": "running", "exit_status": None}, "masked:running"),
    ],
)
def test_what_the_policy_did_not_cause_is_masked(call, trace, facts, reason):
    """And leaves the group's baseline."""
    masked = trace("ro-1", call("a", [1], [2]), **facts)
    others = [trace(f"ro-{index}", call(f"c{index}", [1], [2])) for index in (2, 3)]

    assert reasons(Triplets(min_group=3)([masked, *others])) == [reason, "group_too_small", "group_too_small"]
    assert Triplets()([masked, *others]).kept == 2


@pytest.mark.parametrize("exit_status", ["completed", "gave_up", "prompt_too_long", "max_turns", "timeout"])
def test_the_policys_own_failures_train(call, trace, exit_status):
    """A dropped time-out would be an exit the policy can learn to take."""
    adapted = alone([trace("ro-1", call("a", [1], [2]), status="failed", exit_status=exit_status, reward=0.0)])

    assert [row.reward for row in adapted.rows] == [0.0]


def test_a_member_whose_calls_are_unfit_still_makes_a_baseline(call, trace):
    """Group size counts rewarded rollouts, not rows."""
    adapted = Triplets()([trace("ro-1", call("a", [1], [2])), trace("ro-2", call("b", [1], [2], logprobs=()))])

    assert adapted.kept == 1
    assert reasons(adapted) == ["no_logprobs"]


@pytest.mark.parametrize("apart", ["run_id", "group"])
def test_only_samples_of_one_group_are_compared(call, trace, apart):
    """The same task asked for again, in another round or another run, is another group."""
    batch = [trace(f"ro-{n}", call(f"c{n}", [1], [2]), **{apart: "ab"[n]}) for n in range(2)]

    assert reasons(Triplets()(batch)) == ["group_too_small", "group_too_small"]
    assert [(row.run_id, row.group) for row in alone(batch).rows] in [
        [("a", None), ("b", None)],
        [(None, "a"), (None, "b")],
    ]


def test_one_agent_can_be_selected(call, trace):
    """The calls of the others are dropped, and say so."""
    calls = call("a", [1], [2], agent="writer"), call("b", [1, 2, 3], [4], agent="critic")

    adapted = Triplets(agent="writer", min_group=1)([trace("ro-1", *calls)])

    assert [row.call_ids for row in adapted.rows] == [("a",)]
    assert reasons(adapted) == ["other_agent"]


def test_one_model_of_several_can_be_selected(call, trace):
    """Whichever version of it was asked for; what the other one said is dropped, and merged with nothing."""
    planner = [asked(call("a", [1], [2]), "planner"), asked(call("b", [1, 2, 3], [4]), "planner@3")]

    adapted = Triplets(model="planner", min_group=1)([trace("ro-1", *planner, asked(call("c", [1, 2], [5]), "solver"))])

    assert [row.call_ids for row in adapted.rows] == [("a", "b")]
    assert reasons(adapted) == ["other_model"]


def asked(recorded, model):
    """The same call, of that model."""
    return replace(recorded, call=replace(recorded.call, model=model))


@pytest.mark.parametrize("options", [{"level": "token"}, {"min_group": 0}])
def test_bad_options_are_refused(options):
    """With a code, before any trace is read."""
    with pytest.raises(BadValue):
        Triplets(**options)


def test_the_hook_is_registered_under_its_name():
    """What the registry finds is the class itself."""
    assert agl_register_adapters()["triplets"] is Triplets
    assert Triplets.name == "triplets"
    assert hookspec.project_name == "agl"


def test_an_empty_batch_is_an_empty_batch():
    """Agent Lightning v0.3 raised `ValueError` on `adapt([])`."""
    adapted = Triplets()([])

    assert (list(adapted.rows), adapted.captured) == ([], 0)
