"""Files of OTLP: what a collector wrote, in JSON or protobuf, becomes rollouts with calls, spans and rewards."""

import json
import struct

import pytest

from agl_core.importing import import_rows

TRACE, OTHER = "5b8efff798038103d269b633813fc60c", "5b8efff798038103d269b633813fc60d"
BEGAN = 1_795_400_000_000_000_000


def value(said):
    """As OTLP has it in JSON."""
    match said:
        case bool():
            return {"boolValue": said}
        case int():
            return {"intValue": str(said)}
        case float():
            return {"doubleValue": said}
        case list():
            return {"arrayValue": {"values": [value(one) for one in said]}}
    return {"stringValue": said}


def pairs(said):
    """Attributes; what is null is not sent."""
    return [{"key": key, "value": value(one)} for key, one in said.items() if one is not None]


def span(name, number, *, parent=None, trace=TRACE, status=None, at=0, **attributes):
    """A span that lasts from one second after `at` to two after it."""
    return {
        "traceId": trace,
        "spanId": f"{number:016x}",
        **({"parentSpanId": f"{parent:016x}"} if parent else {}),
        "name": name,
        "kind": 1,
        "startTimeUnixNano": str(BEGAN + at * 1_000_000_000),
        "endTimeUnixNano": str(BEGAN + (at + 1) * 1_000_000_000),
        "attributes": [{"key": key.replace("__", "."), "value": value(one)} for key, one in attributes.items()],
        **({"status": {"code": status}} if status else {}),
    }


def request(*spans, **resource):
    """One export."""
    said = [{"key": key.replace("__", "."), "value": value(one)} for key, one in resource.items()]
    return {"resourceSpans": [{"resource": {"attributes": said}, "scopeSpans": [{"spans": list(spans)}]}]}


def chat(number, answer, *, parent=1, at=0, ids=None, **more):
    """A model call in OpenTelemetry's words, with token ids in v0.3's."""
    asked = [{"role": "user", "parts": [{"type": "text", "content": "How much is 40 + 2?"}]}]
    said = [{"role": "assistant", "parts": [{"type": "text", "content": answer}], "finish_reason": "stop"}]
    tokens = {"prompt_token_ids": [1, 2], "response_token_ids": ids} if ids else {}
    likely = {"logprobs__content": json.dumps([{"token": "x", "logprob": -0.5} for _ in ids])} if ids else {}
    return span(
        "chat policy", number, parent=parent, at=at, gen_ai__operation__name="chat", gen_ai__request__model="policy",
        gen_ai__response__id=f"resp-{number}", gen_ai__input__messages=json.dumps(asked),
        gen_ai__output__messages=json.dumps(said), gen_ai__request__temperature=1.0, **tokens, **likely, **more,
    )  # fmt: skip


ROOT = span("invoke_agent adder", 1, at=9, gen_ai__operation__name="invoke_agent", gen_ai__agent__name="adder",
            input__value='{"q": "40 + 2"}')  # fmt: skip
REWARD = span("agentlightning.annotation", 8, parent=1, at=5,
              agentlightning__reward__0__name="primary", agentlightning__reward__0__value=0.5)  # fmt: skip


def test_a_trace_is_a_rollout_whose_calls_and_rewards_train(log, lines, traces):
    """Its task is what the outermost span was given; its call has tokens, and `agl-triplets` makes a row of it."""
    agl_triplets = pytest.importorskip("agl_triplets")
    path = lines(request(chat(2, "It is 42.", ids=[7, 8, 9])), request(REWARD, ROOT))

    came = import_rows(log, "otlp", path)

    (trace,) = traces()
    (row,) = agl_triplets.Triplets(min_group=1)([trace]).rows
    assert (came.rollouts, came.refused) == (1, 0)
    assert trace.input == {"q": "40 + 2"}
    assert trace.calls[0].agent == "adder"
    assert (row.token_ids, row.mask, row.reward) == ((1, 2, 7, 8, 9), (1, 1, 1), 0.5)
    assert row.logprobs == (-0.5, -0.5, -0.5)


