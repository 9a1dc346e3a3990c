"""The search as a whole: real runs with a scripted critic."""

import asyncio
import json
import threading
import urllib.request
from collections import Counter

import pytest
from agl_apo import Apo, ApoConfig

import agl_core as agl
from agl_core.errors import BadValue, ModelNotFound, TooFewScored
from agl_core.testing import ScriptedModel


def test_a_better_prompt_is_found_examined_and_promoted(world, small):
    """The result has the numbers of both splits; the winner is the last version that was promoted."""
    algorithm = Apo(**small)

    result = world.fit(algorithm).result

    best = "Answer: {question} Mind the steps. Mind the units. Mind the check."
    assert result["verdict"].startswith("gain: v3 is better than the base prompt, +1.000 on test")
    assert result["prompts"] == {"prompt_template": best}
    assert (result["val"]["base"], result["val"]["best"]) == (0, 1)
    assert (result["reward_before"]["mean"], result["reward_after"]["mean"]) == (0, 1)
    assert result["regressed"] == {"val": [], "test": []}
    (promoted,) = world.facts("resources.promoted")
    published = world.facts("resources.published")[-1]
    assert (promoted.resources_id, promoted.version) == (published.resources_id, published.version)
    assert world.trainer.algorithm.get_best_prompt() == agl.PromptTemplate(template=best)


def test_every_candidate_says_what_it_came_from_and_why(world, small):
    """A version names its parent and the critique that made it; each comparison is kept, with who went on."""
    world.fit(Apo(**small))

    published = world.facts("resources.published")
    assert [event.why for event in published] == [
        "initial", "It never says: steps.", "It never says: units.", "It never says: check.",
    ]  # fmt: skip
    assert [event.parent and event.parent.rpartition("@")[2] for event in published] == [None, "1", "2", "3"]
    compared = world.steps("candidates.compared")
    assert [[one["candidate"] for one in round_] for round_ in compared] == [
        ["v0", "v1"], ["v1", "v0", "v2"], ["v2", "v1", "v3"],
    ]  # fmt: skip
    assert {one["candidate"]: one["outcome"] for one in compared[1]} == {"v1": "held", "v0": "dropped", "v2": "held"}
    assert compared[0][1]["gain"] == pytest.approx(1 / 3)


def test_no_candidate_runs_on_a_task_twice(world, small):
    """Who goes on to another round, or leads it, is run on what is new to it alone. v0.3 runs it on all again."""
    world.fit(Apo(**small))

    times = Counter(run for run in world.ran() if run[1] != "test")
    assert set(times.values()) == {1}
    assert sum(mode == "val" for _, mode, _ in times) < 8 + 3 * 4 * 4


def test_candidates_are_run_side_by_side(world, small):
    """Two prompts are under way at once: each waits until the other one is there, too."""
    meeting = threading.Barrier(2, timeout=20)

    @agl.rollout
    def waiting(task, prompt_template: agl.PromptTemplate, rollout: agl.Rollout) -> float:
        if rollout.mode == "val" and "units" in prompt_template.template:
            meeting.wait()
        return float("units" in prompt_template.template)

    def critic(asked):
        question = asked.messages[0]["content"]
        number = sum("<criticism>" in one.messages[0]["content"] for one in world.model.requests)
        return f"<new_prompt>\n{{question}} units {number}\n</new_prompt>" if "<criticism>" in question else "Units."

    small |= {"beam_rounds": 1, "val_batch_size": 1, "branch_factor": 2, "beam_width": 1}

    result = world.fit(Apo(**small), waiting, critic=critic, n_runners=2, val=1, test=0).result

    assert result["candidates"] == 2


def test_what_did_not_end_is_no_zero_and_does_not_win(world, small):
    """A prompt that hangs on half of the tasks, and shines on the others, is not taken for a good one."""

    @agl.rollout
    async def hanging(task, prompt_template: agl.PromptTemplate) -> float:
        if "steps" in prompt_template.template:
            if task["n"] % 2:
                await asyncio.Event().wait()
            return 1.0
        return 0.5

    small |= {"beam_rounds": 1, "rollout_batch_timeout": 0.3}

    result = world.fit(Apo(**small), hanging).result

    assert result["verdict"] == "no gain: no candidate was better, and the base prompt stays"
    ((base, candidate),) = world.steps("candidates.compared")
    assert (base["scored"], base["of"]) == (4, 4)
    assert candidate["scored"] == 2
    assert candidate["lost"] == {"timeout": 2}
    assert candidate["outcome"] == "too_few_scored"
    assert candidate["mean"] == 1.0


