"""OTLP requests written in JSON: ids in hexadecimal, 64-bit numbers as numbers or as text, strange fields ignored."""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterator, Mapping
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
    whole,
)
from agl_core.wire import json_object

__all__ = ["json_logs", "json_traces"]

_INTEGER = re.compile(r"-?[0-9]{1,32}")
_WORDS = {"NaN": float("nan"), "Infinity": float("inf"), "-Infinity": float("-inf")}
Object = Mapping[str, Any]


def json_traces(raw: bytes) -> Sent[SentSpan]:
    """The spans of an `ExportTraceServiceRequest`; `Malformed` when it is none."""
    return _each(raw, _spans)


def json_logs(raw: bytes) -> Sent[SentLog]:
    """The records of an `ExportLogsServiceRequest`; `Malformed` when it is none."""
    return _each(raw, _logs)


def _each(raw: bytes, items: Callable[[Object], Iterator[Callable[[], Any]]]) -> Sent[Any]:
    try:
        return each(items(json_object(raw)))
    except Malformed:
        raise
    except ValueError as error:
        # What stands around the spans is not as OTLP has it: an `Unfit`, or no JSON at all.
        raise Malformed(f"it is no OTLP request in JSON: {error}") from None


def _spans(request: Object) -> Iterator[Callable[[], SentSpan]]:
    for group in _objects(request, "resourceSpans"):
        resource = _object(group, "resource")
        for part in _objects(group, "scopeSpans"):
            scope = _object(part, "scope")
            for span in _list(part, "spans"):
                yield partial(_span, span, resource, scope)


def _logs(request: Object) -> Iterator[Callable[[], SentLog]]:
    for group in _objects(request, "resourceLogs"):
        resource = _object(group, "resource")
        for part in _objects(group, "scopeLogs"):
            for record in _list(part, "logRecords"):
                yield partial(_log, record, resource)


def _span(given: Any, resource: Object, scope: Object) -> SentSpan:
    span = _is_object(given, "a span")
    status, parent = _object(span, "status"), _text(span, "parentSpanId")
    return SentSpan(
        trace_id=trace_id(_text(span, "traceId")),
        span_id=span_id(_text(span, "spanId")),
        parent_id=span_id(parent) if parent else None,
        trace_state=_text(span, "traceState") or None,
        name=_text(span, "name"),
        kind=_enum(span, "kind", KINDS, "SPAN_KIND_"),
        attributes=_attributes(span),
        events=tuple(
            {
                "name": _text(event, "name"),
                "timestamp": moment(_integer(event, "timeUnixNano"), "timeUnixNano"),
                "attributes": _attributes(event),
            }
            for event in _objects(span, "events")
        ),
        links=tuple(
            {
                "trace_id": _text(link, "traceId").lower(),
                "span_id": _text(link, "spanId").lower(),
                "attributes": _attributes(link),
            }
            for link in _objects(span, "links")
        ),
        status=_enum(status, "code", STATUSES, "STATUS_CODE_"),
        status_message=_text(status, "message") or None,
        started_at=moment(_integer(span, "startTimeUnixNano"), "startTimeUnixNano"),
        ended_at=moment(_integer(span, "endTimeUnixNano"), "endTimeUnixNano"),
        resource=_attributes(resource),
        scope=_scope(scope),
    )


def _log(given: Any, resource: Object) -> SentLog:
    record = _is_object(given, "a log record")
    trace, span = _text(record, "traceId"), _text(record, "spanId")
    at = _integer(record, "timeUnixNano") or _integer(record, "observedTimeUnixNano")
    return SentLog(
        trace_id=trace_id(trace) if trace else None,
        span_id=span_id(span) if span else None,
        event_name=_text(record, "eventName") or None,
        attributes=_attributes(record),
        body=_value(_object(record, "body")),
        at=moment(at, "timeUnixNano"),
        resource=_attributes(resource),
    )


def _scope(scope: Object) -> Object:
    said = {"name": _text(scope, "name"), "version": _text(scope, "version"), "attributes": _attributes(scope)}
    return {name: value for name, value in said.items() if value}


def _attributes(holder: Object) -> dict[str, Any]:
    return _pairs(holder, "attributes")


def _pairs(holder: Object, name: str, depth: int = 0) -> dict[str, Any]:
    return {_text(pair, "key"): _value(_object(pair, "value"), depth) for pair in _objects(holder, name)}


def _value(value: Object, depth: int = 0) -> Any:
    if depth > DEEPEST:
        raise Unfit(f"an attribute is nested deeper than {DEEPEST} values")
    match value:
        case {"stringValue": str() as said}:
            return said
        case {"boolValue": bool() as said}:
            return said
        case {"intValue": int() | float() | str()}:
            return whole(_integer(value, "intValue"))
        case {"doubleValue": int() | float() | str() as said}:
            return _double(said)
        case {"arrayValue": dict() as inner}:
            return [_value(_is_object(one, "a value"), depth + 1) for one in _list(inner, "values")]
        case {"kvlistValue": dict() as inner}:
            return _pairs(inner, "values", depth + 1)
        case {"bytesValue": str() as said}:
            return _bytes(said)
        case _:
            return None


def _double(said: Any) -> float | str:
    if isinstance(said, str) and said in _WORDS:
        return double(_WORDS[said])
    try:
        return double(float(said))
    except (ValueError, OverflowError):
        raise Unfit(f"doubleValue {str(said)[:64]!r} is no number") from None


def _bytes(said: str) -> str:
    """Any base64 there is, in the one that we have."""
    try:
        return plain_bytes(base64.b64decode(said.translate(_URL_SAFE) + "=" * (-len(said) % 4), validate=True))
    except ValueError:
        raise Unfit(f"bytesValue {said[:64]!r} is no base64") from None


_URL_SAFE = str.maketrans("-_", "+/")


def _integer(holder: Object, name: str) -> int:
    match holder.get(name):
        case None:
            return 0
        case bool():
            pass
        case int() as number:
            return number
        case float() as number if number.is_integer():
            return int(number)
        case str() as digits if _INTEGER.fullmatch(digits):
            return int(digits)
    raise Unfit(f"{name} {str(holder[name])[:64]!r} is no whole number")


def _enum(holder: Object, name: str, words: tuple[str, ...], prefix: str) -> str:
    """By its number, which is OTLP; by its name, which is what people write by hand, too."""
    match holder.get(name):
        case bool():
            return words[0]
        case int() as number:
            return enumerated(number, words)
        case str() as said if (word := said.removeprefix(prefix).lower()) in words:
            return word
        case _:
            return words[0]


def _text(holder: Object, name: str) -> str:
    found = holder.get(name)
    if found is None:
        return ""
    if not isinstance(found, str):
        raise Unfit(f"{name} {str(found)[:64]!r} is no text")
    return found


def _objects(holder: Object, name: str) -> list[Object]:
    return [_is_object(one, f"one of {name}") for one in _list(holder, name)]


def _list(holder: Object, name: str) -> list[Any]:
    found = holder.get(name)
    if found is None:
        return []
    if not isinstance(found, list):
        raise Unfit(f"{name} is no list")
    return found


def _object(holder: Object, name: str) -> Object:
    found = holder.get(name)
    return {} if found is None else _is_object(found, name)


def _is_object(found: Any, what: str) -> Object:
    if not isinstance(found, dict):
        raise Unfit(f"{what} is no object")
    return found