def test_traces_that_come_in_pieces_are_put_together(log, lines, traces):
    """A collector exports spans as they end, many traces at a time: the lines of a file are no rollouts."""
    first, second = chat(2, "a", at=0), {**chat(3, "b", at=1), "traceId": OTHER, "parentSpanId": ""}
    path = lines(
        request(first, second), request({**chat(4, "c", at=2), "traceId": OTHER, "parentSpanId": ""}), request(ROOT)
    )

    came = import_rows(log, "otlp", path)

    assert came.rollouts == 2
    assert [[one.call.choices[0].message.content for one in trace.calls] for trace in traces()] == [["a"], ["b", "c"]]


def test_spans_that_name_a_rollout_are_its_own_whatever_their_trace(log, lines, traces):
    """Agent Lightning's resource attributes join traces to attempts; the last attempt counts."""
    names = {"agentlightning__rollout_id": "ro-x"}
    path = lines(
        request(chat(2, "first", parent=None), **names, agentlightning__attempt_id="at-1"),
        request({**chat(3, "second", parent=None, at=5), "traceId": OTHER}, **names, agentlightning__attempt_id="at-2"),
    )

    import_rows(log, "otlp", path)

    (trace,) = traces()
    assert [one.call.choices[0].message.content for one in trace.calls] == ["second"]
    assert log.rows("select attempts from rollouts") == [(2,)]


def test_spans_of_one_answer_are_one_call(log, lines, traces):
    """Two libraries saw the request: its response id tells, and who has tokens is believed."""
    path = lines(request(chat(2, "42"), chat(3, "42", parent=2, ids=[7]), ROOT))
    twin = json.loads(path.read_text())
    seen = twin["resourceSpans"][0]["scopeSpans"][0]["spans"][1]["attributes"]
    next(one for one in seen if one["key"] == "gen_ai.response.id")["value"] = value("resp-2")
    path.write_text(json.dumps(twin) + "\n")

    import_rows(log, "otlp", path)

    (trace,) = traces()
    assert len(trace.calls) == 1
    assert trace.calls[0].call.choices[0].token_ids == (7,)
    assert len(trace.spans) == 3


def test_a_call_under_a_reward_is_a_judges(log, lines, traces):
    """What a reward function asked a model is not what the policy said."""
    judged = {**REWARD, "spanId": f"{8:016x}"}

    import_rows(log, "otlp", lines(request(chat(2, "good", parent=8), judged, ROOT)))

    assert [call.role for call in traces()[0].calls] == ["judge"]


def test_an_agent_that_fell_over_is_so_here(log, lines, traces):
    """The status of the outermost span is how the attempt ended."""
    import_rows(log, "otlp", lines(request(chat(2, "a"), {**ROOT, "status": {"code": 2, "message": "boom"}})))

    assert (traces()[0].status, traces()[0].exit_status) == ("failed", "agent_raised")


