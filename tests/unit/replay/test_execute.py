"""An agent's own code, run again on what a log remembers, with the model gone."""

import asyncio
import hashlib
import json
import queue
import threading
from itertools import pairwise

import httpx
import pytest

import agl_core as agl
from agl_core.errors import ReplayDiffers, ReplayStopped, ReplayUnmatched
from agl_core.replay import Options, replaying_run
from agl_core.testing import Broken, Failing, Refusal, Stalled


def words(message):
    """Of a completion in one piece."""
    return message.json()["choices"][0]["message"]["content"]


def asks(llm, *texts, **more):
    """A chat completion, as a client sends it: what user and model said in turn."""
    roles = ("user", "assistant")
    messages = [{"role": roles[at % 2], "content": text} for at, text in enumerate(texts)]
    return {
        "url": f"{llm.endpoint}/chat/completions",
        "json": {"model": llm.model, "messages": messages, **more},
        "headers": {"authorization": f"Bearer {llm.api_key}"},
    }


def up(asked):
    """One more than the number of turns."""
    return str(sum(one["role"] == "user" for one in asked.body["messages"]))


class Counting(agl.LitAgent):
    """Asks until it hears a three; what it says in between may change."""

    def __init__(self, *between):
        self.between = between or ("and then?",) * 2

    async def rollout_async(self, task, resources, rollout):
        """Count."""
        said = [f"count from {task['n']}"]
        async with httpx.AsyncClient() as client:
            for text in (*self.between, ""):
                said += [words(await client.post(**asks(resources["llm"], *said))), text]
        return float(said[-2] == "3")


@pytest.fixture(scope="module")
def counted(record_once):
    """Three calls, one after the other."""
    return record_once(Counting(), up)


def test_an_agent_ends_as_it_did_when_the_model_is_gone(counted):
    """Every call is answered from the log, and reward, exit and words are those of then."""
    again = counted.replay()

    assert again.is_same
    assert (again.calls, again.answered) == (3, 3)
    assert again.now.reward == again.then.reward == 1.0
    assert again.now.messages == again.then.messages
    assert [one.outcome for one in counted.events("replay.finished", again.log)] == ["same"]


def test_the_replays_own_log_has_the_calls_with_what_they_came_from(counted):
    """The answer is the recorded one, with all that was known of it; the ids of rollout and attempt are the same."""
    again = counted.replay()

    then, now = counted.events("call.recorded"), counted.events("call.recorded", again.log)
    assert [one.replay_of for one in now] == [one.call_id for one in then]
    assert [(one.call.choices, one.call.usage, one.call.response_id) for one in now] == [
        (one.call.choices, one.call.usage, one.call.response_id) for one in then
    ]
    assert {(one.rollout_id, one.attempt_id) for one in now} == {(one.rollout_id, one.attempt_id) for one in then}
    assert {one.requests for one in now} == {0}


def test_the_log_that_is_read_stays_as_it_is_to_the_byte(counted):
    """Also when nobody may write to it."""
    before = hashlib.blake2b(counted.path.read_bytes()).hexdigest()
    counted.path.chmod(0o400)

    try:
        again = counted.replay()
    finally:
        counted.path.chmod(0o600)

    assert again.is_same
    assert hashlib.blake2b(counted.path.read_bytes()).hexdigest() == before


def test_other_words_depart_and_say_where(counted):
    """The place is a path into the request, with what is there on both sides; the own log knows it, the other not."""
    again = counted.replay(Counting("and then?", "what next?"))

    assert isinstance(again.departed, ReplayDiffers)
    (departed,) = counted.events("replay.departed", again.log)
    assert departed.code == "REPLAY_DIFFERS"
    assert dict(departed.difference[0]) == {
        "at": "messages[4].content", "recorded": "and then?", "asked": "what next?",
    }  # fmt: skip
    assert departed.recorded == counted.events("call.recorded")[2].call_id
    assert counted.events("replay.departed") == []


def test_an_agent_that_departs_is_stopped_whatever_it_makes_of_it(counted):
    """It hears a status at which no client tries again, and nobody waits for what it does then."""
    agent = Heedless()

    again = counted.replay(agent)
    agent.may_end.set()

    assert isinstance(again.departed, ReplayDiffers)
    assert agent.heard.get(timeout=30) == 422
    assert again.now.exit_status == "agent_raised"
    assert again.now.error.startswith("[REPLAY_DIFFERS]")


