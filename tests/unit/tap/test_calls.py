"""A model call of an attempt is a fact with all that was asked and answered; whoever makes it notices nothing."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextvars import copy_context
from threading import Thread

import pytest

from agl_core.recorder import agent
from agl_core.tap import tapped
from agl_core.testing import Answer, Refusal, ScriptedModel, in_turn
from agl_core.wire import DIALECTS

from .conftest import SSE, STREAM, URL, answer, question, sdk, sdk_async


def test_a_call_of_the_sdk_is_recorded(attempt):
    """What was asked, what was answered, whose it is, and how it went."""
    with ScriptedModel("four", version=3) as model, sdk(model) as client, attempt.tapped():
        reply = client.chat.completions.create(**question("2+2", temperature=0.5))

    call = attempt.call()
    assert reply.choices[0].message.content == "four"
    assert (call.status, call.error, call.http_status, call.first_token) == ("ok", None, 200, None)
    assert (call.rollout_id, call.attempt_id) == (attempt.scope.rollout_id, attempt.scope.attempt_id)
    assert [message.content for message in call.call.messages] == ["2+2"]
    assert call.call.sampling.temperature == 0.5
    assert call.call.choices[0].message.content == "four"
    assert call.call.response_id == reply.id
    assert call.call.usage.completion_tokens == reply.usage.completion_tokens
    assert call.policy_version == 3
    assert call.latency > 0
    assert call.started_at > 0


def test_a_call_of_the_async_sdk_is_recorded_with_its_agent(attempt):
    """The name under way when it was sent."""

    async def story(model):
        async with sdk_async(model) as client:
            with attempt.running(), agent("writer"):
                await client.chat.completions.create(**question())

    with ScriptedModel("four") as model, tapped():
        asyncio.run(story(model))

    assert (attempt.call().status, attempt.call().agent) == ("ok", "writer")


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_eight_identical_parallel_prompts_are_eight_calls(attempt, is_streamed):
    """A call is told by its request, not by what it says."""

    async def one(client):
        reply = await client.chat.completions.create(**question(), stream=is_streamed)
        if is_streamed:
            _ = [chunk async for chunk in reply]

    async def story(model):
        async with sdk_async(model) as client:
            with attempt.running():
                await asyncio.gather(*(one(client) for _ in range(8)))

    with ScriptedModel("four") as model, tapped():
        asyncio.run(story(model))

    calls = attempt.calls()
    assert [call.status for call in calls] == ["ok"] * 8
    assert len({call.call_id for call in calls}) == 8
    assert {call.call.choices[0].message.content for call in calls} == {"four"}


@pytest.mark.parametrize("is_streamed", [False, True], ids=["whole", "streamed"])
def test_four_samples_of_one_call_are_four_choices(attempt, is_streamed):
    """In their order."""
    texts = [Answer(text=text) for text in ("a", "b", "c", "d")]
    with ScriptedModel(texts) as model, sdk(model) as client, attempt.tapped():
        reply = client.chat.completions.create(**question(n=4), stream=is_streamed)
        if is_streamed:
            list(reply)

    assert [choice.message.content for choice in attempt.call().call.choices] == ["a", "b", "c", "d"]


def test_a_refusal_is_a_call_that_failed_and_the_agent_gets_it(attempt):
    """With the provider's own word for it."""
    openai = pytest.importorskip("openai")
    script = Refusal(status=400, code="context_length_exceeded")
    with (
        ScriptedModel(script) as model,
        sdk(model) as client,
        attempt.tapped(),
        pytest.raises(openai.BadRequestError),
    ):
        client.chat.completions.create(**question())

    call = attempt.call()
    assert (call.status, call.error, call.http_status) == ("error", "context_length_exceeded", 400)
    assert call.call.messages[0].content == "hi"


def test_a_retried_call_names_the_try_before(attempt):
    """The SDK counts its tries; two calls after each other, each with two tries, are not mixed up."""
    script = in_turn(Refusal(status=429, code="slow_down", retry_after=0.01), "four")
    with ScriptedModel(script) as model, sdk(model) as client, attempt.tapped():
        client.chat.completions.create(**question("one"))
        client.chat.completions.create(**question("two"))

    first, second, third, fourth = attempt.calls()
    assert [call.status for call in (first, second, third, fourth)] == ["error", "ok", "error", "ok"]
    assert (first.retry_of, second.retry_of) == (None, first.call_id)
    assert (third.retry_of, fourth.retry_of) == (None, third.call_id)
    assert (first.error, first.http_status) == ("slow_down", 429)
    assert [call.tries for call in (first, second, third, fourth)] == [(), ("slow_down",), (), ("slow_down",)]


def test_tries_in_parallel_do_not_adopt_each_other(attempt):
    """Each task of a loop tries its own call again."""
    script = in_turn(Refusal(status=429, code="slow_down", retry_after=0.01), "four")

    async def story(model):
        async with sdk_async(model) as client:
            with attempt.running():
                await asyncio.gather(*(client.chat.completions.create(**question(str(n))) for n in range(4)))

    with ScriptedModel(script) as model, tapped():
        asyncio.run(story(model))

    calls = {call.call_id: call for call in attempt.calls()}
    retried = [call for call in calls.values() if call.retry_of]
    assert len(calls) == 8
    assert len(retried) == 4
    assert all(call.call.messages == calls[call.retry_of].call.messages for call in retried)


