"""Who is let in, and what those hear who are not."""

from __future__ import annotations

import asyncio
import io
from urllib.parse import urlsplit

import msgspec
import pytest

from .conftest import KEY, Scene, admission, question

pytestmark = pytest.mark.anyio


@pytest.mark.parametrize(
    ("changes", "status", "code"),
    [
        ({"key": "another"}, 401, "UNAUTHORIZED"),
        ({"key": ""}, 401, "UNAUTHORIZED"),
        ({"attempt": "at-9"}, 404, "UNKNOWN_ID"),
        ({"rollout": "ro-9"}, 404, "UNKNOWN_ID"),
        ({"route": "audio/speech"}, 404, "NOT_FOUND"),
        ({"route": "events"}, 404, "NOT_FOUND"),  # there is no log here to keep them in
        ({"route": "traces"}, 404, "NOT_FOUND"),
        ({"route": "models"}, 405, "METHOD_NOT_ALLOWED"),
        ({"body": {"model": "nobody"}}, 404, "model_not_found"),
        ({"body": {"model": None}}, 400, "BAD_VALUE"),
        ({"body": {"model": "policy@9"}}, 409, "POLICY_NOT_LOADED"),
        ({"body": b"{"}, 400, "BAD_JSON"),
        ({"body": b"[]"}, 400, "BAD_JSON"),
        ({"body": b'"\xff"'}, 400, "BAD_JSON"),
        ({"body": b"[" * 100_000}, 400, "BAD_JSON"),
    ],
)
async def test_what_cannot_be_served_is_refused_with_a_code(scene: Scene, changes, status, code):
    """A refusal has OpenAI's shape, names the reason, and leaves nothing in the log."""
    refused, answer = await scene.ask(changes.pop("body", None), **changes)

    assert (refused, answer["error"]["code"]) == (status, code)
    assert set(answer["error"]) == {"message", "type", "param", "code"}
    assert "Traceback" not in answer["error"]["message"]
    assert not scene.calls.events
    assert not scene.calls.begun


async def test_an_attempt_that_is_over_is_gone(scene: Scene):
    """A fenced attempt spends no more tokens."""
    scene.attempts.put(admission(is_open=False))

    status, answer = await scene.ask()

    assert (status, answer["error"]["code"]) == (410, "LEASE_LOST")


async def test_a_wrong_key_is_not_told_whether_the_attempt_is_open(scene: Scene):
    """Who holds no key learns nothing."""
    scene.attempts.put(admission(is_open=False))

    status, _ = await scene.ask(key="another")

    assert status == 401


async def test_an_unknown_model_is_answered_with_the_known_ones(scene: Scene):
    """The cure is in the message."""
    _, answer = await scene.ask({"model": "nobody"})

    assert "policy" in answer["error"]["message"]


async def test_a_pinned_version_is_served_when_it_is_loaded(scene: Scene):
    """`policy@3` is the policy, and the engine hears its own name."""
    status, _ = await scene.ask({"model": "policy@3"})

    assert status == 200
    assert scene.model.asked[0]["model"] == "policy"


async def test_models_are_listed_to_who_has_the_key(scene: Scene):
    """As OpenAI lists them."""
    async with scene.client.get(scene.path("models"), headers={"authorization": f"Bearer {KEY}"}) as reply:
        answer = await reply.json()
    async with scene.client.get(scene.path("models")) as reply:
        refused = reply.status

    assert [one["id"] for one in answer["data"]] == ["policy"]
    assert refused == 401


async def test_health_needs_no_key(scene: Scene):
    """Whoever started the gateway may ask whether it lives."""
    async with scene.client.get(f"{scene.base}/health") as reply:
        answer = await reply.json()

    assert answer["status"] == "ok"


async def test_a_body_that_is_too_big_is_refused(scene: Scene):
    """And its sender hears so, although it had more to say."""
    status, answer = await scene.ask(io.BytesIO(b" " * (32 << 20 | 1)))

    assert (status, answer["error"]["code"]) == (413, "BODY_TOO_BIG")


async def test_a_big_body_below_the_limit_goes_through(scene: Scene):
    """A history with images in it is a request like any other."""
    image = "x" * (3 << 20)

    status, _ = await scene.ask(io.BytesIO(b'{"model": "policy", "messages": [], "image": "%s"}' % image.encode()))

    assert status == 200
    assert scene.model.asked[0]["image"] == image


async def test_a_body_that_does_not_say_its_size_is_measured(scene: Scene):
    """A chunked request has no way around the limit."""

    async def endless():
        for _ in range(33):
            yield b" " * (1 << 20)

    status, answer = await scene.ask(endless())

    assert (status, answer["error"]["code"]) == (413, "BODY_TOO_BIG")


@pytest.mark.parametrize(
    "path",
    [
        "/rollout/ro-1%2Fattempt/at-1/v1/chat/completions",
        "/rollout/ro-1/attempt/at-1/v1/chat%2Fcompletions",
        "/rollout/ro-1/attempt/at-1/v1//chat/completions",
        "/rollout//ro-1/attempt/at-1/v1/chat/completions",
        "/rollout/ro-1/attempt/at-1/v1/models/../chat/completions",
        "/rollout/ro-1/attempt/at-9/../at-1/v1/chat/completions",
        "/rollout/ro-2/attempt/at-1/v1/chat/completions",
        "/rollout/ro-1/attempt/at-1%00/v1/chat/completions",
    ],
)
async def test_a_path_means_what_it_says(scene: Scene, path: str):
    """No second way to write it leads to somebody's attempt."""
    body = msgspec.json.encode(question())
    head = f"POST {path} HTTP/1.1\r\nhost: gateway\r\nauthorization: Bearer {KEY}\r\n"
    reader, writer = await asyncio.open_connection("127.0.0.1", urlsplit(scene.base).port)
    writer.write(f"{head}content-length: {len(body)}\r\nconnection: close\r\n\r\n".encode() + body)

    answer = await reader.read()

    writer.close()
    assert answer.startswith(b"HTTP/1.1 404")
    assert not scene.calls.begun


@pytest.mark.parametrize("name", ["base_url", "api_base", "endpoint"])
async def test_no_body_names_another_upstream(scene: Scene, name: str):
    """However deep: the only places are the registered ones, and a field goes on as it came."""
    elsewhere = "http://127.0.0.1:9/v1"

    status, _ = await scene.ask({name: elsewhere, "extra_body": {name: elsewhere, "extra": {name: elsewhere}}})

    assert status == 200
    assert scene.model.asked[0][name] == elsewhere


async def test_a_judge_may_ask_for_an_attempt_that_is_over(scene: Scene):
    """With its own key; what it asks is a judge's, though the model is the policy's."""
    scene.attempts.put(admission(is_open=False, judge_key="at-1-judge"))

    status, _ = await scene.ask(key="at-1-judge")

    assert status == 200
    assert [call.role for call in scene.calls.events] == ["judge"]


async def test_a_judge_is_sampled_as_it_says(scene: Scene):
    """What a run says of its modes, of an attempt, and its seed are for agents."""
    scene.attempts.put(admission(judge_key="at-1-judge", sampling={"temperature": 1.5}))

    await scene.ask(key="at-1-judge")

    assert not {"temperature", "seed"} & scene.model.asked[-1].keys()


async def test_nobody_is_a_judge_without_a_key(scene: Scene):
    """An attempt that no judge may ask for has no key that would be right, and not the empty one."""
    scene.attempts.put(admission(is_open=False, judge_key=""))

    status, answer = await scene.ask(key="")

    assert (status, answer["error"]["code"]) == (401, "UNAUTHORIZED")
