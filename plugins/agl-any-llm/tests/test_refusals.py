"""What is not answered: by us, by the provider, and in the middle of a stream."""

from __future__ import annotations

import asyncio

import httpx
import pytest

from agl_core.testing import Broken, Failing, Refusal

HOSTILE = {
    "api_base": "http://127.0.0.1:9/",
    "api_key": "sk-other",
    "base_url": "http://127.0.0.1:9/",
    "client_args": {"base_url": "http://127.0.0.1:9/"},
    "extra_body": {"x": 1},
    "extra_headers": {"x-api-key": "sk-other"},
    "extra_query": {"x": 1},
    "http_client": "x",
    "provider": "openai",
    "timeout": 1,
    "user_config": {"model_list": []},
}


@pytest.mark.parametrize("field", HOSTILE)
@pytest.mark.parametrize("route", ["chat/completions", "embeddings"])
def test_a_body_chooses_no_way_out(serve, field, route):
    """Fields that the library or an SDK would take an address, a key or a header from are refused by name."""
    served = serve()

    reply = served.send(route, **{field: HOSTILE[field]})

    assert reply.status_code == 400
    assert field in reply.json()["error"]["message"]
    assert served.provider.requests == ()


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "claude-other"}, 404, "model_not_found"),
        ({"model": ...}, 404, "model_not_found"),
        ({"messages": ...}, 400, "invalid_value"),
        ({"messages": []}, 400, "invalid_value"),
        ({"messages": "hello"}, 400, "invalid_value"),
        ({"messages": ["hello"]}, 400, "invalid_value"),
        ({"tools": "add"}, 400, "invalid_value"),
        ({"stream": "yes"}, 400, "invalid_value"),
        ({"seed": "seven"}, 400, "invalid_value"),
        ({"temperature": "hot"}, 400, "invalid_value"),
        ({"frequency_penalty": 1.0}, 400, "invalid_request"),
        ({"n": 2}, 400, "unsupported_parameter"),
    ],
)
def test_what_cannot_be_asked_is_refused_before_it_is_asked(serve, fields, status, code):
    """A request that is none, another's name, and what this provider has no word for: never ignored."""
    served = serve()

    reply = served.send(**fields)

    assert (reply.status_code, reply.json()["error"]["code"]) == (status, code)
    assert served.provider.requests == ()


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b"\xff", b"[" * 10_000])
def test_what_is_no_json_object_is_refused(serve, content):
    """With status 400."""
    served = serve()

    reply = served.http.post(f"{served.endpoint.url}/chat/completions", content=content)

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "invalid_value")


@pytest.mark.parametrize("header", [{}, {"authorization": "Bearer no"}, {"x-api-key": "no"}])
@pytest.mark.parametrize("route", ["chat/completions", "embeddings", "models"])
def test_another_process_is_not_answered(serve, header, route):
    """Whoever finds the port has no key for it, and spends nobody's money."""
    served = serve()

    reply = httpx.post(f"{served.endpoint.url}/{route}", json={"model": "judge"}, headers=header)

    assert reply.status_code == 401
    assert served.provider.requests == ()


def test_who_has_the_key_finds_no_other_route(serve):
    """A word of the log says which there is."""
    reply = serve().send("responses")

    assert (reply.status_code, reply.json()["error"]["code"]) == (404, "not_found")


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize(
    ("refusal", "code"),
    [
        (Refusal(status=429, code="rate_limit_error"), "rate_limit_exceeded"),
        (Refusal(status=529, code="overloaded_error"), "overloaded_error"),
        (Refusal(status=503, code="api_error"), "api_error"),
        (Refusal(status=400, code="invalid_request_error", message="prompt is too long"), "invalid_request"),
        (Refusal(status=401, code="authentication_error"), "invalid_api_key"),
        (Refusal(status=404, code="not_found_error"), "model_not_found"),
    ],
)
def test_a_provider_refuses_with_its_own_status(serve, refusal, code, is_streamed):
    """Once: whether it is asked again is the gateway's business, which writes that down."""
    served = serve(refusal)

    reply = served.send(stream=is_streamed)

    error = reply.json()["error"]
    assert (reply.status_code, error["code"]) == (refusal.status, code)
    assert refusal.message in error["message"]
    assert len(served.provider.requests) == 1


def test_a_provider_says_when_to_ask_again(serve):
    """And it is passed on, also where the refusal is no limit of rates."""
    for status in (429, 503):
        reply = serve(Refusal(status=status, code="busy", retry_after=7)).send()

        assert reply.headers["retry-after"] == "7"


def test_a_key_that_a_provider_repeats_is_not_shown(serve):
    """Some do, in the error that says that it is wrong."""
    served = serve(lambda asked: Refusal(status=401, code="no", message=f"wrong key {asked.headers['x-api-key']}"))

    reply = served.send()

    assert served.key not in reply.text
    assert "wrong key [key]" in reply.text


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_provider_that_is_not_there_is_a_bad_gateway(serve, is_streamed):
    """So that the gateway asks again."""
    served = serve()
    served.provider.stop()

    assert served.send(stream=is_streamed).status_code == 502


def test_a_stream_that_fails_says_so(serve):
    """With an event that OpenAI's clients raise on, and without the mark of the end."""
    *chunks, last = serve(Failing(after=4, code="overloaded_error", message="too much")).stream()

    assert chunks
    assert "too much" in last["error"]["message"]


def test_a_stream_that_breaks_off_says_so(serve):
    """Half an answer never looks whole."""
    events = serve(Broken(after=4)).stream()

    assert "error" in events[-1]


def test_a_stopped_engine_is_not_reached(serve):
    """And stopping it again is harmless; it is not started a second time."""
    served = serve()

    asyncio.run(served.engine.stop())
    asyncio.run(served.engine.stop())

    with pytest.raises(httpx.TransportError):
        served.send()