class Heedless(agl.LitAgent):
    """Goes on whatever it hears, in a thread that nobody can stop."""

    def __init__(self):
        self.may_end, self.heard = threading.Event(), queue.Queue()

    def rollout(self, task, resources, rollout):
        """Ask for something else."""
        with httpx.Client() as client:
            self.heard.put(client.post(**asks(resources["llm"], "count to 1")).status_code)
        self.may_end.wait(30)


def test_more_calls_than_then_depart(counted):
    """Nothing is left that could be the answer."""
    again = counted.replay(Counting(*["and then?"] * 3))

    assert isinstance(again.departed, ReplayUnmatched)
    assert (again.calls, again.answered) == (3, 3)


def test_fewer_calls_than_then_are_not_the_same(counted):
    """What was not asked for is named; so is the reward that is another."""
    again = counted.replay(Counting("and then?"))

    assert again.departed is None
    assert not again.is_same
    assert again.differs["unasked"] == [counted.events("call.recorded")[2].call_id]
    assert again.differs["reward"] == {"then": {"primary": 1.0}, "now": {"primary": 0.0}}


def test_whoever_looks_at_each_call_may_stop_it(counted):
    """Nothing goes out before he has looked."""
    seen = []

    async def look(question, recorded):
        seen.append((question.call.messages[-1].content, recorded.call.choices[0].message.content))
        if len(seen) == 2:
            raise ReplayStopped(recorded.call_id)

    again = counted.replay(on_call=look)

    assert isinstance(again.departed, ReplayStopped)
    assert seen == [("count from 1", "1"), ("and then?", "2")]


def test_a_client_waits_as_long_as_somebody_looks(record):
    """Its own time-out is for models, not for people."""
    agent = Hurried()
    recorded = record(agent)

    async def look(question, recorded):
        pass

    again = [recorded.replay(**options) for options in ({}, {"on_call": look})]

    assert [one.is_same for one in again] == [True, True]
    assert agent.read == [7.0, 7.0, None]


class Hurried(agl.LitAgent):
    """Gives its model seven seconds."""

    def __init__(self):
        self.read = []

    def rollout(self, task, resources, rollout):
        """Ask once."""
        hooks = {"request": [lambda request: self.read.append(request.extensions["timeout"]["read"])]}
        with httpx.Client(timeout=7, event_hooks=hooks) as client:
            return float(words(client.post(**asks(resources["llm"], "quick"))) == "ok")


# --- how an answer comes


@agl.rollout
def streaming(task, llm):
    """In a thread, piece by piece; the reward is how many letters came, and what the stream said of its end."""
    heard, error = "", ""
    with httpx.Client() as client, client.stream("POST", **asks(llm, "say it", stream=True)) as reply:
        for line in reply.iter_lines():
            chunk = json.loads(line[6:]) if line.startswith("data: {") else {}
            error = chunk.get("error", {}).get("code", error)
            heard += "".join(one["delta"].get("content") or "" for one in chunk.get("choices", ()))
    return {"primary": float(len(heard)), "ended": float("".join(filter(str.isdigit, error)) or bool(error))}


@pytest.mark.parametrize(
    "script",
    ["a stream", Broken(after=6), Failing(after=6, code="overloaded")],
    ids=["whole", "broken", "failed in the middle"],
)
def test_a_stream_is_a_stream_again(record, script):
    """It comes as far as it came, and ends as it did."""
    recorded = record(streaming, script)

    again = recorded.replay()

    assert again.is_same, again.differs
    assert again.now.reward > 0
    (then,), (now,) = recorded.events("call.recorded"), recorded.events("call.recorded", again.log)
    assert (now.status, now.error, now.call.choices) == (then.status, then.error, then.call.choices)


@agl.rollout
async def leaving(task, llm):
    """Has enough of an answer at its first words."""
    async with httpx.AsyncClient() as client, client.stream("POST", **asks(llm, "say it", stream=True)) as reply:
        async for line in reply.aiter_lines():
            if '"content": "' in line or '"content":"' in line:
                return 1.0
    return 0.0


