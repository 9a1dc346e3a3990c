"""APO's critique on the rollouts of a log: candidates with their lineage, and nobody runs."""

from __future__ import annotations

import asyncio
import json
import shutil

import httpx
import pytest
from agl_apo import Apo
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.errors import BadValue, ModelNotFound, ModelUnanswered, NotOffline
from agl_core.testing import Failing, ScriptedModel
from agl_core.trainer import Trainer

CRITIC = {"gradient_model": "critic", "apply_edit_model": "critic", "beam_width": 1, "branch_factor": 2, "tries": 2}


@agl.rollout
def worded(task, prompt_template: agl.PromptTemplate, policy: agl.LLM) -> float | None:
    """Asks the model, and earns a half for a prompt that says `steps`."""
    prompt = prompt_template.format(question=task["question"])
    body = {"model": policy.model, "messages": [{"role": "user", "content": prompt}]}
    headers = {"authorization": f"Bearer {policy.api_key}"}
    httpx.post(f"{policy.endpoint}/chat/completions", json=body, headers=headers, timeout=20).raise_for_status()
    return None if "unscored" in task["question"] else 0.5 * ("steps" in prompt)


def collect(path, prompt, questions):
    """Rollouts of that prompt, as anybody may have them who trained nothing."""
    with ScriptedModel("I would say so.") as model:
        resources = {"prompt_template": agl.PromptTemplate(template=prompt)}
        trainer = Trainer(store=str(path), models={"policy": f"{model.url}#policy"}, initial_resources=resources)
        trainer.fit(worded, [{"question": question} for question in questions])


@pytest.fixture(scope="module")
def old(tmp_path_factory):
    """A log of two runs: three rollouts of one prompt, one of another."""
    path = tmp_path_factory.mktemp("old") / "log.db"
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("AGL_LOAD_PLUGINS", "apo")
        collect(path, "Answer: {question}", ["one?", "two?", "unscored?"])
        collect(path, "Mind the steps: {question}", ["three?"])
    return path


@pytest.fixture
def source(old, tmp_path):
    """A copy that may be changed."""
    path = tmp_path / "old.db"
    for file in old.parent.glob("log.db*"):
        if file.is_file():
            shutil.copyfile(file, path.with_name(file.name.replace("log", "old")))
    return path


@pytest.fixture
def offline(world, source):
    """Criticise its rollouts, with a log of its own."""

    def run(*, critic=world.criticise, log=None, resume=None, run_id=None, models=("critic",), given=None, **config):
        with ScriptedModel(critic) as model:
            world.model = model
            trainer = Trainer(
                algorithm=Apo(**{"from_log": str(source), **CRITIC, **config}), store=log or world.path,
                models=dict.fromkeys(models, f"{model.url}#policy"), no_rollouts=True,
                initial_resources=given,
            )  # fmt: skip
            return trainer.fit(None, resume=resume, run_id=run_id)

    return run


def bundle(path, event):
    """The prompt of a version."""
    return event.resources["prompt_template"]["template"]


def test_candidates_are_published_with_the_critique_that_made_them_and_nothing_is_run(world, offline):
    """The base is the prompt that most rollouts were given; a critic reads what was said, and what it earned."""
    result = offline().result

    base, *born = world.facts("resources.published")[1:]
    assert bundle(world, base) == "Answer: {question}"
    assert [(bundle(world, one), one.why) for one in born] == [
        ("Answer: {question} Mind the steps.", "It never says: steps.")
    ]
    assert born[0].parent == f"{base.resources_id}@{base.version}"
    assert result["published"] == {"v1": f"{born[0].resources_id}@{born[0].version}"}
    assert (result["rollouts"], result["shown"], result["left_out"]) == (3, 2, {"other_prompts": 1, "no_reward": 1})
    assert result["rejected"] == {"duplicate": 1}
    assert result["verdict"].startswith("not evaluated: 1 candidate(s)")
    assert world.facts("rollout.enqueued") == world.facts("resources.promoted") == []
    question = next(one for one in world.model.requests if "<run" in one.messages[0]["content"]).messages[0]["content"]
    assert "I would say so." in question
    assert "reward: 0\n" in question
    assert "unscored" not in question


