"""DSPy sends with neither `httpx` nor `httpx2`: what goes over its own sockets is recorded all the same."""

from __future__ import annotations

import asyncio
import gc
import importlib
import json
import subprocess
import sys

import pytest

from agl_core.recorder import agent
from agl_core.tap import tapped
from agl_core.tap._tapped import LIBRARIES
from agl_core.testing import Answer, Broken, Refusal, ScriptedModel

from .conftest import question


@pytest.fixture(params=["lm15", "dspy._vendor.lm15"])
def lm15(request):
    """The library, alone or as DSPy carries it along."""
    pytest.importorskip(request.param.split(".", maxsplit=1)[0])
    return importlib.import_module(request.param)


def asked(lm15, url, body, method="POST"):
    """A request of theirs."""
    headers = [("Content-Type", "application/json")]
    return lm15.transports.TransportRequest(method, url, headers=headers, body=json.dumps(body).encode())


def ask(lm15, url, **more):
    """The bytes of an answer, read to their end."""
    request = asked(lm15, f"{url}/chat/completions", question(**more))
    with lm15.transports.StdlibTransport() as transport, transport.stream(request) as response:
        return response.read()


async def ask_async(lm15, url, **more):
    """The same for coroutines."""
    request = asked(lm15, f"{url}/chat/completions", question(**more))
    async with lm15.transports.StdlibAsyncTransport() as transport, transport.stream(request) as response:
        return await response.read()


def run(lm15, url, *, is_async, **more):
    """Either of them."""
    return asyncio.run(ask_async(lm15, url, **more)) if is_async else ask(lm15, url, **more)


def names(lm15):
    """Every patched attribute of the library, and what it is at this moment."""
    return [vars(patch._owner)[patch._name] for patch in LIBRARIES[lm15.__name__](lm15)]


either = pytest.mark.parametrize("is_async", [False, True], ids=["thread", "coroutine"])


@either
def test_a_call_is_recorded(attempt, lm15, is_async):
    """What was asked, what was answered, whose it is; the agent gets the bytes that were sent."""
    with ScriptedModel("four", version=3) as model:
        untapped = run(lm15, model.url, is_async=is_async, temperature=0.5)
        with attempt.tapped(), agent("writer"):
            said = run(lm15, model.url, is_async=is_async, temperature=0.5)

    call = attempt.call()
    assert json.loads(said)["choices"] == json.loads(untapped)["choices"]
    assert (call.status, call.error, call.http_status, call.first_token) == ("ok", None, 200, None)
    assert (call.attempt_id, call.agent, call.policy_version) == (attempt.scope.attempt_id, "writer", 3)
    assert [message.content for message in call.call.messages] == ["hi"]
    assert call.call.sampling.temperature == 0.5
    assert call.call.choices[0].message.content == "four"
    assert call.call.response_id == json.loads(said)["id"]


@either
def test_a_stream_is_recorded_as_it_is_read(attempt, lm15, is_async):
    """Put together, with the time to its first piece."""
    with ScriptedModel("forty-two") as model, attempt.tapped():
        said = run(lm15, model.url, is_async=is_async, stream=True)

    call = attempt.call()
    assert said.endswith(b"data: [DONE]\n\n")
    assert (call.status, call.call.choices[0].message.content) == ("ok", "forty-two")
    assert 0 < call.first_token < call.latency


@either
def test_a_refusal_is_a_call_that_failed(attempt, lm15, is_async):
    """With the provider's own word for it."""
    with ScriptedModel(Refusal(status=429, code="slow_down")) as model, attempt.tapped():
        run(lm15, model.url, is_async=is_async)

    assert (attempt.call().status, attempt.call().error, attempt.call().http_status) == ("error", "slow_down", 429)


@either
def test_a_connection_that_breaks_is_a_broken_call(attempt, lm15, is_async):
    """It keeps what had come, and the agent gets the library's own error."""
    script = Broken(answer=Answer(text="forty-two", pieces=["forty", "-two"]), after=2)
    with ScriptedModel(script) as model, attempt.tapped(), pytest.raises(lm15.transports.TransportError):
        run(lm15, model.url, is_async=is_async, stream=True)

    assert (attempt.call().status, attempt.call().error) == ("broken", "upstream_broken")
    assert attempt.call().call.choices[0].message.content.startswith("forty")


