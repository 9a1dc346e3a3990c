"""An agent that asks a provider itself: in a replay it is answered from the log, and nothing leaves."""

import asyncio
import importlib
import json
import os
import subprocess
import sys

import httpx
import pytest

import agl_core as agl
from agl_core.testing import Broken, ScriptedModel

LIBRARIES = ("httpx", "httpx2")


def body(text, **more):
    """A chat completion."""
    return {"model": "gpt", "messages": [{"role": "user", "content": text}], **more}


def words(lines):
    """What a stream said, put together."""
    chunks = [json.loads(line[6:]) for line in lines if line.startswith("data: {")]
    return "".join(one["delta"].get("content") or "" for chunk in chunks for one in chunk["choices"])


class Asking(agl.LitAgent):
    """Asks in each of the ways a client has; the library's name is the task's."""

    def __init__(self, url):
        self.url = f"{url}/chat/completions"

    def rollout(self, task, resources, rollout):
        """Four times."""
        library = importlib.import_module(task["library"])
        heard = [self._plain(library), self._streamed(library), *asyncio.run(self._async(library))]
        return float(heard == ["one", "two", "three", "four"])

    def _plain(self, library):
        with library.Client(headers={"authorization": "Bearer sk-theirs"}) as client:
            return client.post(self.url, json=body("1")).json()["choices"][0]["message"]["content"]

    def _streamed(self, library):
        with library.Client() as client, client.stream("POST", self.url, json=body("2", stream=True)) as reply:
            return words(reply.iter_lines())

    async def _async(self, library):
        async with library.AsyncClient() as client:
            plain = await client.post(self.url, json=body("3"))
            async with client.stream("POST", self.url, json=body("4", stream=True)) as reply:
                streamed = words([line async for line in reply.aiter_lines()])
        return plain.json()["choices"][0]["message"]["content"], streamed


def number(asked):
    """The word for a number."""
    return {"1": "one", "2": "two", "3": "three", "4": "four"}[asked.body["messages"][0]["content"]]


@pytest.fixture
def provider():
    """A provider that the agent knows by itself; gone when it is stopped."""
    with ScriptedModel(number, model="gpt") as model:
        yield model


def test_what_is_asked_of_a_provider_is_answered_from_the_log(record, provider):
    """Whichever library it is, in one piece and streamed, awaited and not."""
    pytest.importorskip("httpx2")
    recorded = record(Asking(provider.url), tasks=[{"library": name} for name in LIBRARIES], resources={})
    provider.stop()

    again = [recorded.replay(rollout_id=rollout_id) for rollout_id in recorded.rollouts]

    assert [one.is_same for one in again] == [True, True], again
    assert [one.answered for one in again] == [4, 4]
    assert {one.requests for one in recorded.events("call.recorded", again[0].log)} == {0}


class Guarded(agl.LitAgent):
    """Its client has a way out of its own, signs what it sends, and looks at what comes."""

    def __init__(self, url):
        self.url = f"{url}/chat/completions"
        self.signed, self.seen, self.passed = [], [], []

    def rollout(self, task, resources, rollout):
        """Once."""
        with httpx.Client(transport=_Counting(self.passed), auth=self._sign, event_hooks=self._hooks()) as client:
            return float(client.post(self.url, json=body("1")).status_code == 200)

    def _sign(self, request):
        self.signed.append(str(request.url))
        return request

    def _hooks(self):
        return {"response": [lambda response: self.seen.append(str(response.request.url))]}


class _Counting(httpx.BaseTransport):
    def __init__(self, passed):
        self._inner, self._passed = httpx.HTTPTransport(), passed

    def handle_request(self, request):
        self._passed.append(str(request.url))
        return self._inner.handle_request(request)

    def close(self):
        self._inner.close()


def test_a_client_keeps_its_own_ways_but_for_the_way_out(record, provider):
    """Authentication and hooks run as they did, with the URL that the agent asked; its transport sees nothing."""
    agent = Guarded(provider.url)
    recorded = record(agent, resources={})
    provider.stop()

    again = recorded.replay()

    assert again.is_same
    assert agent.signed == agent.seen == [agent.url, agent.url]
    assert agent.passed == [agent.url]


@agl.rollout
async def careless(task):
    """Takes what a broken line leaves of an answer, and says what kind of break it was."""
    async with httpx.AsyncClient() as client:
        heard = []
        try:
            async with client.stream("POST", task["url"], json=body("1", stream=True)) as reply:
                async for line in reply.aiter_lines():
                    heard.append(line)  # noqa: PERF401 - what was heard before it broke is kept
        except httpx.TransportError as error:
            agl.emit_message(type(error).__name__)
            return float(len(words(heard)))
    return -1.0


@pytest.mark.parametrize("script", [Broken(after=5), Broken(after=None)], ids=["in the middle", "at once"])
def test_a_line_that_broke_breaks_again(record, script):
    """The agent's client raises what it raised, after what it had heard by then."""
    with ScriptedModel(script, model="gpt") as model:
        recorded = record(careless, tasks=[{"url": f"{model.url}/chat/completions"}], resources={})

    again = recorded.replay()

    assert again.is_same, again
    assert again.now.reward == again.then.reward >= 0


PROGRAM = """
import httpx, sys
said = {"model": "gpt", "messages": [{"role": "user", "content": "3"}]}
print(httpx.post(sys.argv[1], json=said).json()["choices"][0]["message"]["content"])
"""


@agl.rollout
def starting(task):
    """Has a program of its own ask."""
    command = [sys.executable, "-m", "agl_core.tap", task["program"], task["url"]]
    environment = {**os.environ, **agl.environment(None)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, check=False)
    return float(done.stdout.strip() == "three")


@pytest.mark.slow
def test_a_program_of_its_own_is_answered_from_the_log_too(record, provider, tmp_path):
    """What the agent starts and has followed asks the gateway of the replay."""
    (tmp_path / "asks.py").write_text(PROGRAM)
    task = {"program": str(tmp_path / "asks.py"), "url": f"{provider.url}/chat/completions"}
    recorded = record(starting, tasks=[task], resources={})
    provider.stop()

    again = recorded.replay()

    assert again.is_same
    assert (again.answered, again.now.reward) == (1, 1.0)


@agl.rollout
def dspys(task):
    """Asks over the bare sockets that DSPy brings."""
    lm15 = importlib.import_module("lm15")
    headers, content = [("Content-Type", "application/json")], json.dumps(body("2")).encode()
    request = lm15.transports.TransportRequest("POST", task["url"], headers=headers, body=content)
    with lm15.transports.StdlibTransport() as transport, transport.stream(request) as response:
        return float(json.loads(response.read())["choices"][0]["message"]["content"] == "two")


def test_bare_sockets_are_answered_from_the_log_too(record, provider):
    """What goes over neither of the two libraries, and is recorded all the same."""
    pytest.importorskip("lm15")
    recorded = record(dspys, tasks=[{"url": f"{provider.url}/chat/completions"}], resources={})
    provider.stop()

    again = recorded.replay()

    assert again.is_same
    assert (again.answered, again.now.reward) == (1, 1.0)
