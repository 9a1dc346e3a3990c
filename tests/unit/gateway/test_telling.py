"""What a program tells at AGL_EVENT_URL is what the emitters would have written; what is no event leaves nothing."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import agl_core as agl
from agl_core.events import Event, RewardGiven, SpanRecorded, Target
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import AttemptedRollout, Store

pytestmark = pytest.mark.anyio


class Scene:
    """An attempt, and the URL at which its program tells things."""

    def __init__(self, store: Store, first: AttemptedRollout, base: str, client: aiohttp.ClientSession) -> None:
        self.store, self.first, self.client = store, first, client
        self.url = f"{base}/rollout/{first.rollout_id}/attempt/{first.attempt_id}/v1/events"

    async def tell(self, body: Any, *, key: str | None = None) -> tuple[int, Any]:
        """Status and answer."""
        raw = body if isinstance(body, bytes) else json.dumps(body).encode()
        shown = {"authorization": f"Bearer {key or self.store.ask.attempt_key(self.first.attempt_id)}"}
        async with self.client.post(self.url, data=raw, headers=shown) as reply:
            return reply.status, await reply.json()

    @property
    def told(self) -> list[Event]:
        """Rewards and spans in the log."""
        return [record.event for record in self.store.log.read(types=["reward.given", "span.recorded"])]


@pytest.fixture
async def telling(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """A started gateway over a log."""
    store = agl.open_store(str(tmp_path / "log.db"))
    first = await store.start_rollout({"q": 1})
    gateway = Gateway(Recorder(store.log), store.ask, log=store.log)
    base = await gateway.start()
    async with aiohttp.ClientSession() as client:
        yield Scene(store, first, base, client)
    await gateway.stop()
    store.close()
    store.log.close()


def comparable(event: Event) -> Event:
    """Without what names and times one span."""
    return replace(event, span_id="", started_at=0, ended_at=0) if isinstance(event, SpanRecorded) else event


@pytest.mark.parametrize(
    ("body", "emit"),
    [
        ({"reward": 0.5}, lambda: agl.emit_reward(0.5)),
        ({"reward": True}, lambda: agl.emit_reward(1.0)),
        ({"reward": {"primary": 1, "style": 0.2}}, lambda: agl.emit_reward({"primary": 1, "style": 0.2})),
        ({"reward": {"a": 1, "b": 2}, "primary_key": "b"}, lambda: agl.emit_reward({"a": 1, "b": 2}, primary_key="b")),
        (
            {"reward": 1, "target": {"kind": "call", "id": "ca-1"}, "attributes": {"why": "right"}},
            lambda: agl.emit_reward(1, target=Target(kind="call", id="ca-1"), attributes={"why": "right"}),
        ),
        ({"message": "half way", "attributes": {"n": 1}}, lambda: agl.emit_message("half way", {"n": 1})),
        ({"annotation": {"a": {"b": 1}, "c": [1, 2]}}, lambda: agl.emit_annotation({"a": {"b": 1}, "c": [1, 2]})),
        ({"annotation": {"c": [1, {"d": None}]}}, lambda: agl.emit_annotation({"c": [1, {"d": None}]})),
        ({"message": "m", "attributes": {"a": {"b": [1]}}}, lambda: agl.emit_message("m", {"a": {"b": [1]}})),
        ({"object": 1, "attributes": {"a": {"b": {}}}}, lambda: agl.emit_object(1, {"a": {"b": {}}})),
        ({"reward": 1, "attributes": {"a": {"b": 2}}}, lambda: agl.emit_reward(1, attributes={"a": {"b": 2}})),
        (
            {"annotation": {"agentlightning.reward": [{"name": "style", "value": 0.5}], "why": "short"}},
            lambda: agl.emit_annotation({"agentlightning.reward": [{"name": "style", "value": 0.5}], "why": "short"}),
        ),
        ({"object": "text"}, lambda: agl.emit_object("text")),
        ({"object": 2.5}, lambda: agl.emit_object(2.5)),
        ({"object": {"a": [1, None, "ü"]}}, lambda: agl.emit_object({"a": [1, None, "ü"]})),
        ({"object": None}, lambda: agl.emit_object(None)),
        ([{"message": "one"}, {"reward": 1}], lambda: [agl.emit_message("one"), agl.emit_reward(1)]),
    ],
)
async def test_what_is_told_is_what_the_emitters_write(telling: Scene, body: Any, emit: Callable[[], Any]):
    """The same facts, whichever way they came."""
    status, _ = await telling.tell(body)
    told = [comparable(event) for event in telling.told]
    scope = Scope(
        recorder=Recorder(telling.store.log),
        run_id=None,
        rollout_id=telling.first.rollout_id,
        attempt_id=telling.first.attempt_id,
    )
    with attributed(scope):
        emit()
    for write in list(scope.pending):
        write.result(timeout=30)

    assert status == 200
    assert told
    assert [comparable(event) for event in telling.told[len(told) :]] == told


@pytest.mark.parametrize(
    "told", ["no", {"message": "no"}, {"type": "ValueError", "message": "no", "stacktrace": "at line 1"}]
)
async def test_an_exception_is_told_in_words(telling: Scene, told: Any):
    """Its type and its place, where the program knows them; and it is an error."""
    await telling.tell({"exception": told, "agent": "writer"})

    (span,) = telling.told
    assert isinstance(span, SpanRecorded)
    assert (span.name, span.status, span.agent) == ("agentlightning.exception", "error", "writer")
    assert span.attributes["exception.message"] == "no"
    assert isinstance(span.attributes["exception.type"], str)
    assert span.status_message == "no"


async def test_a_reward_that_is_told_is_the_rollouts(telling: Scene):
    """As far as the store is concerned, the agent has scored itself."""
    await telling.tell([{"reward": 0.25}, {"reward": 0.75}])

    assert telling.store.ask.outcomes([telling.first.rollout_id])[0].reward == 0.75


@pytest.mark.parametrize(
    ("body", "code"),
    [
        (b"", "BAD_JSON"),
        (b"{", "BAD_JSON"),
        (b"\xff", "BAD_JSON"),
        (b"[" * 100_000, "BAD_JSON"),
        (b'{"reward": NaN}', "BAD_JSON"),
        (b'{"reward": 1e999}', "BAD_JSON"),
        ([], "BAD_VALUE"),
        (5, "BAD_VALUE"),
        ({}, "BAD_VALUE"),
        ({"rewrd": 1}, "BAD_VALUE"),
        ({"reward": 1, "message": "two at once"}, "BAD_VALUE"),
        ({"reward": 1, "weight": 2}, "BAD_VALUE"),
        ({"reward": "1"}, "BAD_VALUE"),
        ({"reward": None}, "BAD_VALUE"),
        ({"reward": {}}, "BAD_VALUE"),
        ({"reward": {"a": 1, "b": 2}}, "BAD_VALUE"),
        ({"reward": {"a": 1}, "primary_key": 3}, "BAD_VALUE"),
        ({"reward": 1, "target": {"kind": "world", "id": "x"}}, "BAD_VALUE"),
        ({"reward": 1, "attributes": 5}, "BAD_VALUE"),
        ({"reward": 1, "key": 5}, "BAD_VALUE"),
        ({"reward": 1, "key": ""}, "BAD_VALUE"),
        ({"message": 5}, "BAD_VALUE"),
        ({"annotation": "x"}, "BAD_VALUE"),
        ({"exception": {"type": "x"}}, "BAD_VALUE"),
        ({"event_type": "reward"}, "BAD_VALUE"),
        ({"event_type": 5}, "BAD_VALUE"),
        ([{"reward": 1}] * 1001, "BAD_VALUE"),
    ],
)
async def test_what_is_no_event_is_refused_whole(telling: Scene, body: Any, code: str):
    """With a code, never a traceback; what stood beside it in a list is not written either."""
    listed = [{"message": "fine"}, body] if isinstance(body, dict) else body

    for sent in (body, listed):
        status, answer = await telling.tell(sent)
        assert (status, answer["error"]["code"]) == (400, code)
        assert "Traceback" not in answer["error"]["message"]

    assert not telling.told


async def test_numbers_of_any_size_are_kept_or_refused(telling: Scene):
    """Never a failure of ours."""
    for value in (2**63, 2**64, 10**400, -(2**70)):
        for body in ({"object": value}, {"annotation": {"n": value}}, {"reward": value}):
            status, _ = await telling.tell(json.dumps(body).encode())
            assert status in (200, 400), body


@pytest.mark.parametrize("depth", [100, 450, 900, 990, 2000])
async def test_values_of_any_depth_are_kept_or_refused(telling: Scene, depth: int):
    """Never a failure of ours."""
    lists, maps = b"[" * depth + b"]" * depth, b'{"a":' * depth + b"1" + b"}" * depth
    for value in (lists, maps):
        for kind in (b"object", b"annotation", b"reward", b"message"):
            status, _ = await telling.tell(b'{"%b": {"a": %b}}' % (kind, value))
            assert status in (200, 400), kind


@pytest.mark.parametrize("body", [{"reward": {"primary": 1, "style": 0}}, {"message": "m"}, {"object": {"a": 1}}])
async def test_a_key_makes_a_fact_land_once(telling: Scene, body: dict[str, Any]):
    """Told again because the answer was lost; told otherwise by the same key, it is refused."""
    first = await telling.tell({**body, "key": "k"})
    once = telling.told

    again = await telling.tell([{**body, "key": "k"}, {**body, "key": "k"}])
    other = await telling.tell({next(iter(body)): "another" if "reward" not in body else 0.5, "key": "k"})

    assert (first[0], again[0]) == (200, 200)
    assert (other[0], other[1]["error"]["code"]) == (409, "KEY_REUSED")
    assert telling.told == once


async def test_what_an_annotation_states_is_a_reward_once(telling: Scene):
    """However often it is told by its key."""
    body = {"annotation": {"agentlightning.reward.0.value": 0.25}, "key": "k"}

    answers = [await telling.tell(body) for _ in range(2)]

    assert [answer for _, answer in answers] == [{"recorded": 2}] * 2
    assert [type(event) for event in telling.told] == [SpanRecorded, RewardGiven]
    assert telling.store.ask.outcomes([telling.first.rollout_id])[0].reward == 0.25


async def test_without_a_key_each_telling_is_one(telling: Scene):
    """Two of the same words are two facts."""
    for _ in range(2):
        await telling.tell({"message": "again"})

    assert len(telling.told) == 2


async def test_only_the_attempts_own_key_tells(telling: Scene):
    """And who has none is not told whether the attempt is open."""
    status, answer = await telling.tell({"reward": 1}, key="another")

    assert (status, answer["error"]["code"]) == (401, "UNAUTHORIZED")
    assert not telling.told


async def test_what_comes_after_the_lease_was_lost_is_kept_and_answered_so(telling: Scene):
    """It never counts."""
    await telling.store.update_attempt(telling.first.rollout_id, telling.first.attempt_id, status="unresponsive")

    status, answer = await telling.tell({"reward": 1})

    assert (status, answer["error"]["code"]) == (410, "LEASE_LOST")
    assert len(telling.told) == 1
    assert telling.store.ask.outcomes([telling.first.rollout_id])[0].reward is None


async def test_a_late_word_on_an_attempt_that_ended_well_counts(telling: Scene):
    """Feedback comes when it comes."""
    await telling.store.finish_attempt(telling.first.attempt, "completed")

    status, _ = await telling.tell({"reward": 0.5})

    assert status == 200
    assert telling.store.ask.outcomes([telling.first.rollout_id])[0].reward == 0.5


async def test_events_of_agent_lightning_1_are_understood(telling: Scene):
    """A reward is one; any other event is kept as it came."""
    reward = {"event_type": "reward", "data": {"value": 0.5, "message": "close"}}
    other = {"event_type": "checkpoint_reached", "data": {"step": 3}}

    status, answer = await telling.tell([reward, other])

    given, span = telling.told
    assert (status, answer) == (200, {"recorded": 2})
    assert isinstance(given, RewardGiven)
    assert (given.value, given.evidence) == (0.5, {"message": "close"})
    assert isinstance(span, SpanRecorded)
    assert span.attributes == {"event_type": "checkpoint_reached", "step": 3}