@pytest.mark.slow
def test_the_log_that_is_read_stays_as_it_was(world, offline, source):
    """To the last record; the critic's calls are in the run's own log."""
    with agl.open_log(str(source), readonly=True) as log:
        head = log.head()

    offline()

    with agl.open_log(str(source), readonly=True) as log:
        assert log.head() == head
    assert {one.role for one in world.facts("call.recorded")} == {"tool"}


@pytest.mark.slow
def test_another_version_may_be_meant(world, offline, source):
    """By its name; one that no rollout was given is refused, with those that were."""
    with agl.open_log(str(source), readonly=True) as log:
        named = [f"{one.event.resources_id}@{one.event.version}" for one in log.read(types=["resources.published"])]

    assert offline(from_version=named[1]).result["rollouts"] == 1
    with pytest.raises(BadValue, match=f"no rollout was given it; those that were given: {named[0]}, {named[1]}"):
        offline(from_version="rs-none@1")


@pytest.mark.slow
def test_as_the_log_stood_then(world, offline, source):
    """What came later is not read: here the second run, and a second reward."""

    async def reward():
        with agl.open_log(str(source)) as log:
            store = agl.Store(log)
            for (rollout_id,) in log.rows("select rollout_id from rollouts"):
                await store.add_reward(rollout_id, 0.125, name="style", judge="style 1")
            store.close()

    with agl.open_log(str(source), readonly=True) as log:
        first = next(one.position for one in log.read(types=["run.finished"]))
        head = log.head()
    asyncio.run(reward())

    assert offline(at=first).result["left_out"] == {"no_reward": 1}
    assert offline(reward="style").result["shown"] == 3
    with pytest.raises(BadValue, match="no rollout of it can be criticised"):
        offline(reward="style", at=head)


def test_resumed_nothing_is_asked_twice(world, offline):
    """A critic that goes away ends the run; when it is back, what it said is read back."""
    said = []

    def fails_late(asked):
        if len(said) == 3:
            return Failing(after=0, code="gone", status=401)
        said.append(world.criticise(asked))
        return said[-1]

    with pytest.raises(ModelUnanswered):
        offline(critic=fails_late, run_id="run-late")
    result = offline(resume="run-late").result

    assert result["candidates"] == 1
    assert len(world.model.requests) == 1


@pytest.mark.slow
def test_resumed_on_another_file_it_does_not_go_on(world, offline, source):
    """Its rollouts are not those that the run began with."""
    with pytest.raises(ModelUnanswered):
        offline(critic=lambda _asked: Failing(after=0, code="gone", status=401), run_id="run-late")
    collect(source, "Answer: {question}", ["four?"])
    assert offline(resume="run-late").result["rollouts"] == 3  # what came later is not read

    with pytest.raises(ModelUnanswered):
        offline(critic=lambda _asked: Failing(after=0, code="gone", status=401), run_id="run-other")
    for file in source.parent.glob("old.db*"):
        shutil.rmtree(file) if file.is_dir() else file.unlink()
    collect(source, "Answer: {question}", ["five?"])

    with pytest.raises(BadValue, match="it holds others than it did"):
        offline(resume="run-other")


def test_a_critic_of_no_use_leaves_no_candidate_and_says_why(world, offline):
    """It costs its tries; the run ends well."""
    result = offline(critic=lambda _asked: "").result

    assert (result["candidates"], result["rejected"], result["published"]) == (0, {"no_critique": 2}, {})
    assert result["verdict"].startswith("no candidate")