@either
def test_an_endpoint_that_is_not_there_is_a_call_that_failed(attempt, lm15, is_async):
    """Nothing was answered."""
    with ScriptedModel() as model:
        gone = model.url
    with attempt.tapped(), pytest.raises(lm15.transports.ConnectError):
        run(lm15, gone, is_async=is_async)

    assert (attempt.call().status, attempt.call().error) == ("error", "endpoint_down")


def test_a_stream_that_is_left_is_a_broken_call(attempt, lm15):
    """In the middle of it."""
    with ScriptedModel("forty-two") as model, lm15.transports.StdlibTransport() as transport, attempt.tapped():
        request = asked(lm15, f"{model.url}/chat/completions", question(stream=True))
        with transport.stream(request) as response:
            next(iter(response))

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_a_stream_that_a_coroutine_leaves_is_a_broken_call(attempt, lm15):
    """In the middle of it."""

    async def story(url):
        request = asked(lm15, f"{url}/chat/completions", question(stream=True))
        async with lm15.transports.StdlibAsyncTransport() as transport, transport.stream(request) as response:
            async for _ in response:
                break

    with ScriptedModel("forty-two") as model, attempt.tapped():
        asyncio.run(story(model.url))

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_an_answer_that_nobody_reads_is_a_broken_call(attempt, lm15):
    """It is never closed, and goes with the garbage."""
    with ScriptedModel("four") as model, lm15.transports.StdlibTransport() as transport, attempt.tapped():
        response = transport.stream(asked(lm15, f"{model.url}/chat/completions", question()))
        del response
        gc.collect()

    assert (attempt.call().status, attempt.call().error) == ("broken", "client_disconnected")


def test_what_is_no_model_call_passes_untouched(attempt, lm15):
    """The request is the very one that was made, and so is the answer."""
    with ScriptedModel("four") as model, lm15.transports.StdlibTransport() as transport, attempt.tapped():
        with transport.stream(asked(lm15, f"{model.url}/models", {}, method="GET")) as response:
            listed = response.read()
        with transport.stream(asked(lm15, f"{model.url}/files", question())) as response:
            response.read()

    assert json.loads(listed)["object"] == "list"
    assert not attempt.calls()
    assert not attempt.lost()


@either
def test_outside_an_attempt_nothing_is_recorded(log, lm15, is_async):
    """Nobody's call is nobody's."""
    with ScriptedModel("four") as model, tapped():
        run(lm15, model.url, is_async=is_async)

    assert not list(log.read())


def test_a_call_to_the_gateway_is_signed_and_left_to_it(attempt, lm15):
    """It knows the call by what the tap tells it; the request of the agent stays as it was, to be sent again."""
    with ScriptedModel("four") as model, attempt.tapped(), agent("writer"):
        base = model.url.removesuffix("/v1")
        url = f"{base}/rollout/{attempt.scope.rollout_id}/attempt/{attempt.scope.attempt_id}/v1/chat/completions"
        request = asked(lm15, url, question())
        with lm15.transports.StdlibTransport() as transport, transport.stream(request) as response:
            response.read()

    headers = model.requests[0].headers
    assert headers["agl-call-id"].startswith("ca-")
    assert headers["agl-agent"] == "writer"
    assert request.headers == [("Content-Type", "application/json")]
    assert not attempt.calls()


def test_no_header_of_ours_goes_to_a_foreign_host(attempt, lm15):
    """Nor any other change."""
    with ScriptedModel("four") as model:
        ask(lm15, model.url)
        with attempt.tapped(), agent("writer"):
            ask(lm15, model.url)

    without, with_ = (dict(one.headers) for one in model.requests)
    assert with_ == without


def test_every_patched_name_is_the_very_object_it_was(lm15):
    """By identity; and each was another one meanwhile."""
    before = names(lm15)

    with tapped():
        during = names(lm15)

    assert all(now is then for now, then in zip(names(lm15), before, strict=True))
    assert not any(now is then for now, then in zip(during, before, strict=True))


LATE = """
import importlib, sys
from agl_core.tap import tapped
with tapped():
    assert {library!r} not in sys.modules, "the tap imported it"
    transports = importlib.import_module({library!r}).transports
    assert hasattr(transports.StdlibTransport.stream, "__wrapped__")
    assert hasattr(transports.StdlibAsyncTransport._do_stream, "__wrapped__")
assert not hasattr(transports.StdlibTransport.stream, "__wrapped__")
"""


def test_a_library_that_is_imported_meanwhile_is_patched_then(lm15):
    """And is not imported by us."""
    subprocess.run([sys.executable, "-c", LATE.format(library=lm15.__name__)], check=True, timeout=120)
