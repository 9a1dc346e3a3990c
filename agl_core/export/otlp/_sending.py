"""Spans over HTTP, as OTLP wants them sent: in batches, again where that may help, and never what was refused."""

from __future__ import annotations

import gzip
import json
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from agl_core.errors import ExportFailed
from agl_core.export.otlp._places import Place
from agl_core.export.otlp._spans import Told

if TYPE_CHECKING:
    from httpx import Response

__all__ = ["Sent", "request", "send"]

_SPANS = 512
"""In a request; a trace may be larger, and is then sent in parts."""
_AGAIN = frozenset({429, 502, 503, 504})
"""What the specification calls retryable; all else that is no success is final."""
_TRIES = 6
_LONGEST = 60.0
_SECONDS = 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What came of it."""

    spans: int
    """Taken by the receiver."""
    rejected: int = 0
    why: str = ""
    """Of what was rejected, in the receiver's words."""


def send(
    spans: Iterable[Told],
    to: Place,
    *,
    sleep: Callable[[float], None] = time.sleep,
    progress: Callable[[int, int | None], None] | None = None,
) -> Sent:
    """Send them all, in their order. Raises `ExportFailed` when the receiver refuses, or is not there.

    What was sent before stays sent; sending again is harmless, for ids are the same.
    """
    import httpx

    taken = rejected = 0
    why = ""
    with httpx.Client(timeout=_SECONDS, follow_redirects=False) as client:
        for batch in _batches(spans):
            refused, said = _said(_posted(client, to, request(batch), sleep))
            taken, rejected, why = taken + len(batch) - refused, rejected + refused, said or why
            if progress is not None:
                progress(taken, None)
    return Sent(spans=taken, rejected=rejected, why=why)


def request(spans: Sequence[Told]) -> bytes:
    """An `ExportTraceServiceRequest` in protobuf; spans of one resource lie together."""
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest

    made = ExportTraceServiceRequest()
    last: Mapping[str, Any] | None = None
    scope: Any = None
    for span in spans:
        if span.resource is not last:
            last = span.resource
            group = made.resource_spans.add()
            _attributes(group.resource.attributes, span.resource)
            scope = group.scope_spans.add()
            scope.scope.name = "agl"
        _span(scope.spans.add(), span)
    raw: bytes = made.SerializeToString()
    return raw


def _span(into: Any, span: Told) -> None:
    into.trace_id, into.span_id = bytes.fromhex(span.trace_id), bytes.fromhex(span.span_id)
    if span.parent_id is not None:
        into.parent_span_id = bytes.fromhex(span.parent_id)
    into.name, into.kind = span.name, span.kind
    into.start_time_unix_nano, into.end_time_unix_nano = max(0, span.started_at), max(0, span.ended_at)
    _attributes(into.attributes, span.attributes)
    for name, at, attributes in span.events:
        event = into.events.add()
        event.name, event.time_unix_nano = name, max(0, at)
        _attributes(event.attributes, attributes)
    into.status.code, into.status.message = span.status, span.status_message


def _attributes(into: Any, attributes: Mapping[str, Any]) -> None:
    for name, value in attributes.items():
        if value is not None:
            pair = into.add()
            pair.key = name
            _value(pair.value, value)


def _value(into: Any, value: Any) -> None:
    """As OTLP has it; maps, and lists of what is no plain value, as JSON: receivers of before 1.9 know no others."""
    match value:
        case bool():
            into.bool_value = value
        case int() if -(1 << 63) <= value < 1 << 63:
            into.int_value = value
        case float():
            into.double_value = value
        case str():
            into.string_value = value.encode("utf-8", "replace").decode()
        case list() | tuple() if len({type(one) for one in value}) <= 1 and not _is_nested(value):
            into.array_value.SetInParent()
            for one in value:
                _value(into.array_value.values.add(), one)
        case list() | tuple() | Mapping():
            into.string_value = json.dumps(value, ensure_ascii=False, default=str)
        case _:
            into.string_value = str(value)


def _is_nested(values: Sequence[Any]) -> bool:
    return any(not isinstance(one, str | bool | int | float) for one in values)


def _batches(spans: Iterable[Told]) -> Iterator[list[Told]]:
    batch: list[Told] = []
    for span in spans:
        batch.append(span)
        if len(batch) == _SPANS:
            yield batch
            batch = []
    if batch:
        yield batch


def _posted(client: Any, to: Place, raw: bytes, sleep: Callable[[float], None]) -> Response:
    import httpx

    headers = {**to.headers, "content-type": "application/x-protobuf", "content-encoding": "gzip"}
    body = gzip.compress(raw, compresslevel=5)
    for number in range(1, _TRIES + 1):
        wait = min(_LONGEST, 0.5 * 2 ** (number - 1))
        try:
            answer: Response = client.post(to.url, content=body, headers=headers)
        except httpx.TransportError as error:
            why = f"{type(error).__name__}: {error}"
        else:
            if answer.is_success:
                return answer
            why = f"HTTP {answer.status_code} {_words(answer)}".strip()
            if answer.status_code not in _AGAIN:
                raise ExportFailed(to.url, why=why)
            wait = _asked_to_wait(answer) or wait
        if number == _TRIES:
            raise ExportFailed(to.url, why=f"{why} (after {_TRIES} tries)")
        sleep(wait)
    raise AssertionError


def _asked_to_wait(answer: Response) -> float | None:
    said = answer.headers.get("retry-after")
    if said is None:
        return None
    try:
        seconds = float(said)
    except ValueError:
        try:
            seconds = parsedate_to_datetime(said).timestamp() - time.time()
        except ValueError:
            return None
    return min(_LONGEST, max(0.0, seconds))


def _said(answer: Response) -> tuple[int, str]:
    """How many of them were rejected, and why; a receiver that says nothing took all."""
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceResponse

    if "protobuf" not in answer.headers.get("content-type", ""):
        return 0, ""
    try:
        partial = ExportTraceServiceResponse.FromString(answer.content).partial_success
    except DecodeError:
        return 0, ""
    return int(partial.rejected_spans), str(partial.error_message)


def _words(answer: Response) -> str:
    """What a refusal says, where it is text."""
    kind = answer.headers.get("content-type", "")
    return answer.text[:300] if kind.startswith(("text/", "application/json")) else ""