def test_a_request_without_a_mark_is_a_call_of_its_own(attempt, http):
    """Whoever retries by hand makes two calls."""
    replies = iter([http.Response(500, text="down"), http.Response(200, json=answer())])
    client = http.Client(transport=http.MockTransport(lambda _request: next(replies)))
    with client, attempt.tapped():
        client.post(URL, json=question())
        client.post(URL, json=question())

    first, second = attempt.calls()
    assert (first.status, first.error, second.status) == ("error", "http_500", "ok")
    assert second.retry_of is None


@pytest.mark.parametrize("dialect", DIALECTS.values(), ids=DIALECTS)
def test_every_dialect_of_the_wire_is_known_by_its_route(attempt, http, dialect):
    """Whatever stands before it: a version, a deployment; and chat completions are no completions."""
    transport = http.MockTransport(lambda _request: http.Response(200, json={"id": "r-1"}))
    with http.Client(transport=transport) as client, attempt.tapped():
        client.post(f"http://model.invalid/openai/deployments/d/{dialect.ROUTE}?api-version=1", json={"model": "m"})

    assert (attempt.call().call.dialect, attempt.call().call.model) == (dialect.NAME, "m")


def test_a_client_of_any_transport_is_heard(attempt, http):
    """Sync, async, and the functions of the module; the answer is decoded, and whatever the hooks have read."""
    packed = gzip.compress(json.dumps(answer()).encode())
    headers = {"content-type": "application/json", "content-encoding": "gzip"}
    transport = http.MockTransport(lambda _request: http.Response(200, headers=headers, content=packed))

    async def story():
        async with http.AsyncClient(transport=transport) as client:
            await client.post(URL, json=question("async"))

    with attempt.tapped():
        with http.Client(transport=transport, event_hooks={"response": [lambda one: one.read()]}) as client:
            client.post(URL, json=question("sync"))
        asyncio.run(story())

    assert [call.call.messages[0].content for call in attempt.calls()] == ["sync", "async"]
    assert {call.call.choices[0].message.content for call in attempt.calls()} == {"four"}


def test_the_functions_of_the_module_are_heard(attempt, http):
    """They make a client for each call."""
    with ScriptedModel("four") as model, attempt.tapped():
        reply = http.post(f"{model.url}/chat/completions", json=question())

    assert reply.json()["choices"][0]["message"]["content"] == "four"
    assert attempt.call().status == "ok"


def test_a_stream_that_was_read_as_a_whole_is_a_stream_all_the_same(attempt, http):
    """Who posts `"stream": true` and waits for all of it gets events."""
    reply = http.Response(200, headers=SSE, content=b"".join(STREAM))
    with http.Client(transport=http.MockTransport(lambda _request: reply)) as client, attempt.tapped():
        client.post(URL, json=question(stream=True))

    assert attempt.call().status == "ok"
    assert attempt.call().call.choices[0].message.content == "four"


def test_a_client_inside_a_client_makes_one_call(attempt, http):
    """A transport may be built on another client."""
    inner = http.Client(transport=http.MockTransport(lambda _request: http.Response(200, json=answer())))

    def through(request):
        with inner:
            return http.Response(200, content=inner.post(URL, content=request.content).content)

    with http.Client(transport=http.MockTransport(through)) as client, attempt.tapped():
        client.post(URL, json=question())

    assert attempt.call().status == "ok"


@pytest.mark.parametrize(
    ("raised", "status", "error"),
    [
        ("ConnectError", "error", "endpoint_down"),
        ("ReadTimeout", "broken", "upstream_timeout"),
        ("RemoteProtocolError", "broken", "upstream_broken"),
    ],
)
def test_a_call_that_cannot_be_made_says_why(attempt, http, raised, status, error):
    """In the gateway's words; the agent gets the very exception."""
    broken = getattr(http, raised)("no")

    def fail(_request):
        raise broken

    with (
        http.Client(transport=http.MockTransport(fail)) as client,
        attempt.tapped(),
        pytest.raises(http.TransportError) as caught,
    ):
        client.post(URL, json=question())

    assert caught.value is broken
    assert (attempt.call().status, attempt.call().error, attempt.call().http_status) == (status, error, None)


def test_a_hook_of_the_agent_that_raises_is_the_agents_own_affair(attempt, http):
    """The call is closed, and the exception is the agent's."""

    def refuse(_request):
        raise KeyError("mine")

    client = http.Client(event_hooks={"request": [refuse]})
    with client, attempt.tapped(), pytest.raises(KeyError, match="mine"):
        client.post(URL, json=question())

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_raised")


def test_a_cancelled_call_is_broken(attempt, http):
    """The agent's task is cancelled while the model thinks."""

    async def story():
        started = asyncio.Event()

        async def think(_request):
            started.set()
            await asyncio.Event().wait()

        async with http.AsyncClient(transport=http.MockTransport(think)) as client:
            with attempt.running():
                asking = asyncio.ensure_future(client.post(URL, json=question()))
            await started.wait()
            asking.cancel()
            await asyncio.gather(asking, return_exceptions=True)

    with tapped():
        asyncio.run(story())

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_the_attempt_is_the_one_whose_context_sends(attempt):
    """A thread that carries the context belongs to it; one that carries none is nobody's."""
    with ScriptedModel("four") as model, sdk(model) as client, tapped(), attempt.running():
        carrying = copy_context()

        def ask(text):
            client.chat.completions.create(**question(text))

        threads = [Thread(target=carrying.run, args=(ask, "ours")), Thread(target=ask, args=("nobody's",))]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()

    assert attempt.call().call.messages[0].content == "ours"
