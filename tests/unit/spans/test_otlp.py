"""OTLP in protobuf and in JSON: the same facts, by the rules that differ; and nothing in it raises but what is ours."""

from __future__ import annotations

import base64
import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.spans.otlp import Malformed, json_logs, json_traces, protobuf_logs, protobuf_traces

pytest.importorskip("opentelemetry.proto")
from google.protobuf import json_format
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

TRACE, SPAN, PARENT = "4C0FA1B23D5E69788796A5B4C3D2E1F0", "A1B2C3D4E5F60718", "A1B2C3D4E5F60717"
IDS = {"rollout_id": "ro-1", "attempt_id": "at-1"}


def request(*spans: dict[str, Any], **around: Any) -> dict[str, Any]:
    """Spans of one program, as OTLP nests them."""
    return {
        "resourceSpans": [
            {
                "resource": {"attributes": [attribute("service.name", stringValue="kitchen")]},
                "scopeSpans": [
                    {
                        "scope": {
                            "name": "soup.pot",
                            "version": "1.0.0",
                            "attributes": [attribute("a", boolValue=True)],
                        },
                        "spans": list(spans),
                    }
                ],
                **around,
            }
        ]
    }


def attribute(key: str, **value: Any) -> dict[str, Any]:
    """A pair, as OTLP has it."""
    return {"key": key, "value": value}


def span(**changes: Any) -> dict[str, Any]:
    """A span with everything that one may have."""
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "parentSpanId": PARENT,
        "traceState": "vendor=1",
        "name": "boil the water",
        "startTimeUnixNano": "1793000000000000000",
        "endTimeUnixNano": 1793000001000000000,
        "kind": 2,
        "attributes": [
            attribute("text", stringValue="with salt"),
            attribute("flag", boolValue=False),
            attribute("int", intValue="-42"),
            attribute("number", intValue=42),
            attribute("double", doubleValue=0.5),
            attribute("whole double", doubleValue=2),
            attribute("no number", doubleValue="NaN"),
            attribute("bytes", bytesValue=base64.b64encode(b"\xff\xfe\xfd!").decode()),
            attribute("list", arrayValue={"values": [{"stringValue": "x"}, {"intValue": "1"}, {}]}),
            attribute("empty list", arrayValue={}),
            attribute(
                "map", kvlistValue={"values": [attribute("inner", arrayValue={"values": [{"boolValue": True}]})]}
            ),
            attribute("nothing"),
        ],
        "events": [{"timeUnixNano": "1793000000500000000", "name": "e", "attributes": [attribute("n", intValue="1")]}],
        "links": [{"traceId": TRACE, "spanId": PARENT, "attributes": [attribute("why", stringValue="retry")]}],
        "status": {"code": 2, "message": "it broke"},
        **changes,
    }


def twin(body: dict[str, Any]) -> bytes:
    """The same request in protobuf, by protobuf's own reader of JSON; which takes ids for base64, so they are."""

    def rewritten(value: Any) -> Any:
        if isinstance(value, list):
            return [rewritten(one) for one in value]
        if not isinstance(value, dict):
            return value
        ids = ("traceId", "spanId", "parentSpanId")
        return {
            name: base64.b64encode(bytes.fromhex(one)).decode() if name in ids else rewritten(one)
            for name, one in value.items()
        }

    kind = ExportLogsServiceRequest if "resourceLogs" in body else ExportTraceServiceRequest
    return json_format.ParseDict(rewritten(body), kind()).SerializeToString()


def test_json_and_protobuf_give_identical_facts():
    """Byte for byte, in the log."""
    body = request(span(), span(spanId=PARENT, parentSpanId="", kind=0, status=None))

    ways = [json_traces(json.dumps(body).encode()), protobuf_traces(twin(body))]

    assert ways[0] == ways[1]
    assert not ways[0].rejected
    texts = [[Codec().encode(one.recorded(**IDS)).data for one in way.items] for way in ways]
    assert texts[0] == texts[1]
    assert len(texts[0]) == 2


def test_a_span_is_kept_as_it_came():
    """Every field of it, and what it says of who made it."""
    (sent,) = json_traces(json.dumps(request(span())).encode()).items

    assert (sent.trace_id, sent.span_id, sent.parent_id) == (TRACE.lower(), SPAN.lower(), PARENT.lower())
    assert (sent.name, sent.kind, sent.trace_state) == ("boil the water", "server", "vendor=1")
    assert (sent.started_at, sent.ended_at) == (1793000000000000000, 1793000001000000000)
    assert (sent.status, sent.status_message) == ("error", "it broke")
    assert sent.attributes == {
        "text": "with salt",
        "flag": False,
        "int": -42,
        "number": 42,
        "double": 0.5,
        "whole double": 2.0,
        "no number": "NaN",
        "bytes": "//79IQ==",
        "list": ["x", 1, None],
        "empty list": [],
        "map": {"inner": [True]},
        "nothing": None,
    }
    assert sent.events == ({"name": "e", "timestamp": 1793000000500000000, "attributes": {"n": 1}},)
    assert sent.links == ({"trace_id": TRACE.lower(), "span_id": PARENT.lower(), "attributes": {"why": "retry"}},)
    assert sent.resource == {"service.name": "kitchen"}
    assert sent.scope == {"name": "soup.pot", "version": "1.0.0", "attributes": {"a": True}}


def test_ids_in_json_are_hexadecimal():
    """Read as base64, which is what protobuf's own reader of JSON does, these 32 digits are 24 bytes."""
    (sent,) = json_traces(json.dumps(request(span())).encode()).items

    assert len(bytes.fromhex(sent.trace_id)) == 16
    assert len(bytes.fromhex(sent.span_id)) == 8
    assert len(base64.b64decode(TRACE)) == 24


