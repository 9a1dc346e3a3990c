"""OTLP requests written in protobuf. What reads protobuf is imported with the first of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from functools import partial
from typing import Any

from agl_core.spans.otlp._values import (
    DEEPEST,
    KINDS,
    STATUSES,
    Malformed,
    Sent,
    SentLog,
    SentSpan,
    Unfit,
    double,
    each,
    enumerated,
    moment,
    plain_bytes,
    span_id,
    trace_id,
)

__all__ = ["protobuf_logs", "protobuf_traces"]


def protobuf_traces(raw: bytes) -> Sent[SentSpan]:
    """The spans of an `ExportTraceServiceRequest`; `Malformed` when it is none."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    return each(_spans(_parsed(ExportTraceServiceRequest(), raw)))


def protobuf_logs(raw: bytes) -> Sent[SentLog]:
    """The records of an `ExportLogsServiceRequest`; `Malformed` when it is none."""
    from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

    return each(_logs(_parsed(ExportLogsServiceRequest(), raw)))


def _parsed(request: Any, raw: bytes) -> Any:
    from google.protobuf.message import DecodeError

    try:
        request.ParseFromString(raw)
    except DecodeError as error:
        raise Malformed(f"it is no {type(request).__name__} in protobuf: {error}") from None
    return request


def _spans(request: Any) -> Iterator[Callable[[], SentSpan]]:
    for group in request.resource_spans:
        for part in group.scope_spans:
            for span in part.spans:
                yield partial(_span, span, group.resource, part.scope)


def _logs(request: Any) -> Iterator[Callable[[], SentLog]]:
    for group in request.resource_logs:
        for part in group.scope_logs:
            for record in part.log_records:
                yield partial(_log, record, group.resource)


def _span(span: Any, resource: Any, scope: Any) -> SentSpan:
    return SentSpan(
        trace_id=trace_id(span.trace_id.hex()),
        span_id=span_id(span.span_id.hex()),
        parent_id=span_id(span.parent_span_id.hex()) if span.parent_span_id else None,
        trace_state=span.trace_state or None,
        name=span.name,
        kind=enumerated(span.kind, KINDS),
        attributes=_attributes(span.attributes),
        events=tuple(
            {
                "name": event.name,
                "timestamp": moment(event.time_unix_nano, "timeUnixNano"),
                "attributes": _attributes(event.attributes),
            }
            for event in span.events
        ),
        links=tuple(
            {
                "trace_id": link.trace_id.hex(),
                "span_id": link.span_id.hex(),
                "attributes": _attributes(link.attributes),
            }
            for link in span.links
        ),
        status=enumerated(span.status.code, STATUSES),
        status_message=span.status.message or None,
        started_at=moment(span.start_time_unix_nano, "startTimeUnixNano"),
        ended_at=moment(span.end_time_unix_nano, "endTimeUnixNano"),
        resource=_attributes(resource.attributes),
        scope=_scope(scope),
    )


def _log(record: Any, resource: Any) -> SentLog:
    return SentLog(
        trace_id=trace_id(record.trace_id.hex()) if record.trace_id else None,
        span_id=span_id(record.span_id.hex()) if record.span_id else None,
        event_name=record.event_name or None,
        attributes=_attributes(record.attributes),
        body=_value(record.body),
        at=moment(record.time_unix_nano or record.observed_time_unix_nano, "timeUnixNano"),
        resource=_attributes(resource.attributes),
    )


def _scope(scope: Any) -> Mapping[str, Any]:
    said = {"name": scope.name, "version": scope.version, "attributes": _attributes(scope.attributes)}
    return {name: value for name, value in said.items() if value}


def _attributes(pairs: Iterable[Any], depth: int = 0) -> dict[str, Any]:
    return {pair.key: _value(pair.value, depth) for pair in pairs}


def _value(value: Any, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise Unfit(f"an attribute is nested deeper than {DEEPEST} values")
    match value.WhichOneof("value"):
        case "string_value":
            return value.string_value
        case "bool_value":
            return value.bool_value
        case "int_value":
            return value.int_value
        case "double_value":
            return double(value.double_value)
        case "array_value":
            return [_value(one, depth + 1) for one in value.array_value.values]
        case "kvlist_value":
            return _attributes(value.kvlist_value.values, depth + 1)
        case "bytes_value":
            return plain_bytes(value.bytes_value)
        case _:
            return None