@pytest.mark.parametrize("framing", ["collector", "varint"])
def test_protobuf_with_lengths_says_the_same_as_json(log, lines, traces, tmp_path, framing):
    """The collector's `format: proto`, and protobuf's own delimited messages."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    from agl_core.spans.otlp import json_traces

    said = [request(chat(2, "It is 42.", ids=[7, 8]), REWARD), request(ROOT)]
    path = tmp_path / "traces.bin"
    path.write_bytes(b"".join(framed(ExportTraceServiceRequest, one, framing) for one in said))

    came = import_rows(log, "otlp", path)

    (trace,) = traces()
    assert (came.rollouts, came.refused) == (1, 0)
    assert trace.calls[0].call.choices[0].token_ids == (7, 8)
    sent = json_traces(json.dumps(said[0]).encode()).items[0]
    assert next(one for one in trace.spans if one.span_id == sent.span_id).attributes == sent.attributes


def framed(kind, said, framing):
    """A request in protobuf, its length before it. Ids are bytes there, and hexadecimal in JSON."""
    from google.protobuf.json_format import ParseDict

    body = json.loads(json.dumps(said))
    import base64

    for one in body["resourceSpans"][0]["scopeSpans"][0]["spans"]:
        for name in ("traceId", "spanId", "parentSpanId"):
            if name in one:
                one[name] = base64.b64encode(bytes.fromhex(one[name])).decode()
    raw = ParseDict(body, kind()).SerializeToString()
    if framing == "collector":
        return struct.pack(">I", len(raw)) + raw
    length, head = len(raw), b""
    while length > 127:
        head, length = head + bytes([length & 127 | 128]), length >> 7
    return head + bytes([length]) + raw


def test_an_evaluation_in_a_log_is_a_reward_of_what_it_names(log, lines, traces):
    """`gen_ai.evaluation.result` with a response id is of that call."""
    record = {
        "traceId": TRACE, "timeUnixNano": str(BEGAN), "eventName": "gen_ai.evaluation.result",
        "attributes": [
            {"key": "gen_ai.evaluation.name", "value": value("right")},
            {"key": "gen_ai.evaluation.score.value", "value": value(1.0)},
            {"key": "gen_ai.response.id", "value": value("resp-2")},
        ],
    }  # fmt: skip
    logs = {"resourceLogs": [{"scopeLogs": [{"logRecords": [record]}]}]}

    import_rows(log, "otlp", lines(request(chat(2, "42"), ROOT), logs))

    (trace,) = traces()
    (given,) = (one.given for one in trace.rewards)
    assert (given.name, given.value, given.target.kind, given.target.id) == (
        "right",
        1.0,
        "call",
        trace.calls[0].call_id,
    )


def test_a_file_that_has_grown_brings_what_is_new(log, lines, traces):
    """More spans of a known trace join it; nothing is written twice."""
    said = [request(chat(2, "a"), ROOT)]
    import_rows(log, "otlp", lines(*said))

    again = import_rows(
        log, "otlp", lines(*said, request(chat(3, "b", at=2)), request(chat(4, "c", parent=None) | {"traceId": OTHER}))
    )

    assert (again.rollouts, again.known) == (1, 1)
    assert [len(trace.calls) for trace in traces()] == [2, 1]


def test_what_cannot_be_kept_is_a_reason_and_the_rest_is_in(log, lines):
    """A line that is no export, a span without an id, metrics."""
    broken = {**span("x", 5), "spanId": "zz"}

    came = import_rows(log, "otlp", lines(request(chat(2, "a"), broken, ROOT), "{nothing", {"resourceMetrics": []}))

    assert came.rollouts == 1
    assert [(one.where, one.code) for one in came.reasons] == [
        ("source.jsonl:1", "IMPORT_LINE_BAD"),
        ("source.jsonl:2", "IMPORT_LINE_BAD"),
        ("source.jsonl:3", "IMPORT_LINE_BAD"),
    ]


def test_our_own_export_comes_back_with_its_tokens(log, lines, traces, tmp_path):
    """What `agl export otlp --include-token-ids` sends is read again: task, status, calls, rewards."""
    from agl_core.export.otlp._spans import told
    from agl_core.log import SqliteLog
    from agl_core.projections import CORE
    from agl_core.store import Queries

    import_rows(log, "otlp", lines(request(chat(2, "It is 42.", ids=[7, 8]), REWARD, ROOT)))
    (before,) = traces()
    spans = [
        {
            **span(one.name, 1, status=one.status),
            "traceId": one.trace_id,
            "spanId": one.span_id,
            "parentSpanId": one.parent_id or "",
            "startTimeUnixNano": str(one.started_at),
            "endTimeUnixNano": str(one.ended_at),
            "attributes": pairs(one.attributes),
            "events": [
                {"name": name, "timeUnixNano": str(at), "attributes": pairs(said)} for name, at, said in one.events
            ],
        }
        for one in told(before, token_ids=True)
    ]
    path = tmp_path / "exported.jsonl"
    path.write_text(json.dumps(request(*spans)) + "\n")

    with SqliteLog(tmp_path / "other.db", projections=CORE) as other:
        import_rows(other, "otlp", path)
        (after,) = Queries(other).traces([id_ for (id_,) in other.rows("select rollout_id from rollouts")])

    assert (after.input, after.status, after.exit_status) == (before.input, before.status, before.exit_status)
    (call,), (original,) = after.calls, before.calls
    assert call.call.messages == original.call.messages
    assert (call.call.prompt_token_ids, call.call.choices) == (original.call.prompt_token_ids, original.call.choices)
    assert [(one.given.name, one.given.value) for one in after.rewards] == [("primary", 0.5)]
