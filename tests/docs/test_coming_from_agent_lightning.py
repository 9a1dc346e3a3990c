"""What docs/how-to/coming-from-agent-lightning.md claims, claim by claim."""

import asyncio
import math
import re
import threading
from pathlib import Path

import pytest

import agl_core as agl
from agl_core.errors import BadValue, UnknownId
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.resources import PromptTemplate
from agl_core.runner import Runner
from agl_core.store import Store

PAGE = Path(__file__).parents[2] / "docs" / "how-to" / "coming-from-agent-lightning.md"


@pytest.fixture
def store():
    """A store over a log that goes when the test does."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield store
        store.close()


def names(heading: str) -> set[str]:
    """What stands in backquotes in the first column, or the paragraph, under a heading of the page."""
    section = PAGE.read_text().partition(f"### {heading}\n")[2].partition("\n#")[0]
    firsts = [line.split("|")[1] if line.startswith("| `") else line for line in section.splitlines()]
    return {name for line in firsts if not line.startswith("|") for name in re.findall(r"`(\w+)`", line)}


def test_the_tests_that_the_page_names_are_there():
    """Elsewhere or here."""
    tests = "".join(path.read_text() for path in (PAGE.parents[2] / "tests").glob("**/test_*.py"))

    assert [name for name in re.findall(r"\(`(test_\w+)`\)", PAGE.read_text()) if f"def {name}(" not in tests] == []


def test_names_that_are_said_to_be_the_same_are_there():
    """`agl.` and the name."""
    same = names("The same")

    assert len(same) > 25
    assert same <= set(agl.__all__)


def test_names_that_are_said_to_be_absent_are_not_there():
    """The page is wrong as soon as one of them comes."""
    absent = names("Absent, yet or for good")

    assert len(absent) > 20
    assert not absent & set(agl.__all__)


@pytest.mark.parametrize("is_async", [True, False], ids=["async", "sync"])
def test_an_agent_that_is_cancelled_has_not_succeeded(store, is_async):
    """And its runner goes on."""

    @agl.rollout
    async def cancels(task):
        raise asyncio.CancelledError

    @agl.rollout
    def cancels_in_its_thread(task):
        raise asyncio.CancelledError

    async def story():
        rollouts = [await store.enqueue_rollout({"n": n}) for n in range(2)]
        runner = Runner(max_rollouts=2)
        with runner.run_context(agent=cancels if is_async else cancels_in_its_thread, store=store):
            assert await runner.iter() == 2
        return [await store.get_rollout_by_id(rollout.rollout_id) for rollout in rollouts]

    assert [(rollout.status, rollout.exit_status) for rollout in asyncio.run(story())] == [
        ("failed", "agent_raised"),
        ("failed", "agent_raised"),
    ]


def test_a_late_result_changes_nothing(store):
    """A cancelled rollout stays cancelled; that somebody finished it all the same is kept, and marked late."""

    async def story():
        taken = await store.start_rollout({"n": 1})
        await store.cancel_rollout(taken.rollout_id, "enough")
        finished = await store.finish_attempt(taken.attempt, "completed")
        return finished, await store.get_rollout_by_id(taken.rollout_id)

    finished, rollout = asyncio.run(story())

    assert finished.late
    assert rollout.status == "cancelled"
    assert rollout.end_time is not None
    assert rollout.attempt.end_time is not None


def test_a_rollout_keeps_the_version_it_was_given(store):
    """Updating a bundle makes a version, and replaces none."""

    async def story():
        first = await store.add_resources({"p": PromptTemplate("one")})
        rollout = await store.enqueue_rollout({"n": 1})
        await store.update_resources(first.resources_id, {"p": PromptTemplate("two")})
        return await store.get_resources_by_id(first.resources_id, rollout.resources_version), first.resources_id

    pinned, name = asyncio.run(story())

    assert pinned.resources["p"].format() == "one"
    assert store.ask.resources(name).resources["p"].format() == "two"


def test_what_is_unknown_is_refused(store):
    """At the door, and nothing is left behind in `preparing`."""

    async def story():
        with pytest.raises(UnknownId):
            await store.enqueue_rollout({"n": 1}, resources_id="rs-unknown")
        with pytest.raises(UnknownId):
            await store.update_resources("rs-unknown", {"p": PromptTemplate("one")})
        with pytest.raises(UnknownId):
            await store.wait_for_rollouts(rollout_ids=["ro-unknown"], timeout=0)

    asyncio.run(story())

    assert store.log.head() == 0


@pytest.mark.parametrize("value", [math.nan, math.inf, -math.inf, "high"])
def test_a_reward_is_a_finite_number(store, value):
    """Whatever else it is, it is refused."""

    async def story():
        taken = await store.start_rollout({"n": 1})
        with pytest.raises(BadValue):
            await store.add_reward(taken.rollout_id, value)

    asyncio.run(story())


@pytest.mark.parametrize(
    "settings",
    [
        {"timeout_seconds": -1},
        {"unresponsive_seconds": 0},
        {"max_attempts": 0},
        {"retry_condition": ("succeeded",)},
        {"retry_condition": ("queueing",)},
    ],
)
def test_settings_that_make_no_sense_are_refused(settings):
    """When they are made, not when they would matter."""
    with pytest.raises(BadValue):
        agl.RolloutConfig(**settings)


def test_braces_in_a_prompt_stay():
    """JSON in an f-string template is text; a placeholder without a value is an error with its name."""
    template = PromptTemplate('Answer as {"greeting": {"to": "..."}} to {name}.')

    assert template.format(name="Ada") == 'Answer as {"greeting": {"to": "..."}} to Ada.'
    with pytest.raises(BadValue, match="name"):
        template.format()


def test_jinja_templates_render():
    """In a sandbox, as prompts are written by models too."""
    assert PromptTemplate("{% for n in names %}{{ n }} {% endfor %}", engine="jinja").format(names="ab") == "a b "


def test_waiting_for_many_is_one_wait(store):
    """A hundred unfinished ids cost no thread each, and the time-out is kept for all of them together."""

    async def story():
        rollouts = [await store.enqueue_rollout({"n": n}) for n in range(100)]
        before = threading.active_count()
        done = await store.wait_for_rollouts(rollout_ids=[rollout.rollout_id for rollout in rollouts], timeout=0.01)
        return done, threading.active_count() - before

    done, threads = asyncio.run(story())

    assert done == []
    assert threads <= 1


def test_named_rewards_say_which_of_them_trains(store):
    """A dict of several without one called primary is refused, not guessed at."""
    seen = []

    @agl.rollout
    def judged(task):
        with pytest.raises(BadValue, match="a, b"):
            agl.emit_reward({"a": 1.0, "b": 2.0})
        agl.emit_annotation({"agentlightning.reward_model": "not a reward"})
        seen.append(agl.get_reward_value(agl.emit_reward({"a": 1.0, "b": 2.0}, primary_key="b")))

    async def story():
        with Runner().run_context(agent=judged, store=store) as runner:
            return await runner.step({"n": 1})

    rollout = asyncio.run(story())

    assert store.ask.outcomes([rollout.rollout_id])[0].reward == 2.0
    assert seen == [2.0]


def test_a_trainer_ends_when_its_algorithm_does(tmp_path):
    """Also with runners in threads of one process, under v0.3's name for that, and with no limit of rollouts."""

    @agl.rollout
    def agent(task) -> float:
        return 1.0

    summary = agl.Trainer(store=str(tmp_path / "log.db"), strategy="shm", algorithm="baseline").fit(agent, [{"n": 1}])

    assert summary.status == "finished"