def test_a_winner_that_fails_under_seal_is_none(world, small):
    """Where it came to an end it shines, as on all that it was chosen by; half of the tasks are not enough."""

    @agl.rollout
    def giving_up(task, prompt_template: agl.PromptTemplate, rollout: agl.Rollout) -> float:
        if "steps" not in prompt_template.template:
            return 0.5
        if rollout.mode == "test" and task["n"] % 2:
            raise RuntimeError("it does not know how to go on")
        return 1.0

    result = world.fit(Apo(**small | {"beam_rounds": 1}), giving_up, test=16, n_runners=8).result

    assert (result["val"]["best"], result["reward_after"], result["masked"]) == (
        1,
        {"mean": 1, "n": 8, "ci95": [1, 1]},
        8,
    )
    assert result["winner"] == "v0"
    assert "too few of all tasks were scored" in result["verdict"]


def test_where_nothing_is_better_the_base_prompt_stays(world, small):
    """That is an end like any other: it is promoted again, and the test split stays under seal."""

    @agl.rollout
    def brief(task, prompt_template: agl.PromptTemplate) -> float:
        return 1 - len(prompt_template.template) / 1000

    summary = world.fit(Apo(**small), brief)

    assert summary.status == "finished"
    assert summary.result["verdict"] == "no gain: no candidate was better, and the base prompt stays"
    assert summary.result["val"] == {
        "base": 0.982, "best": 0.982, "difference": {"mean": 0, "n": 8, "ci95": [0, 0]},
    }  # fmt: skip
    (promoted,) = world.facts("resources.promoted")
    assert promoted.version == 1
    assert world.facts("test.opened") == []


def test_a_gain_that_may_be_chance_keeps_the_base_prompt(world, small):
    """Better on the tasks it was chosen by, and now better, now worse under seal: both numbers, and where it lost."""

    @agl.rollout
    def lucky(task, prompt_template: agl.PromptTemplate, rollout: agl.Rollout) -> float:
        if "steps" not in prompt_template.template:
            return 0.5
        return 1.0 if rollout.mode != "test" or task["n"] % 2 else 0.1

    result = world.fit(Apo(**small | {"beam_rounds": 1}), lucky).result

    assert result["verdict"].startswith("no significant gain: v1 is +0.050 on test (95 % from ")
    assert result["verdict"].endswith("8 tasks), and the base prompt stays")
    assert result["winner"] == "v0"
    assert (result["val"]["best"], result["reward_after"]["mean"]) == (1, 0.55)
    assert len(result["regressed"]["test"]) == 4
    assert result["regressed"]["test"][0].startswith("ta-")
    assert world.facts("resources.promoted")[0].version == 1


def test_an_edit_that_drops_or_invents_a_placeholder_is_refused_and_asked_for_anew(world, small):
    """It never reaches an agent; it is in the log, with why; what comes of the third try is a candidate."""
    answers = iter(["No holes. steps", "{question} {name} steps", 'Steps for {question}, as {"answer": "..."}; steps'])

    def critic(asked):
        return f"<new_prompt>{next(answers)}</new_prompt>" if "<criticism>" in asked.messages[0]["content"] else "Hm."

    small |= {"beam_rounds": 1, "beam_width": 1}

    result = world.fit(Apo(**small), critic=critic).result

    assert result["candidates"] == 1
    assert result["rejected"] == {}
    assert [(one["reason"], one["detail"]) for one in world.steps("candidate.rejected")] == [
        ("placeholders", "it lacks question"), ("placeholders", "it invents name"),
    ]  # fmt: skip
    last = world.model.requests[-1].messages
    assert [message["role"] for message in last] == ["user", "assistant", "user"]
    assert "invents name" in last[-1]["content"]
    assert {prompt for prompt, _, _ in world.ran()} == {
        "Answer: {question}", 'Steps for {question}, as {"answer": "..."}; steps',
    }  # fmt: skip


