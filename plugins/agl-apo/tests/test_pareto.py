"""The Pareto search: who leads where, what is merged, and real runs with a scripted critic."""

import re
from collections import Counter

import pytest
from agl_apo import Pareto, ParetoConfig
from agl_apo._candidate import Candidate
from agl_apo._pareto_pool import leads, merged, undominated
from hypothesis import given
from hypothesis import strategies as st

import agl_core as agl
from agl_core.errors import BadValue
from agl_core.testing import AlgorithmContract, ScriptedModel

SMALL = {"gradient_model": "critic", "apply_edit_model": "critic", "gradient_batch_size": 2, "rounds": 3, "parallel": 2}

rewards = st.dictionaries(st.sampled_from("abcd"), st.sampled_from([0.0, 0.5, 1.0]), min_size=1)


@given(st.dictionaries(st.sampled_from(["v0", "v1", "v2", "v3"]), rewards, min_size=1))
def test_what_is_left_leads_wherever_anybody_leads(scores):
    """Nobody else does, and nobody who is left could be spared."""
    fronts = leads(scores)

    left = undominated(fronts, scores)

    assert left
    assert set().union(*(fronts[name] for name in left)) == {task for one in scores.values() for task in one}
    for name in left:
        others = set().union(*(fronts[other] for other in left if other != name))
        assert fronts[name] - others


def test_a_prompt_that_alone_solves_a_task_stays_on_the_front():
    """However poor it is elsewhere; one that leads only where others do, too, does not."""
    scores = {
        "v0": {"a": 0.5, "b": 0.5, "c": 0.5},
        "v1": {"a": 1.0, "b": 1.0, "c": 0.0},
        "v2": {"a": 0.0, "b": 0.0, "c": 1.0},
        "v3": {"a": 0.0, "b": 1.0, "c": 0.0},
    }

    assert undominated(leads(scores), scores) == {"v1": 2, "v2": 1}


def candidate(name, **prompts):
    """One with those prompts."""
    templates = {key: agl.PromptTemplate(template=text) for key, text in prompts.items()}
    return Candidate(name=name, prompts=templates, bundle=None)


def test_a_merge_takes_of_each_what_it_alone_changed():
    """Where both changed the same prompt, or one of them nothing, there is nothing to put together."""
    base = candidate("v0", plan="p", act="a")
    planner, actor = candidate("v1", plan="P", act="a"), candidate("v2", plan="p", act="A")

    assert merged(base, planner, actor) == {"act": agl.PromptTemplate(template="A")}
    assert merged(base, planner, candidate("v3", plan="Q", act="a")) == {}
    assert merged(base, base, actor) == {}
    assert merged(base, planner, base) == {}


def test_a_better_prompt_is_found_examined_and_promoted(world):
    """The same end as the beam search has, by the same parts."""
    algorithm = Pareto(**SMALL)

    result = world.fit(algorithm).result

    assert result["verdict"].startswith("gain: v")
    assert (result["val"]["base"], result["val"]["best"]) == (0, 1)
    assert result["difference"]["mean"] == 1
    assert result["front"] == {result["winner"]: 8}
    assert world.trainer.algorithm.get_best_prompt().template.count("Mind the") == 3
    (promoted,) = world.facts("resources.promoted")
    assert promoted.run_id
    outcomes = [one["outcome"] for round_ in world.steps("candidates.compared") for one in round_]
    assert set(outcomes) <= {"held", "dropped"}


def test_no_candidate_runs_on_a_task_twice(world):
    """Neither on those that it was criticised on, nor on the validation split."""
    world.fit(Pareto(**SMALL))

    times = Counter(run for run in world.ran() if run[1] != "test")
    assert set(times.values()) == {1}


def test_a_child_that_gains_nothing_on_its_parents_tasks_costs_no_validation(world):
    """It is tried on as many tasks as it was made from, and left with its numbers."""

    def useless(asked):
        question = asked.messages[0]["content"]
        prompt = re.search(r"<prompt>\n(.*?)\n</prompt>", question, re.DOTALL)[1]
        return f"<new_prompt>{prompt} Please.</new_prompt>" if "<criticism>" in question else "It is rude."

    result = world.fit(Pareto(**SMALL), critic=useless).result

    assert result["verdict"] == "no gain: no candidate was better, and the base prompt stays"
    assert {prompt for prompt, mode, _ in world.ran() if mode == "val"} == {"Answer: {question}"}
    compared = [one for round_ in world.steps("candidates.compared") for one in round_]
    assert compared
    assert {(one["outcome"], one["gain_on_parent"], one["gain"]) for one in compared} == {("dropped", 0, None)}


@agl.rollout
def planned(task, plan: agl.PromptTemplate, act: agl.PromptTemplate) -> float:
    """Half for each of two prompts that says its word; on each task only one of them counts."""
    prompt, word = (plan, "steps") if task["n"] % 2 else (act, "units")
    return float(word in prompt.template)


def test_what_two_leaders_changed_apart_is_put_together(world):
    """Each leads on half of the tasks; together they lead on all."""

    def critic(asked):
        question = asked.messages[0]["content"]
        prompt = re.search(r"<prompt>\n(.*?)\n</prompt>", question, re.DOTALL)[1]
        word = "units" if prompt.startswith("Act") else "steps"
        return f"<new_prompt>{prompt} Mind the {word}.</new_prompt>" if "<criticism>" in question else f"No {word}."

    prompts = {"plan": "Plan: {question}", "act": "Act: {question}"}
    settings = {**SMALL, "rounds": 2, "gradient_batch_size": 4}

    result = world.fit(Pareto(**settings), planned, critic=critic, prompts=prompts).result

    published = world.facts("resources.published")
    assert any(re.fullmatch(r"v\d with what v\d changed", event.why) for event in published)
    assert (result["val"]["base"], result["val"]["best"]) == (0, 1)


@pytest.mark.parametrize(
    "wrong", [{"parallel": 0}, {"rounds": -1}, {"min_scored": 0}, {"diversity_temperature": float("nan")}], ids=str
)
def test_settings_that_make_no_search_are_refused(wrong):
    """Before anything runs."""
    with pytest.raises(BadValue):
        ParetoConfig(**wrong)


@agl.rollout
def worded(task, prompt_template: agl.PromptTemplate) -> float:
    """Earns by what its prompt says."""
    return float("steps" in prompt_template.template)


@pytest.mark.slow
class TestPareto(AlgorithmContract):
    """What every algorithm promises, of this one."""

    deaths = 100
    cancels = 1

    @pytest.fixture
    def make(self, provider):
        """A round with one parent."""
        settings = {**SMALL, "rounds": 1, "parallel": 1, "gradient_batch_size": 1}
        return lambda: Pareto(**{**settings, "gradient_model": "policy", "apply_edit_model": "policy"}, prompt="Hello")

    @pytest.fixture
    def agent(self):
        """It earns by its prompt alone."""
        return worded

    @pytest.fixture
    def tasks(self):
        """One of each."""
        return {split: [{"question": split}] for split in ("train", "val", "test")}

    @pytest.fixture
    def provider(self):
        """A critic."""

        def said(asked):
            question = asked.messages[0]["content"]
            return "<new_prompt>Hello, mind the steps.</new_prompt>" if "<criticism>" in question else "No steps."

        with ScriptedModel(said) as model:
            yield model

    @pytest.fixture
    def options(self, provider):
        """Of the trainer."""
        return {"models": {"policy": f"{provider.url}#policy"}}