@pytest.mark.parametrize(
    "wrong",
    [
        {"traceId": base64.b64encode(bytes.fromhex(TRACE)).decode()},
        {"traceId": ""},
        {"traceId": "0" * 32},
        {"traceId": TRACE[:-1]},
        {"traceId": "g" * 32},
        {"traceId": 5},
        {"spanId": "0" * 16},
        {"spanId": None},
        {"parentSpanId": "12"},
        {"startTimeUnixNano": "soon"},
        {"startTimeUnixNano": -1},
        {"endTimeUnixNano": str(1 << 64)},
        {"startTimeUnixNano": True},
        {"attributes": {"a": 1}},
        {"attributes": [attribute("a", doubleValue="x")]},
        {"attributes": [attribute("a", bytesValue="!")]},
        {"status": 2},
        {"name": 7},
    ],
)
def test_a_span_that_cannot_be_kept_is_told_of_and_costs_no_other(wrong: dict[str, Any]):
    """Its neighbours are kept, and the reason names what is wrong."""
    sent = json_traces(json.dumps(request(span(**wrong), span())).encode())

    assert len(sent.items) == 1
    assert len(sent.rejected) == 1
    assert len(sent.rejected[0]) < 300


def test_what_nobody_knows_yet_is_ignored():
    """Fields, kinds and statuses of a later release."""
    body = request(span(kind=99, status={"code": 9, "new": 1}, flags=257, weather="fine"), schemaUrl="x", later=[1])

    (sent,) = json_traces(json.dumps({**body, "more": {}}).encode()).items

    assert (sent.kind, sent.status) == ("internal", "unset")


@pytest.mark.parametrize(
    ("kind", "code", "meant"),
    [
        (3, 2, ("client", "error")),
        ("SPAN_KIND_CLIENT", "STATUS_CODE_ERROR", ("client", "error")),
        ("SPAN_KIND_UNSPECIFIED", "STATUS_CODE_UNSET", ("internal", "unset")),
        (True, None, ("internal", "unset")),
        ("3", [], ("internal", "unset")),
    ],
)
def test_a_name_written_by_hand_is_no_loss(kind: Any, code: Any, meant: tuple[str, str]):
    """OTLP has numbers; an error that is spelt out is one all the same."""
    (sent,) = json_traces(json.dumps(request(span(kind=kind, status={"code": code}))).encode()).items

    assert (sent.kind, sent.status) == meant


@pytest.mark.parametrize("nothing", [b"{}", b'{"resourceSpans": null}', b'{"resourceSpans": [{"scopeSpans": [{}]}]}'])
def test_an_empty_request_has_no_spans(nothing: bytes):
    """In any way to be empty."""
    assert json_traces(nothing).items == protobuf_traces(b"").items == ()


@pytest.mark.parametrize(
    "raw", [b"", b"[]", b"{", b"\xff", b'{"resourceSpans": 5}', b'{"resourceSpans": [5]}', b"[" * 9999]
)
def test_what_is_no_request_is_said_to_be_none(raw: bytes):
    """With the reason."""
    with pytest.raises(ValueError, match="it is no OTLP request"):
        json_traces(raw)


def test_bytes_that_are_no_protobuf_are_said_to_be_none():
    """JSON among them."""
    with pytest.raises(Malformed, match="protobuf"):
        protobuf_traces(b'{"resourceSpans": []}')


@pytest.mark.parametrize(("deep", "kept"), [(20, 1), (40, 0)])
def test_a_value_may_be_deep_but_not_bottomless(deep: int, kept: int):
    """Nobody's stack is spent on it, in either encoding."""
    value: dict[str, Any] = {"intValue": "1"}
    for _ in range(deep):
        value = {"arrayValue": {"values": [value]}}
    body = request(span(attributes=[attribute("a", **value)]))

    assert [len(json_traces(json.dumps(body).encode()).items), len(protobuf_traces(twin(body)).items)] == [kept, kept]


def test_log_records_are_read_alike():
    """Event name, attributes, body, and the span they belong to."""
    record = {
        "timeUnixNano": "5",
        "eventName": "gen_ai.evaluation.result",
        "traceId": TRACE,
        "spanId": SPAN,
        "body": {"stringValue": "fine"},
        "attributes": [attribute("gen_ai.evaluation.score.value", doubleValue=0.5)],
    }
    body = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record, {"observedTimeUnixNano": "6"}]}]}]}

    ways = [json_logs(json.dumps(body).encode()), protobuf_logs(twin(body))]

    assert ways[0] == ways[1]
    first, second = ways[0].items
    assert (first.event_name, first.body, first.span_id, first.at) == (record["eventName"], "fine", SPAN.lower(), 5)
    assert (second.event_name, second.trace_id, second.at) == (None, None, 6)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=12,
)
NAMES = sorted(span())


@given(st.binary())
def test_no_bytes_raise_anything_else(raw: bytes):
    """Whatever they are, in either encoding."""
    for read in (json_traces, protobuf_traces, json_logs, protobuf_logs):
        try:
            read(raw)
        except Malformed:
            continue


@given(st.dictionaries(st.sampled_from(NAMES), JSON), JSON)
def test_no_json_raises_anything_else_and_what_is_kept_can_be_written(wrong: dict[str, Any], other: Any):
    """A span with any value in any field is kept whole or rejected; the log takes what was kept."""
    pairs = [attribute("a", stringValue=other), attribute("b", intValue=other), {"key": "c", "value": other}, other]

    sent = json_traces(json.dumps(request(span(**wrong), span(attributes=pairs), other)).encode())

    assert len(sent.items) + len(sent.rejected) == 3
    for one in sent.items:
        Codec().encode(one.recorded(**IDS))
        Codec().encode(one.unassigned("nobody said whose"))
