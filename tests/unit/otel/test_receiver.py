"""OTLP over HTTP, row by row of the specification: encodings, sizes, answers, and that what came once stays once."""

from __future__ import annotations

import gzip
import json
import subprocess
import sys
import tracemalloc
from pathlib import Path
from typing import Any

import pytest

from agl_core.errors import LogFull
from agl_core.events import SpanRecorded
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder

from .conftest import SPAN, TRACE, Answered, Scene, request, span

pytest.importorskip("opentelemetry.proto")
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import (
    ExportTraceServiceRequest,
    ExportTraceServiceResponse,
)

pytestmark = pytest.mark.anyio

PROTOBUF = {"content-type": "application/x-protobuf"}
JSON = {"content-type": "application/json; charset=utf-8"}
GZIP = {**JSON, "content-encoding": "gzip"}


def protobuf(**changes: Any) -> bytes:
    """The same span, in protobuf."""
    made = ExportTraceServiceRequest()
    one = made.resource_spans.add().scope_spans.add().spans.add()
    one.trace_id, one.span_id, one.name = bytes.fromhex(TRACE), bytes.fromhex(SPAN), "work"
    one.start_time_unix_nano, one.end_time_unix_nano = 1793000000000000000, 1793000001000000000
    for name, value in changes.items():
        setattr(one, name, value)
    return made.SerializeToString()


def body(*spans: dict[str, Any]) -> bytes:
    """A request, in JSON."""
    return json.dumps(request(*spans)).encode()


def status_in(answer: Answered) -> tuple[int, str]:
    """Code and words of a `google.rpc.Status`, in the encoding it came in."""
    if isinstance(answer.body, dict):
        return answer.body["code"], answer.body["message"]
    code, words = answer.body[:2], answer.body[2:]
    assert (code[0], words[0]) == (8, 18)
    length, start = (words[1], 2) if words[1] < 128 else (words[1] & 127 | words[2] << 7, 3)
    assert len(words) == start + length
    return code[1], words[start:].decode()


async def test_json_is_answered_in_json(scene: Scene):
    """With the empty success that it is."""
    answer = await scene.post(f"{scene.url}/traces", body(span()), headers=JSON)

    assert (answer.status, answer.body) == (200, {})
    assert answer.headers["content-type"] == "application/json"
    (kept,) = scene.facts("span.recorded")
    assert isinstance(kept, SpanRecorded)
    assert (kept.rollout_id, kept.attempt_id) == (scene.first.rollout_id, scene.first.attempt_id)
    assert (kept.trace_id, kept.span_id, kept.sequence_id) == (TRACE, SPAN, 1)


async def test_protobuf_is_answered_in_protobuf(scene: Scene):
    """With the empty success that it is."""
    answer = await scene.post(f"{scene.url}/traces", protobuf(), headers=PROTOBUF)

    assert (answer.status, answer.body) == (200, b"")
    assert answer.headers["content-type"] == "application/x-protobuf"
    assert len(scene.facts("span.recorded")) == 1


async def test_both_encodings_are_the_same_span(scene: Scene):
    """One that is sent in the other encoding again is known."""
    await scene.post(f"{scene.url}/traces", protobuf(), headers=PROTOBUF)
    await scene.post(f"{scene.url}/traces", body(span()), headers=JSON)

    assert len(scene.facts("span.recorded")) == 1


async def test_a_span_is_kept_once_however_often_it_is_sent(scene: Scene):
    """In one request, in two, and to a gateway that was started anew."""
    await scene.post(f"{scene.url}/traces", body(span(), span(), span(spanId="00000000000000ff")), headers=JSON)
    await scene.gateway.stop()
    scene.gateway = Gateway(Recorder(scene.store.log), scene.store.ask, log=scene.store.log)
    scene.base = await scene.gateway.start()
    answer = await scene.post(f"{scene.url}/traces", body(span()), headers=JSON)

    assert (answer.status, answer.body) == (200, {})
    assert len(scene.facts("span.recorded")) == 2


async def test_a_span_of_another_trace_that_has_the_same_id_is_not_lost(scene: Scene):
    """Ids are random only where somebody takes care; in one request, and in two."""
    other = "ab" * 16
    await scene.post(f"{scene.url}/traces", body(span(), span(traceId=other)), headers=JSON)
    await scene.post(f"{scene.url}/traces", body(span(traceId="cd" * 16), span(traceId=other), span()), headers=JSON)

    assert [one.trace_id for one in scene.facts("span.recorded")] == [TRACE]
    assert [one.trace_id for one in scene.facts("span.unassigned")] == [other, "cd" * 16]