@pytest.mark.parametrize(
    ("critique", "edited", "reason"), [("", "{question} steps", "no_critique"), ("Steps.", "Sorry.", "placeholders")]
)
def test_a_branch_that_comes_to_nothing_is_left_with_its_reason(world, small, critique, edited, reason):
    """After three tries; its parent is no new candidate, as it is in v0.3 when the critique fails."""
    small |= {"beam_rounds": 1, "beam_width": 1, "run_initial_validation": False}

    def critic(asked):
        return edited if "<criticism>" in asked.messages[0]["content"] else critique

    result = world.fit(Apo(**small), critic=critic, val=1, test=0, train=1).result

    assert (result["candidates"], result["rejected"]) == (0, {reason: 1})
    assert len(world.model.requests) == (3 if reason == "no_critique" else 4)
    assert {one["reason"] for one in world.steps("candidate.rejected")} == {reason}
    assert len(world.facts("resources.published")) == 1


def test_several_prompts_take_turns(world, small):
    """Each edit changes one of them; the winner has the best of both."""

    @agl.rollout
    def pair(task, system: agl.PromptTemplate, user: agl.PromptTemplate) -> float:
        asked = user.format(question=task["question"])
        return (("steps" in system.template) + ("steps" in asked)) / 2

    prompts = {
        "system": "You are {name}.",
        "user": agl.PromptTemplate(template="{{ question }}", engine="jinja"),
        "other": "{left} alone",
    }
    small |= {"beam_rounds": 2, "beam_width": 1, "prompts": ("system", "user")}

    result = world.fit(Apo(**small), pair, prompts=prompts).result

    assert result["prompts"] == {
        "system": "You are {name}. Mind the steps.", "user": "{{ question }} Mind the steps.",
    }  # fmt: skip
    last = world.facts("resources.published")[-1].resources
    assert last["other"]["template"] == "{left} alone"
    assert last["user"]["engine"] == "jinja"


@pytest.mark.parametrize(
    ("calls", "rounds"),
    [(50, 1), pytest.param(500, 3, marks=pytest.mark.slow)],
)
def test_a_round_that_the_budget_does_not_cover_is_not_begun(world, small, calls, rounds):
    """What the examination will take is set aside first: whatever was found is examined, within the budget."""

    @agl.rollout
    def asking(task, prompt_template: agl.PromptTemplate, policy: agl.LLM) -> float:
        body = {"model": policy.model, "messages": [{"role": "user", "content": prompt_template.template}]}
        headers = {"authorization": f"Bearer {policy.api_key}", "content-type": "application/json"}
        url = f"{policy.endpoint}/chat/completions"
        asked = urllib.request.Request(url, json.dumps(body).encode(), headers)  # noqa: S310 - loopback
        with urllib.request.urlopen(asked) as reply:  # noqa: S310 - the same
            said = json.load(reply)["choices"][0]["message"]["content"]
        return sum(word in said for word in ("steps", "units", "check")) / 3

    def critic(asked):
        from_agent = "<prompt>" not in asked.messages[0]["content"]
        return asked.last if from_agent else world.criticise(asked)

    with ScriptedModel(critic) as model:
        result = world.fit(
            Apo(**small), asking, budget={"calls": calls}, critic=critic, models={"policy": f"{model.url}#policy"}
        ).result

    assert result["rounds"] == rounds
    assert ("budget" in result["ended"]) == (rounds < 3)
    made = world.rows("select count(*) from calls")[0][0]
    assert made <= calls
    assert bool(world.facts("test.opened")) == (rounds > 0)


def test_a_run_that_is_asked_to_stop_examines_what_it_has(world, small):
    """At the head of the next round; the best so far is held against the base as in any other end."""
    from agl_core.events import RunStopAsked
    from agl_core.record import Draft

    class Stopped(Apo):
        async def run(self, run):
            log = run.store.log

            def heard(records):
                if any(one.event.type == "metrics.logged" for one in records):
                    log.submit(
                        [Draft(stream=f"run/{run.id}", event=RunStopAsked(run_id=run.id, why="tea"), key="stop")]
                    )

            forget = log.subscribe(heard)
            await super().run(run)
            forget()

    result = world.fit(Stopped(**small | {"beam_rounds": 50})).result

    assert result["ended"] == "somebody asked to stop"
    assert result["rounds"] < 50
    assert result["verdict"].startswith("gain: ")


