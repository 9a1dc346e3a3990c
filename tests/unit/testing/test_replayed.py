"""`replayed`: a test of an agent on a recorded rollout passes for the code that was recorded, and no other."""

import asyncio
import contextlib
import contextvars
import re
import threading

import httpx
import pytest

import agl_core as agl
from agl_core.errors import BadValue, NetworkDenied, UnknownId, UnknownName
from agl_core.testing import ScriptedModel, replayed

LOOKED_UP = []
"""What the world outside was asked."""


@agl.tool
def look_up(what):
    """In the world outside."""
    LOOKED_UP.append(what)
    return f"{what}: 6 x 7"


async def ask(client, llm, messages):
    """One answer."""
    reply = await client.post("/chat/completions", json={"model": llm.model, "messages": messages})
    reply.raise_for_status()
    return reply.json()["choices"][0]["message"]["content"]


async def reckon(task, llm, *, word="reckon", steps=2):
    """An agent's code, which knows nothing of rewards."""
    key = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=key) as client:
        messages = [{"role": "user", "content": f"Please {word}: {task['question']}"}]
        answer = ""
        for _ in range(steps):
            answer = await ask(client, llm, messages)
            messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": look_up(answer)}]
        return answer


@agl.rollout
async def agent(task: dict, llm: agl.LLM) -> float:
    """The same, as it is trained."""
    return float("42" in await reckon(task, llm))


def blocking(task, llm):
    """The same, by hand and without a loop."""
    key = {"authorization": f"Bearer {llm.api_key}"}
    with httpx.Client(base_url=llm.endpoint, headers=key) as client:
        messages = [{"role": "user", "content": f"Please reckon: {task['question']}"}]
        answer = ""
        for _ in range(2):
            body = {"model": llm.model, "messages": messages}
            answer = client.post("/chat/completions", json=body).json()["choices"][0]["message"]["content"]
            messages += [{"role": "assistant", "content": answer}, {"role": "user", "content": look_up(answer)}]
        return answer


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """A log, and the rollout in it; the model is gone."""
    path = tmp_path_factory.mktemp("log") / "run.db"
    with ScriptedModel(lambda asked: "page 6" if len(asked.body["messages"]) == 1 else "It is 42") as model:
        agl.Trainer(models={"llm": f"{model.url}#policy"}, store=str(path), preflight=False).fit(
            agent, [{"question": "?"}]
        )
    with agl.open_log(str(path), readonly=True) as log:
        return path, log.rows("select rollout_id from rollouts")[0][0]