async def test_rewards_that_travel_as_spans_are_rewards(scene: Scene):
    """As Agent Lightning's own emitters send them: the first one trains, and each is given once."""
    said = [
        {"key": "agentlightning.reward.0.name", "value": {"stringValue": "correct"}},
        {"key": "agentlightning.reward.0.value", "value": {"doubleValue": 0.5}},
        {"key": "agentlightning.reward.1.name", "value": {"stringValue": "style"}},
        {"key": "agentlightning.reward.1.value", "value": {"intValue": "1"}},
        {"key": "why", "value": {"stringValue": "close"}},
    ]
    for _ in range(2):
        await scene.post(
            f"{scene.url}/traces", body(span(name="agentlightning.annotation", attributes=said)), headers=JSON
        )

    rewards = scene.facts("reward.given")
    assert [(reward.name, reward.value, reward.evidence) for reward in rewards] == [
        ("primary", 0.5, {"why": "close", "agentlightning.reward.0.name": "correct"}),
        ("style", 1.0, {"why": "close"}),
    ]
    assert scene.store.ask.outcomes([scene.first.rollout_id])[0].reward == 0.5


async def test_a_request_is_one_transaction(scene: Scene):
    """Its spans have one seal."""
    await scene.post(
        f"{scene.url}/traces", body(*(span(spanId=f"{number:016x}") for number in range(1, 101))), headers=JSON
    )

    first, last = scene.store.log.rows("select min(position), max(position) from spans")[0]
    assert last - first == 99
    assert scene.store.log.rows("select count(*) from seals where position between ? and ?", (first, last)) == [(1,)]


async def test_what_the_sdk_for_javascript_sends_is_read(scene: Scene):
    """As it was recorded, of the release in the file's name."""
    raw = (Path(__file__).parent / "js-sdk-2.12.json").read_bytes()

    answer = await scene.post(f"{scene.url}/traces", raw, headers=JSON)

    tool, agent = scene.facts("span.recorded")
    assert (answer.status, answer.body) == (200, {})
    assert (tool.name, tool.parent_id, tool.trace_id) == ("execute_tool add", agent.span_id, agent.trace_id)
    assert (tool.status, tool.status_message, tool.events[0]["attributes"]) == ("error", "no", {"n": 1})
    assert tool.links[0]["span_id"] == agent.span_id
    assert (agent.kind, agent.scope) == ("client", {"name": "agent", "version": "2.0"})
    assert agent.resource["telemetry.sdk.language"] == "nodejs"
    said = {name: agent.attributes[name] for name in ("sizes", "share", "big", "is")}
    assert said == {"sizes": [1, 2], "share": 0.5, "big": 2**53, "is": True}


async def test_gzip_is_inflated_also_in_several_members(scene: Scene):
    """As a client that flushes writes it."""
    raw = body(span())

    answer = await scene.post(f"{scene.url}/traces", gzip.compress(raw[:50]) + gzip.compress(raw[50:]), headers=GZIP)

    assert answer.status == 200
    assert len(scene.facts("span.recorded")) == 1


async def test_a_bomb_is_refused_before_it_goes_off(scene: Scene):
    """A gigabyte of nothing, of which 64 MiB are looked at, and less than 100 MB are ever held."""
    bomb = gzip.compress(bytes(10_000_000)) * 100  # a member after the other, which takes no time to make
    tracemalloc.start()

    answer = await scene.post(f"{scene.url}/traces", bomb, headers=GZIP)

    _, most = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert 64 << 20 < most < 100_000_000
    assert answer.status == 413
    assert answer.body["code"] == 8
    assert "BODY_TOO_BIG" in answer.body["message"]


@pytest.mark.parametrize(
    ("sent", "headers", "status", "code"),
    [
        (b"{", JSON, 400, "BAD_OTLP"),
        (b"[]", JSON, 400, "BAD_OTLP"),
        (b"\xff\xff", PROTOBUF, 400, "BAD_OTLP"),
        (gzip.compress(b"{}", mtime=0)[:-4], GZIP, 400, "BAD_GZIP"),
        (b"{}", GZIP, 400, "BAD_GZIP"),
        (b"{}", {"content-type": "text/plain"}, 415, "BAD_CONTENT_TYPE"),
        (b"{}", {**JSON, "content-encoding": "zstd"}, 415, "BAD_CONTENT_ENCODING"),
    ],
)
async def test_what_is_no_export_is_refused_for_good(scene: Scene, sent: bytes, headers, status: int, code: str):
    """A client that is answered so does not send it again; the answer is a `Status` in its encoding."""
    answer = await scene.post(f"{scene.url}/traces", sent, headers=headers)

    number, message = status_in(answer)
    assert (answer.status, number) == (status, 3)
    assert message.startswith(f"[{code}]")
    assert "retry-after" not in answer.headers
    assert not scene.facts("span.recorded", "span.unassigned")