def test_who_hung_up_then_may_hang_up_again(record):
    """Such a call is recorded as broken by its client; nobody waits for an end that did not come."""
    waits = threading.Event()
    recorded = record(leaving, lambda _asked: Stalled(after=4, until=waits))
    (then,) = recorded.events("call.recorded")

    again = recorded.replay()

    assert (then.status, then.error) == ("broken", "client_disconnected")
    assert again.is_same


@agl.rollout
async def patient(task, llm):
    """Waits for an answer as long as it is let."""
    async with httpx.AsyncClient() as client:
        words(await client.post(**asks(llm, "one"), timeout=None))
        await client.post(**asks(llm, "two"), timeout=None)


def test_time_runs_out_where_it_ran_out(record):
    """The call that it ran out in is not answered this time either."""
    waits = threading.Event()
    slow = {"one": "yes", "two": Stalled(after=0, until=waits)}
    recorded = record(
        patient, lambda asked: slow[asked.body["messages"][0]["content"]],
        rollout_config=agl.RolloutConfig(timeout_seconds=0.3),
    )  # fmt: skip

    again = recorded.replay()

    assert again.now.exit_status in {"stalled", "timeout"}
    assert again.is_same, again.differs


@agl.rollout
async def stubborn(task, llm):
    """Asks again, as the SDKs do, until it is answered."""
    async with httpx.AsyncClient() as client:
        statuses = []
        for tried in range(4):
            request = asks(llm, "again?")
            request["headers"]["x-stainless-retry-count"] = str(tried)
            reply = await client.post(**request)
            statuses.append(reply.status_code)
            if reply.is_success:
                return float("".join(map(str, statuses)))
    return 0.0


def test_what_failed_fails_again_and_is_asked_again(record):
    """With the status and the words of the endpoint, each in its turn."""
    tries = iter([Refusal(status=500, code="boom", message="not now"), Refusal(status=418, code="tea"), "yes"])
    recorded = record(stubborn, lambda _asked: next(tries))

    again = recorded.replay()

    assert again.is_same
    assert again.now.reward == 500418200.0


@agl.rollout
async def at_once(task, llm):
    """Asks the same many times at once, and tells answers apart by the order of asking."""
    order = task["order"]
    turns = {number: asyncio.Event() for number in (*order, None)}
    after = dict(pairwise((*order, None)))
    async with httpx.AsyncClient() as client:

        async def ask(number):
            await turns[number].wait()
            turns[after[number]].set()
            return words(await client.post(**asks(llm, "draw", temperature=1.0)))

        turns[order[0]].set()
        drawn = await asyncio.gather(*(ask(number) for number in range(len(order))))
    return {"primary": 1.0, **{f"d{at}": float(one) for at, one in enumerate(drawn)}}


def test_equal_calls_at_once_get_each_its_own_answer_whatever_order_they_come_in(record):
    """The place in the program tells them apart, when arrival is another one."""
    numbers = iter(range(100))
    recorded = record(at_once, lambda _asked: str(next(numbers)), tasks=[{"order": [0, 1, 2, 3, 4, 5, 6, 7]}])

    again = recorded.replay(InOrder([5, 2, 7, 0, 1, 6, 4, 3]))

    assert again.is_same, again
    assert len({value for name, value in again.now.rewards if name.startswith("d")}) == 8


class InOrder(agl.LitAgent):
    """The same agent, whose calls leave in another order."""

    def __init__(self, order):
        self.order = order

    async def rollout_async(self, task, resources, rollout):
        """Draw."""
        return await at_once.rollout_async({**task, "order": self.order}, resources, rollout)


def test_rollouts_of_a_run_are_replayed_beside_each_other(record):
    """Each has its own tape, in one log; one that departs does not stop the others."""
    recorded = record(Counting(), up, tasks=[{"n": n} for n in range(4)])

    async def story():
        with recorded.read() as log:
            (run_id,) = {id_ for (id_,) in log.rows("select run_id from rollouts")}
            return await replaying_run(log, run_id, options=Options(), plugins=recorded.plugins, agent=Odd())

    all_ = asyncio.run(story())

    assert [one.is_same for one in all_.values()] == [True, False, True, False]
    assert {one.log for one in all_.values()} == {next(iter(all_.values())).log}


class Odd(Counting):
    """Says something else where the task is odd."""

    async def rollout_async(self, task, resources, rollout):
        """Count."""
        agent = Counting("hm") if task["n"] % 2 else self
        return await Counting.rollout_async(agent, task, resources, rollout)