@pytest.fixture(autouse=True)
def _alone(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    LOOKED_UP.clear()


@pytest.mark.parametrize("code", [reckon, blocking])
def test_the_code_that_was_recorded_comes_to_what_it_came_to(recorded, code):
    """No model, and no tool: both answer as they did. The function need not be an agent of ours."""
    with replayed(*recorded) as rollout:
        answer = rollout.run(code)

    assert answer == "It is 42"
    assert LOOKED_UP == []


def test_the_code_may_be_called_by_the_test_itself(recorded):
    """With the task and the model of the rollout, in a loop of its own."""
    with replayed(*recorded) as rollout:
        answer = asyncio.run(reckon(rollout.task, rollout.llm))

    assert answer == "It is 42"


def test_a_test_that_awaits_can_do_it_too(recorded):
    """Inside the loop that it runs in."""

    async def story():
        with replayed(*recorded) as rollout:
            return await reckon(rollout.task, rollout.llm)

    assert asyncio.run(story()) == "It is 42"


def test_an_agent_is_not_run_inside_a_loop(recorded):
    """It would want one of its own; the cure is in the error."""

    async def story():
        with replayed(*recorded) as rollout:
            rollout.run(agent)

    with pytest.raises(BadValue, match="await its function"):
        asyncio.run(story())


def test_an_agent_is_held_to_its_reward(recorded):
    """The reward that it returns is compared with the one it returned then."""
    with replayed(*recorded) as rollout:
        assert rollout.run(agent) == 1.0

    def scored(rollout):
        rollout.run(blocking)
        agl.emit_reward(0.5)

    assert "reward: then {'primary': 1.0}, now {'primary': 0.5}" in failed(recorded, scored)


def test_the_log_is_only_read(recorded):
    """Whatever the test makes of it."""
    path, _ = recorded
    before = path.read_bytes()

    with replayed(*recorded) as rollout:
        rollout.run(agent)

    assert path.read_bytes() == before
    assert not list(path.parent.glob("**/replays/*"))


def failed(recorded, body):
    """What a test is told that does `body`."""
    with pytest.raises(AssertionError) as raised, replayed(*recorded) as rollout:
        body(rollout)
    return str(raised.value)


def test_another_request_fails_the_test_and_is_told(recorded):
    """Where it differs, from what to what."""
    told = failed(recorded, lambda rollout: asyncio.run(reckon(rollout.task, rollout.llm, word="guess")))

    assert told.startswith("[REPLAY_DIFFERS] a call of")
    assert "messages[0].content: then Please reckon: ?, now Please guess: ?" in told


def test_another_tool_call_fails_the_test_even_if_the_code_hides_it(recorded):
    """As frameworks do, which tell the model of an error instead of raising it."""

    def hidden(rollout):
        with contextlib.suppress(Exception):
            look_up("page 7")

    assert "arguments.what: then page 6, now page 7" in failed(recorded, hidden)


def test_what_is_left_out_fails_the_test(recorded):
    """A code that stops early has not done what it did."""
    told = failed(recorded, lambda rollout: asyncio.run(reckon(rollout.task, rollout.llm, steps=1)))

    assert re.search("recorded then, and not asked for now: ca-[^,]*, sp-[^,]*$", told)


def test_an_assertion_of_the_test_stays_its_own(recorded):
    """What the test itself says comes first."""
    with pytest.raises(AssertionError, match="mine"), replayed(*recorded):
        raise AssertionError("mine")


def test_code_that_goes_elsewhere_is_refused(recorded):
    """And nothing is open when the replay is over."""
    with pytest.raises(NetworkDenied), replayed(*recorded):
        httpx.get("http://192.0.2.1/", trust_env=False)


def test_a_rollout_that_is_not_there_is_said(recorded):
    """Before anything runs."""
    with pytest.raises(UnknownId), replayed(recorded[0], "ro-0"):
        raise AssertionError("it ran")


@pytest.mark.parametrize("order", [[0, 1], [1, 0]], ids=str)
def test_tools_that_the_same_answer_led_to_get_each_its_own_result(beside, order):
    """Two threads ask the same and hear the same: which of them asked which is nobody's guess, and not needed."""
    with replayed(beside) as rollout:
        found = two_threads(rollout.llm, order)

    assert found == {0: "page 0: 6 x 7", 1: "page 1: 6 x 7"}
    assert LOOKED_UP == []


@pytest.fixture
def beside(tmp_path):
    """A log of `two_threads`, in their order."""

    @agl.rollout
    def agent(task, llm):
        two_threads(llm, [0, 1])
        return 1.0

    path = tmp_path / "run.db"
    with ScriptedModel("the same") as model:
        trainer = agl.Trainer(models={"llm": f"{model.url}#policy"}, store=str(path), preflight=False)
        trainer.fit(agent, [{"n": 1}])
    LOOKED_UP.clear()
    return path


def two_threads(llm, order):
    """Each asks the same, and then for a page of its own."""
    found = {}

    def one(number):
        key, messages = {"authorization": f"Bearer {llm.api_key}"}, [{"role": "user", "content": "Which?"}]
        body = {"model": llm.model, "messages": messages}
        httpx.post(f"{llm.endpoint}/chat/completions", headers=key, json=body).raise_for_status()
        found[number] = look_up(f"page {number}")

    for number in order:
        thread = threading.Thread(target=contextvars.copy_context().run, args=(one, number))
        thread.start()
        thread.join()
    return found


def test_the_only_rollout_of_a_log_need_not_be_named(recorded, tmp_path):
    """Of a log that has none, or several, it is asked for."""
    with replayed(recorded[0]) as rollout:
        assert rollout.run(agent) == 1.0
    agl.open_log(str(tmp_path / "empty.db")).close()
    with pytest.raises(BadValue, match="the log has 0 that were tried"), replayed(tmp_path / "empty.db"):
        raise AssertionError("it ran")


def test_a_model_that_was_not_given_is_said(tmp_path):
    """Its agent had none among its resources."""

    @agl.rollout
    def alone(task):
        return 1.0

    path = tmp_path / "run.db"
    agl.Trainer(store=str(path), preflight=False).fit(alone, [{"n": 1}])

    with replayed(path) as rollout, pytest.raises(UnknownName, match="is answered all the same"):
        rollout.llm  # noqa: B018 - to be asked is enough
