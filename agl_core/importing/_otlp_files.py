"""Requests of OTLP out of files: JSON lines, or protobuf with a length before each, as OpenTelemetry's collector
writes them."""  # noqa: D205, D209 - one sentence

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import IO

from agl_core.importing._lines import bad, opened
from agl_core.importing._story import Refused
from agl_core.spans.otlp import (
    Malformed,
    Sent,
    SentLog,
    SentSpan,
    json_logs,
    json_traces,
    protobuf_logs,
    protobuf_traces,
)

__all__ = ["Request", "requests"]

_LARGEST = 1 << 30
"""Bytes of a request: a length of more is none."""


@dataclass(frozen=True, slots=True)
class Request:
    """What was exported at once."""

    where: str
    spans: tuple[SentSpan, ...]
    logs: tuple[SentLog, ...]
    rejected: tuple[str, ...]
    """Why some of it cannot be kept."""


def requests(path: Path) -> Iterator[Request | Refused]:
    """Each request in the file, in order."""
    with opened(path) as file:
        first = file.read(1)
        file.seek(0)
        yield from _json(path.name, file) if first == b"{" or first.isspace() else _framed(path.name, file)


def _json(name: str, file: IO[bytes]) -> Iterator[Request | Refused]:
    """A request a line; or one that goes over all of them."""
    held: list[bytes] = []
    for number, raw in enumerate(file, start=1):
        if number == 1 and raw.strip() == b"{":
            held = [raw, *file]
            break
        if raw.strip():
            yield _read(f"{name}:{number}", raw)
    if held:
        yield _read(name, b"".join(held))


def _read(where: str, raw: bytes) -> Request | Refused:
    try:
        if b'"resourceSpans"' not in raw and b'"resourceLogs"' not in raw:
            raise Malformed("it has neither resourceSpans nor resourceLogs")
        return _request(where, json_traces(raw), json_logs(raw))
    except Malformed as error:
        return bad(where, str(error))


def _framed(name: str, file: IO[bytes]) -> Iterator[Request | Refused]:
    """Lengths are four bytes, the highest first, as the collector has them; or varints, as protobuf's own writers."""
    number = 0
    while head := file.read(1):
        number += 1
        where = f"{name}#{number}"
        length = int.from_bytes(file.read(3)) if head == b"\0" else _varint(head[0], file)
        raw = file.read(length) if 0 < length < _LARGEST else b""
        if not raw or len(raw) != length:
            yield bad(where, f"its length is {length}, and the file has {len(raw)} bytes of it: what follows is lost")
            return
        try:
            # One kind of request can be read as the other, and then has nothing in it that is known.
            traces = protobuf_traces(raw)
            is_traces = bool(traces.items or traces.rejected)
            yield _request(where, traces, Sent(()) if is_traces else protobuf_logs(raw))
        except Malformed as error:
            yield bad(where, str(error))


def _varint(first: int, file: IO[bytes]) -> int:
    number, shift, byte = first & 127, 7, first
    while byte & 128 and shift < 64:
        byte = (file.read(1) or b"\0")[0]
        number |= (byte & 127) << shift
        shift += 7
    return number


def _request(where: str, traces: Sent[SentSpan], logs: Sent[SentLog]) -> Request:
    return Request(where, traces.items, logs.items, (*traces.rejected, *logs.rejected))