@pytest.mark.slow
def test_a_critic_that_is_busy_is_waited_for(world, offline):
    """It says so, and then answers."""
    refusals = iter([True] * 2)

    def busy(asked):
        return Failing(after=0, code="rate_limited", status=429) if next(refusals, False) else world.criticise(asked)

    assert offline(critic=busy).result["candidates"] == 1


@pytest.mark.parametrize(
    ("config", "wrong", "why"),
    [
        ({"prompts": ("system",)}, BadValue, "none was given the prompt system"),
        ({"from_run": "run-none"}, BadValue, "has no such run"),
        ({"at": 10**6}, BadValue, "ends at position"),
        ({"at": 1}, BadValue, "none was given a prompt"),
        ({"reward": "nobody"}, BadValue, "--reward NAME reads them"),
        ({"prompt": "{question}"}, BadValue, "the prompt is that of the log"),
        ({"models": ()}, ModelNotFound, "critic"),
        ({"from_log": None}, NotOffline, "it was told of no log. apo can"),
    ],
)
def test_what_is_not_there_is_told_before_a_critic_is_asked(world, offline, config, wrong, why):
    """By a code, and with what there is instead."""
    with pytest.raises(wrong, match=why):
        offline(**config)

    assert world.model.requests == ()


@pytest.mark.slow
def test_what_was_erased_is_not_criticised(offline, source, tmp_path):
    """A rollout less, counted; without the prompt there is nothing to improve, and the version is named."""

    def erased(name, of):
        words = ["log", "copy", str(source), str(tmp_path / name), "--erase", of]
        assert CliRunner().invoke(command, words).exit_code == 0
        return str(tmp_path / name)

    with agl.open_log(str(source), readonly=True) as log:
        first = log.rows("select rollout_id from rollouts order by position limit 1")[0][0]
        bundles = [name for (name,) in log.rows("select distinct resources_id from resources order by position")]

    assert offline(from_log=erased("less.db", f"rollout/{first}")).result["rollouts"] == 2
    assert offline(from_log=erased("one.db", f"resources/{bundles[0]}")).result["rollouts"] == 1
    with pytest.raises(BadValue, match=f"{bundles[0]}@1, which some were given, is not in it"):
        offline(from_log=erased("none.db", f"resources/{bundles[0]}"), prompts=("system",))


def test_prompts_of_the_run_and_of_the_log_are_two_things(world, offline):
    """Which of them would be meant, nobody could tell."""
    with pytest.raises(BadValue, match="the prompts are those of the log"):
        offline(given={"prompt_template": agl.PromptTemplate(template="Mine: {question}")})


def test_the_log_that_is_written_is_not_read(offline, source):
    """Nor would anybody know later which of its facts were there before."""
    with pytest.raises(BadValue, match="this run writes to it"):
        offline(log=str(source))


def test_candidates_are_shown_like_any_other(world, offline, source):
    """`agl train` makes them, `agl resources` lists, shows, compares and exports them."""
    with ScriptedModel(world.criticise) as model:
        told = [word for name, value in CRITIC.items() for word in (f"--{name.replace('_', '-')}", str(value))]
        words = ["train", "--algorithm", "apo", "--from-log", str(source), "--no-rollouts", "--log", world.path]
        done = CliRunner().invoke(command, [*words, *told, "--model", f"critic={model.url}#policy", "--json"])
    assert done.exit_code == 0, done.output
    version = json.loads(done.stdout)["result"]["published"]["v1"]

    def resources(*words):
        said = CliRunner().invoke(command, ["resources", *words, "--log", world.path])
        assert said.exit_code == 0, said.output
        return said.output

    base = f"{version.rpartition('@')[0]}@{int(version.rpartition('@')[2]) - 1}"
    assert version.partition("@")[0] in resources("list")
    assert "It never says: steps." in resources("show", version)
    assert "Mind the steps" in resources("diff", base, version)
    exported = source.with_name("best.txt")
    resources("export", version, "--to", str(exported))
    assert exported.read_text() == "Answer: {question} Mind the steps."
