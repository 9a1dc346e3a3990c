"""What goes wrong in a prompt search has a stated end, costs nothing twice, and leaves a run that can go on."""

import httpx
import pytest
from agl_apo import Apo, Pareto

import agl_core as agl
from agl_core.errors import AglError, BudgetSpent, ModelUnanswered
from agl_core.testing import Failing

KINDS = [
    pytest.param(Apo, {"beam_width": 1, "branch_factor": 1, "beam_rounds": 2, "gradient_batch_size": 2}, id="apo"),
    pytest.param(Pareto, {"rounds": 2, "parallel": 1, "gradient_batch_size": 2}, id="pareto"),
]
CRITICS = {"gradient_model": "critic", "apply_edit_model": "critic", "tries": 2}

searches = pytest.mark.parametrize(("kind", "settings"), KINDS)


def good(asked):
    """Makes a prompt a little better."""
    question = asked.messages[0]["content"]
    if "<criticism>" not in question:
        return "It never says steps."
    prompt = question.partition("<prompt>\n")[2].partition("\n</prompt>")[0]
    return f"<new_prompt>{prompt} Mind the steps.</new_prompt>"


@searches
@pytest.mark.parametrize(
    ("critic", "reason"),
    [
        (lambda _asked: "", "no_critique"),
        (lambda _asked: "```\n```", "no_critique"),
        (lambda asked: "Better: ask." if "<criticism>" in asked.messages[0]["content"] else "Poor.", "placeholders"),
        (lambda asked: "<new_prompt>{question} {who}</new_prompt>" if "<crit" in str(asked.messages) else "Poor.",
         "placeholders"),
    ],
    ids=["says nothing", "says a fence", "loses the placeholder", "invents one"],
)  # fmt: skip
def test_a_critic_that_is_of_no_use_costs_its_tries_and_the_base_stays(world, kind, settings, critic, reason):
    """Each branch is given up for its reason; the run ends well."""
    result = world.fit(kind(**CRITICS, **settings), critic=critic).result

    assert result["rejected"] == {reason: 2}
    assert result["candidates"] == 0
    assert result["verdict"].startswith("no gain: ")


@searches
def test_a_critic_that_is_busy_is_waited_for(world, kind, settings):
    """It says so again and again, and then answers: nothing else differs."""
    refusals = iter([True] * 5)

    def busy(asked):
        return Failing(after=0, code="rate_limited", status=429) if next(refusals, False) else good(asked)

    result = world.fit(kind(**CRITICS, **settings), critic=busy).result

    assert result["verdict"].startswith("gain: ")
    calls = world.facts("call.recorded")
    assert sum(1 + len(call.tries) for call in calls) == len(world.model.requests)


@searches
def test_a_critic_that_is_gone_ends_the_run_and_what_was_paid_is_not_paid_again(world, kind, settings):
    """Resumed when it is back, the run ends as if it had never been gone; each answer was asked for once."""
    answered = []

    def fails_late(asked):
        if len(answered) == 3:
            return Failing(after=0, code="gone", status=401)
        answered.append(good(asked))
        return answered[-1]

    with pytest.raises(ModelUnanswered):
        world.fit(kind(**CRITICS, **settings), critic=fails_late, run_id="run-critic")
    before = len(world.facts("rollout.enqueued"))
    result = world.fit(kind(**CRITICS, **settings), critic=good, resume="run-critic").result

    assert result["verdict"].startswith("gain: ")
    calls = [call for call in world.facts("call.recorded") if call.status == "ok"]
    assert len(calls) == result["candidates"] * 2
    assert len(world.facts("rollout.enqueued")) > before
    assert len({(run, mode) for run, mode in world.rows("select rollout_id, mode from rollouts")}) == len(
        world.facts("rollout.enqueued")
    )


@agl.rollout
async def talkative(task, prompt_template: agl.PromptTemplate, critic: agl.LLM) -> float:
    """Asks the model ten times, where a plan takes a rollout for one call; it earns by its prompt."""
    async with httpx.AsyncClient(timeout=60) as client:
        for n in range(10):
            asked = {"model": critic.model, "messages": [{"role": "user", "content": f"{task['question']} {n}"}]}
            headers = {"authorization": f"Bearer {critic.api_key}"}
            reply = await client.post(f"{critic.endpoint}/chat/completions", json=asked, headers=headers)
            reply.raise_for_status()
    return float("steps" in prompt_template.template)


def both(asked):
    """The agent's model, and the critic."""
    return good(asked) if "<prompt>" in str(asked.messages) else "Fine."


@pytest.mark.slow
@searches
def test_a_budget_that_ends_in_a_round_stops_there_and_the_rest_is_paid_once(world, kind, settings):
    """Agents that ask more than anybody could plan for break the plan, not the budget; resumed, nothing is lost."""
    job = {"agent": talkative, "critic": both, "val": 3, "test": 2, "n_runners": 1}
    whole, needed = world.fit(kind(**CRITICS, **settings), **job), len(world.model.requests)
    world.path += ".tight"

    with pytest.raises(BudgetSpent):
        world.fit(kind(**CRITICS, **settings), **job, budget={"calls": 28}, run_id="run-tight")
    paid = len(world.model.requests)
    ended = world.fit(kind(**CRITICS, **settings), **job, budget={"calls": 5000}, resume="run-tight")

    assert paid == 28
    assert ended.result == whole.result
    # The attempt that waited for money is handed out again, and begins at its beginning.
    assert needed <= paid + len(world.model.requests) <= needed + 10


@searches
@pytest.mark.parametrize(("val", "verdict"), [(0, None), (1, "too few to tell")])
def test_a_split_of_no_task_is_refused_and_one_of_a_single_task_tells_nothing(world, kind, settings, val, verdict):
    """Nobody is told of a gain that one task shows."""
    if verdict is None:
        with pytest.raises(AglError, match="val_dataset"):
            world.fit(kind(**CRITICS, **settings), val=val)
        assert world.facts("rollout.enqueued") == []
        return

    result = world.fit(kind(**CRITICS, **settings), val=val, test=0).result

    assert verdict in result["verdict"]
    assert result["winner"] == "v0"


@searches
def test_fewer_training_tasks_than_a_critique_asks_for_are_all_it_gets(world, kind, settings):
    """One is enough to criticise a prompt on."""
    result = world.fit(kind(**CRITICS, **{**settings, "gradient_batch_size": 8}), train=1).result

    assert result["verdict"].startswith("gain: ")


@searches
def test_a_candidate_whose_every_rollout_fails_does_not_win(world, kind, settings):
    """It is counted, with how they ended; the base stays."""

    @agl.rollout
    def brittle(task, prompt_template: agl.PromptTemplate) -> float:
        if "steps" in prompt_template.template:
            raise RuntimeError("too long for me")
        return 0.5

    config = agl.RolloutConfig(max_attempts=1)
    result = world.fit(kind(**CRITICS, **settings), brittle, critic=good, rollout_config=config).result

    assert result["winner"] == "v0"
    compared = [one for round_ in world.steps("candidates.compared") for one in round_]
    assert {one["outcome"] for one in compared if one["candidate"] != "v0"} <= {"too_few_scored", "dropped"}
