"""Matching as a credit: each call's reward, the sum it comes from, and the rows that are made of it."""

import json
from dataclasses import replace

import pytest
from agl_triplets import Matched, Triplets
from click.testing import CliRunner

import agl_core as agl
from agl_core.adapter import TraceReward
from agl_core.cli import agl as command
from agl_core.errors import BadValue
from agl_core.events import RewardGiven, Target
from agl_core.testing import ScriptedModel


def given(reward_id, value, *, target=None, name="primary"):
    """A reward that is a fact of its own."""
    target = target or Target(kind="rollout", id="ro-1")
    event = RewardGiven(rollout_id="ro-1", target=target, value=value, name=name, judge="agent")
    return TraceReward(id=reward_id, given=event)


@pytest.fixture
def turns(call, trace):
    """Three calls; a reward after the first, and one after the third."""
    calls = tuple(call(f"ca-{place}", (place,), (7,)) for place in (1, 2, 3))
    seen = trace("ro-1", *calls, reward=None)
    positions = {"ca-1": 1, "rw-1": 2, "ca-2": 3, "ca-3": 4, "rw-2": 5}
    return replace(seen, rewards=(given("rw-1", 0.25), given("rw-2", 0.75)), positions=positions)


def test_a_credit_says_which_reward_and_by_which_rule(turns):
    """Its terms add up to it, and `agl explain` prints them."""
    adapted = Matched()([turns])

    assert [(one.call_id, one.value, one.rule) for one in adapted.rows] == [
        ("ca-1", 0.25, "matched:first_occurrence"),
        ("ca-3", 0.75, "matched:first_occurrence"),
    ]
    ((term,),) = (one.terms for one in adapted.rows[:1])
    assert (term.reward_id, term.value, term.weight) == ("rw-1", 0.25, 1.0)
    assert term.why == "the most recent call without a reward when it was given"


def test_a_call_that_no_reward_was_matched_with_earned_nothing_and_not_zero(turns):
    """It is dropped, with the reason."""
    assert [(one.call_id, one.reason) for one in Matched()([turns]).dropped] == [("ca-2", "no_reward")]


def test_a_reward_that_found_no_call_is_told_of(turns):
    """It came before there was any."""
    early = replace(turns, positions={**turns.positions, "rw-1": 0})

    assert [(one.reward_id, one.reason) for one in Matched()([early]).unmatched] == [("rw-1", "no_call")]


@pytest.mark.parametrize("level", ["trajectory", "transition"])
def test_rows_have_the_rewards_that_were_matched(turns, level):
    """And the calls without one are in none."""
    adapted = Triplets(level, min_group=1, credit=Matched())([turns])

    assert [(row.call_ids, row.credits) for row in adapted.rows] == [(("ca-1",), (0.25,)), (("ca-3",), (0.75,))]
    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("ca-2", "no_reward")]


class Learning:
    """One round, and a batch by the rule."""

    name = "learning"

    def __init__(self):
        self.batch = None

    async def run(self, run):
        """As an algorithm does."""
        outcomes = await run.rollouts(run.train)
        rule = {"name": "matched", "reward_match": "first_occurrence"}
        self.batch = run.adapt(outcomes, "triplets", min_group=1, level="transition", credit=rule)


@agl.rollout
async def walker(task: dict, llm: agl.LLM) -> float:
    """Three steps; the environment rewards the first, and the end the last."""
    import httpx

    key = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=key) as client:
        for step in range(3):
            body = {"model": llm.model, "messages": [{"role": "user", "content": f"Step {step}"}]}
            (await client.post("/chat/completions", json=body)).raise_for_status()
            if step == 0:
                agl.emit_reward(0.25)
    return float(task["worth"])


def test_a_run_trains_on_matched_rewards_and_explains_them(tmp_path):
    """By the name of the rule; what is printed adds up to what the rows have."""
    learning, log = Learning(), tmp_path / "log.db"
    with ScriptedModel("said", owner="vllm") as model:
        trainer = agl.Trainer(algorithm=learning, models={"policy": f"{model.url}#policy"}, store=str(log))
        trainer.fit(walker, train_dataset=[{"worth": 0.75}])
    with agl.open_log(str(log), readonly=True) as facts:
        calls = [call for (call,) in facts.rows("select call_id from calls order by position")]
        (rollout_id,) = facts.rows("select rollout_id from rollouts")[0]

    told = CliRunner().invoke(command, ["explain", rollout_id, "--json", "--log", str(log)])

    assert [(row.call_ids, row.credits) for row in learning.batch.rows] == [
        ((calls[0],), (0.25,)),
        ((calls[2],), (0.75,)),
    ]
    assert [(one.call_id, one.reason) for one in learning.batch.dropped] == [(calls[1], "no_reward")]
    assert told.exit_code == 0, told.output
    (batch,) = json.loads(told.stdout)["batches"]
    explained = [call for one in batch["explained"] for row in one["rows"] for call in row["calls"]]
    assert batch["agrees"]
    assert [(call["credit"], call["in_row"]) for call in explained] == [(0.25, 0.25), (0.75, 0.75)]
    assert {term["why"] for call in explained for term in call["terms"]} == {
        "the most recent call without a reward when it was given"
    }


def test_a_rule_that_is_none_is_refused():
    """With those there are."""
    with pytest.raises(BadValue, match="first_sibling"):
        Matched(reward_match="nearest")