def test_without_an_initial_validation_the_base_is_scored_on_what_is_drawn(world, small):
    """And it is compared on that alone."""
    result = world.fit(Apo(**small | {"beam_rounds": 1, "run_initial_validation": False}), test=0).result

    assert result["val"]["difference"]["n"] == 4
    assert result["verdict"] == "no significant gain: 4 tasks are too few to tell, and the base prompt stays"
    assert sum(prompt == "Answer: {question}" and mode == "val" for prompt, mode, _ in world.ran()) == 4


def test_a_base_that_cannot_be_measured_ends_the_run(world, small):
    """Nothing can be better than what was never scored; no critic is paid for finding that out."""

    @agl.rollout
    def failing(task, prompt_template: agl.PromptTemplate) -> float:
        raise RuntimeError("nobody can")

    with pytest.raises(TooFewScored, match=r"scored on 0 of 8 tasks .8 agent_raised"):
        world.fit(Apo(**small), failing, preflight=False, n_runners=8)

    assert world.model.requests == ()


def test_a_base_that_fails_now_and_then_ends_nothing(world, small):
    """It was scored on enough of the split; that a later batch has what it failed on is chance."""

    @agl.rollout
    def failing(task, prompt_template: agl.PromptTemplate) -> float:
        if task["n"] == 5:
            raise RuntimeError("it always does")
        return sum(word in prompt_template.template for word in ("steps", "units", "check")) / 3

    result = world.fit(Apo(**small | {"val_batch_size": 1, "beam_rounds": 6}), failing, val=6, test=0).result

    assert result["rounds"] == 6
    assert result["val"]["difference"]["n"] == 5


@pytest.mark.parametrize(
    ("options", "given", "error", "told"),
    [
        ({"gradient_model": "nobody"}, {}, ModelNotFound, "critic"),
        ({"prompts": ("sytem",)}, {}, BadValue, "prompt_template"),
        ({"prompt": "Hi {question}"}, {}, BadValue, "prompt_template"),
        ({}, {"prompts": {}}, BadValue, "--prompt TEXT"),
        ({}, {"prompts": {"p": agl.PromptTemplate(template="{% if", engine="jinja")}}, BadValue, "template"),
        ({}, {"val": 0}, BadValue, "val_dataset"),
    ],
)  # fmt: skip
def test_what_cannot_work_is_refused_before_anything_runs(world, small, options, given, error, told):
    """With what to do instead."""
    with pytest.raises(error, match=told):
        world.fit(Apo(**small | options), **given)

    assert world.facts("rollout.enqueued") == []


def test_a_prompt_may_come_with_the_settings(world, small):
    """For the command line: it is published first, as any prompt of a bundle."""
    result = world.fit(Apo(**small, prompt="Q: {question}"), prompts={}).result

    assert result["prompts"]["prompt_template"].startswith("Q: {question} Mind the")


def test_the_client_of_v03_is_refused_with_the_cure():
    """Critics are asked through the gateway, or their calls would be in no log and repeated after a kill."""
    with pytest.raises(BadValue, match=r"async_openai_client.*models="):
        Apo(object())
    with pytest.raises(BadValue, match=r"async_openai_client.*models="):
        Apo(async_openai_client=object(), beam_width=2)


def test_the_defaults_are_those_of_v03():
    """Under their names."""
    config = ApoConfig()

    assert (config.gradient_model, config.apply_edit_model) == ("gpt-5-mini", "gpt-4.1-mini")
    assert (config.diversity_temperature, config.rollout_batch_timeout) == (1.0, 3600.0)
    assert (config.gradient_batch_size, config.val_batch_size) == (4, 16)
    assert (config.beam_width, config.branch_factor, config.beam_rounds) == (4, 4, 3)
    assert config.run_initial_validation is True


@pytest.mark.parametrize(
    "wrong",
    [{"beam_width": 0}, {"diversity_temperature": float("nan")}, {"rollout_batch_timeout": 0}, {"min_scored": 0}],
)
def test_settings_that_make_no_sense_are_refused(wrong):
    """When they are given, not when they matter."""
    with pytest.raises(BadValue, match=next(iter(wrong))):
        Apo(**wrong)


def test_there_is_no_best_prompt_before_a_run():
    """As in v0.3, asking for it is an error."""
    with pytest.raises(BadValue, match="fit"):
        Apo().get_best_prompt()
