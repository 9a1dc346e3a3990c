"""A model may be served in many places: a rollout stays with its own, and a place that is down is no end."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace

import pytest

from agl_core.engine import Endpoint
from agl_core.errors import BadValue, PolicyNotLoaded
from agl_core.gateway._lanes import Lanes, Target
from agl_core.gateway._providers import address, authorization

from .conftest import Scene, admission

pytestmark = pytest.mark.anyio
PLACES = [f"http://127.0.0.1:{port}/v1" for port in (8001, 8002, 8003)]


def place(url: str, *, weight: float = 1.0, version: int = 0) -> Target:
    """A place of the policy."""
    endpoint = Endpoint(url=url, model="policy", max_len=64)
    return Target(endpoint=endpoint, role="policy", version=version, headers={}, weight=weight)


def lanes(*targets: Target) -> Lanes:
    """All of them beside each other."""
    made = Lanes(wake=lambda what: what())
    for target in targets:
        made.put(target, beside=True)
    return made


def where(found: Lanes, count: int = 3000) -> dict[str, str]:
    """Rollout to the place it goes to."""
    return {f"ro-{number}": found.targets("policy", f"ro-{number}")[0].endpoint.url for number in range(count)}


def test_rollouts_are_shared_by_weight():
    """A place of weight two has twice as many."""
    found = where(lanes(place(PLACES[0], weight=2.0), place(PLACES[1]), place(PLACES[2])))

    counts = Counter(found.values())
    assert counts[PLACES[0]] == pytest.approx(1500, rel=0.1)
    assert counts[PLACES[1]] == pytest.approx(750, rel=0.15)


def test_only_the_rollouts_of_a_place_move_when_it_goes():
    """The others stay with the cache that knows them."""
    before = where(lanes(*map(place, PLACES)))

    after = where(lanes(*map(place, PLACES[:2])))

    assert all(after[one] == url for one, url in before.items() if url != PLACES[2])
    assert set(after.values()) == set(PLACES[:2])


def test_a_place_that_comes_again_is_not_there_twice():
    """Registered again, it is replaced."""
    found = lanes(place(PLACES[0]), place(PLACES[1]), place(PLACES[0], version=4))

    assert sorted(target.version for target in found.targets("policy", "ro-1")) == [0, 4]


def test_a_pinned_version_is_looked_for_in_all_places():
    """While some still serve the old weights."""
    found = lanes(place(PLACES[0], version=1), place(PLACES[1], version=2))

    assert [target.endpoint.url for target in found.targets("policy@2", "ro-1")] == [PLACES[1]]
    with pytest.raises(PolicyNotLoaded):
        found.targets("policy@3", "ro-1")


async def test_a_rollout_whose_place_is_down_goes_to_the_next(scene: Scene, free_tcp_port: int):
    """One call, which says that it looked elsewhere first."""
    down = replace(scene.endpoint, url=f"http://127.0.0.1:{free_tcp_port}/v1")
    scene.gateway.register(down, beside=True, weight=1e9)

    status, _ = await scene.ask()

    (event,) = scene.calls.events
    assert status == 200
    assert event.status == "ok"
    assert set(event.tries) == {"endpoint_down"}


@pytest.mark.parametrize("weight", [0.0, -1.0, float("inf"), float("nan")])
async def test_a_weight_is_a_number_above_zero(scene: Scene, weight: float):
    """Anything else has no share."""
    with pytest.raises(BadValue):
        scene.gateway.register(scene.endpoint, weight=weight)


@pytest.mark.parametrize("dialects", [(), ("openai.chatt",)])
async def test_an_endpoint_speaks_a_dialect_that_exists(scene: Scene, dialects: tuple[str, ...]):
    """Said at registration, not at the first call."""
    with pytest.raises(BadValue, match=r"openai\.chat"):
        scene.gateway.register(replace(scene.endpoint, dialects=dialects))


@pytest.mark.parametrize(
    ("url", "dialect", "expected"),
    [
        ("https://api.openai.com/v1", "openai.chat", {"authorization": "Bearer k"}),
        ("https://openrouter.ai/api/v1", "openai.chat", {"authorization": "Bearer k"}),
        ("https://me.openai.azure.com/openai/v1", "openai.chat", {"api-key": "k"}),
        ("https://api.anthropic.com/v1", "anthropic.messages", {"x-api-key": "k", "anthropic-version": "2023-06-01"}),
    ],
)
def test_each_provider_is_shown_the_key_as_it_wants(url: str, dialect: str, expected: dict[str, str]):
    """By its URL, and what it speaks."""
    endpoint = Endpoint(url=url, model="m", max_len=64, dialects=(dialect,), api_key="k")

    headers = authorization(endpoint)

    assert headers == {"content-type": "application/json", **expected}


@pytest.mark.parametrize(
    ("route", "body"),
    [("embeddings", {"input": "one"}), ("responses", {"input": "go on", "previous_response_id": "resp_1"})],
)
async def test_what_cannot_be_said_is_refused(scene: Scene, route: str, body: dict[str, str]):
    """A model of words makes no vectors, and knows no history that it is not told; nothing was asked of anybody."""
    status, answer = await scene.ask(body, route=route)

    assert (status, answer["error"]["code"]) == (400, "NOT_SPOKEN")
    assert not scene.calls.begun


def test_a_local_engine_needs_no_key():
    """Ollama, vLLM, our own."""
    headers = authorization(Endpoint(url="http://127.0.0.1:11434/v1", model="m", max_len=64))

    assert headers == {"content-type": "application/json"}


@pytest.mark.parametrize(
    ("base", "expected"),
    [
        ("http://127.0.0.1:8000/v1", "http://127.0.0.1:8000/v1/chat/completions"),
        ("http://127.0.0.1:8000/v1/", "http://127.0.0.1:8000/v1/chat/completions"),
        ("https://x.y/d/gpt?api-version=1", "https://x.y/d/gpt/chat/completions?api-version=1"),
    ],
)
def test_a_route_lies_under_its_base(base: str, expected: str):
    """A query stays behind it."""
    assert address(base, "chat/completions") == expected


async def test_a_mode_has_its_own_sampling(scene: Scene):
    """Whatever the agent asks for: a validation is greedy, a training is not."""
    await scene.gateway.stop()
    scene.attempts.put(admission(attempt_id="at-val", mode="val"))
    gateway = type(scene.gateway)(scene.calls, scene.attempts, overrides={"val": {"temperature": 0.0}})
    scene.base = await gateway.start()
    gateway.register(scene.endpoint)

    await scene.ask({"temperature": 1.0}, attempt="at-val")
    await scene.ask({"temperature": 1.0})
    await gateway.stop()

    assert [asked["temperature"] for asked in scene.model.asked] == [0.0, 1.0]
    assert [event.call.sampling.temperature for event in scene.calls.events] == [0.0, 1.0]


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/v1",
        "http:///v1",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "http://[fe80::1]/v1",
        "http://metadata.google.internal/v1",
    ],
)
async def test_an_endpoint_is_a_place_of_models(scene: Scene, url: str):
    """Not a file, and not the service that hands out a cloud's keys."""
    with pytest.raises(BadValue, match=r"endpoint\.url"):
        scene.gateway.register(replace(scene.endpoint, url=url))