@pytest.mark.parametrize("key", ["", "another", "agl-é"])
async def test_a_wrong_token_is_refused(scene: Scene, key: str):
    """At the attempt's route, and at the gateway's own."""
    for url in (scene.url, f"{scene.base}/v1"):
        answer = await scene.post(f"{url}/traces", body(span()), key=key, headers=JSON)
        assert (answer.status, answer.body["code"]) == (401, 16)
    assert not scene.facts("span.recorded", "span.unassigned")


async def test_an_unknown_attempt_is_not_found(scene: Scene):
    """With a code."""
    answer = await scene.post(f"{scene.base}/rollout/ro-9/attempt/at-9/v1/traces", body(span()), headers=JSON)

    assert (answer.status, answer.body["code"]) == (404, 5)
    assert "UNKNOWN_ID" in answer.body["message"]


async def test_another_method_is_refused(scene: Scene):
    """An export is a POST."""
    async with scene.client.get(f"{scene.url}/traces") as reply:
        assert reply.status == 405


async def test_metrics_are_said_not_to_be_kept(scene: Scene):
    """An empty success would say that they are; 404 is for good."""
    answer = await scene.post(f"{scene.url}/metrics", b"", headers=PROTOBUF)

    assert answer.status == 404
    assert b"OTEL_METRICS_EXPORTER=none" in answer.body


async def test_what_cannot_be_kept_is_counted_and_the_rest_is_kept(scene: Scene):
    """A partial success: 200, so that nobody sends it again, and how many are missing, and why."""
    both = [span(), span(traceId="0" * 32)]

    answer = await scene.post(f"{scene.url}/traces", body(*both), headers=JSON)

    assert answer.status == 200
    assert answer.body["partialSuccess"]["rejectedSpans"] == "1"
    assert "traceId" in answer.body["partialSuccess"]["errorMessage"]
    assert len(scene.facts("span.recorded")) == 1


async def test_a_partial_success_in_protobuf_is_one(scene: Scene):
    """As the library reads it that clients have."""
    answer = await scene.post(f"{scene.url}/traces", protobuf(span_id=b"\0" * 8), headers=PROTOBUF)

    partial = ExportTraceServiceResponse.FromString(answer.body).partial_success
    assert (answer.status, partial.rejected_spans) == (200, 1)
    assert "spanId" in partial.error_message


async def test_a_log_that_takes_nothing_just_now_is_worth_coming_again(scene: Scene, monkeypatch: pytest.MonkeyPatch):
    """503, and when."""

    def full(_work: Any) -> Any:
        raise LogFull("log.db", why="no space left")

    monkeypatch.setattr(scene.store.log, "submit", full)

    answer = await scene.post(f"{scene.url}/traces", body(span()), headers=JSON)

    assert (answer.status, answer.body["code"], answer.headers["retry-after"]) == (503, 14, "1")


async def test_spans_of_an_attempt_that_lost_its_lease_are_kept_and_never_count(scene: Scene):
    """As all that comes late; who sent them hears so, and nobody sends them again."""
    await scene.post(f"{scene.url}/traces", body(span(spanId="00000000000000aa")), headers=JSON)
    await scene.store.update_attempt(scene.first.rollout_id, scene.first.attempt_id, status="unresponsive")

    answer = await scene.post(f"{scene.url}/traces", body(span()), headers=JSON)

    assert answer.status == 200
    assert answer.body["partialSuccess"]["rejectedSpans"] == "0"
    assert "lost its lease" in answer.body["partialSuccess"]["errorMessage"]
    assert len(scene.facts("span.recorded")) == 2
    (trace,) = scene.store.ask.traces([scene.first.rollout_id])
    assert [one.span_id for one in trace.spans] == ["00000000000000aa"]


def test_a_gateway_that_hears_no_spans_pays_for_none():
    """What reads them is imported with the first of them."""
    program = "import sys, agl_core.gateway; print([name for name in sys.modules if 'opentelemetry' in name])"

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
