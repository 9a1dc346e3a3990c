"""OTLP over HTTP: spans and evaluations of any OpenTelemetry SDK, in protobuf or JSON, durable before the answer."""

from __future__ import annotations

import asyncio
import hmac
import logging
from collections.abc import Mapping

import msgspec

from agl_core.errors import AglError
from agl_core.gateway._attribution import Attribution
from agl_core.gateway._bodies import Bodies, ClientGone, Receive
from agl_core.gateway._intake import Batch, Intake, logs, traces
from agl_core.gateway._keys import check_key, shown_key
from agl_core.gateway._ports import Admissions, Facts
from agl_core.gateway._refusals import Refused, Reply
from agl_core.otel import token
from agl_core.spans.otlp import Malformed, json_logs, json_traces, protobuf_logs, protobuf_traces

__all__ = ["SIGNALS", "Otlp"]

SIGNALS = ("traces", "logs", "metrics")
"""Under `/v1/`, with an attempt before it or without."""
_JSON, _PROTOBUF = "application/json", "application/x-protobuf"
_LIMIT = 64 << 20
"""Bytes of a request after it is inflated, as the specification recommends."""
_ROOM = 4 * _LIMIT
_SOON = 16 << 10
"""Bytes up to which a body is read where it came in; more would keep model calls waiting."""
_PATIENCE = {"retry-after": "1"}
_REASONS = 5
_CODES = {400: 3, 401: 16, 404: 5, 405: 12, 413: 8, 415: 3, 429: 8, 503: 14}
"""HTTP's words for it in gRPC's, which `Status` has."""
_REJECTED = {"traces": "rejectedSpans", "logs": "rejectedLogRecords"}
_log = logging.getLogger(__name__)


class Otlp:
    """The receiver, as the specification of opentelemetry-proto has it."""

    def __init__(self, facts: Facts, admissions: Admissions) -> None:
        self._facts, self._admissions = facts, admissions
        self._intake = Intake(facts)
        self._bodies = Bodies(limit=_LIMIT, room=_ROOM, cure="export fewer spans at a time")
        self._token: bytes | None = None

    async def reply(
        self, signal: str, method: str, headers: Mapping[bytes, bytes], receive: Receive, ids: tuple[str, str] | None
    ) -> Reply:
        """The answer to an export, in the encoding it came in; `ids` are those of its URL."""
        kind, _, _ = headers.get(b"content-type", b"").decode("latin-1").partition(";")
        kind = kind.strip().lower()
        try:
            return await self._exported(signal, method, kind, headers, receive, ids)
        except ClientGone:
            raise
        except Refused as error:
            refused = error
        except AglError as error:
            refused = Refused.because(error)
        except Exception:  # noqa: BLE001 - the rim: who exports gets an answer, never a traceback
            _log.exception("an OTLP export failed inside the gateway")
            refused = Refused(500, "GATEWAY_ERROR", "the gateway failed: its log has the place")
        return _refusal(refused, kind)

    async def _exported(
        self,
        signal: str,
        method: str,
        kind: str,
        headers: Mapping[bytes, bytes],
        receive: Receive,
        ids: tuple[str, str] | None,
    ) -> Reply:
        if signal not in _REJECTED:
            raise Refused(
                404, "NOT_FOUND", "metrics are not kept here: set OTEL_METRICS_EXPORTER=none, or send them on"
            )
        if method != "POST":
            raise Refused(
                405, "METHOD_NOT_ALLOWED", f"/v1/{signal} takes POST, not {method}", headers={"allow": "POST"}
            )
        if kind not in (_JSON, _PROTOBUF):
            raise Refused(
                415, "BAD_CONTENT_TYPE", f"content-type is {_PROTOBUF} or {_JSON}, not {kind[:80] or 'nothing'}"
            )
        encoding = headers.get(b"content-encoding", b"").decode("latin-1").strip().lower()
        if encoding not in ("", "identity", "gzip"):
            raise Refused(415, "BAD_CONTENT_ENCODING", f"content-encoding is gzip or none, not {encoding[:80]}")
        shown, covers_all = self._admitted(headers, ids)
        raw = await self._bodies.read(receive, encoding=encoding)
        whose = Attribution(
            self._facts,
            self._admissions,
            token=shown,
            covers_all=covers_all,
            url=ids or (None, None),
            headers=headers,
        )
        batch = (
            _read(signal, kind, raw, whose)
            if len(raw) <= _SOON
            else await asyncio.to_thread(_read, signal, kind, raw, whose)
        )
        if not whose.admits():
            raise Refused(401, "UNAUTHORIZED", "the token is that of no attempt which this request names")
        await self._intake.keep(batch)
        return _accepted(signal, kind, batch)

    def _admitted(self, headers: Mapping[bytes, bytes], ids: tuple[str, str] | None) -> tuple[bytes, bool]:
        """The token that was shown, and whether it is the log's; `Refused` where the URL says that it is neither's."""
        shown = shown_key(headers)
        if self._token is None:
            self._token = token(self._facts).encode()
        covers_all = hmac.compare_digest(shown, self._token)
        if not shown:
            raise Refused(401, "UNAUTHORIZED", "a token is missing: send `authorization: Bearer` and the attempt's own")
        if ids is not None:
            admission = self._admissions.admission(*ids)
            if not covers_all:
                check_key(headers, admission)
        return shown, covers_all


def _read(signal: str, kind: str, raw: bytes, whose: Attribution) -> Batch:
    try:
        if signal == "traces":
            return traces(json_traces(raw) if kind == _JSON else protobuf_traces(raw), whose)
        return logs(json_logs(raw) if kind == _JSON else protobuf_logs(raw), whose)
    except Malformed as error:
        raise Refused(400, "BAD_OTLP", str(error)) from None


def _accepted(signal: str, kind: str, batch: Batch) -> Reply:
    """Success, full or partial; what came too late to count is said in words, as the specification allows."""
    said = [*batch.rejected[:_REASONS], *(["..."] if len(batch.rejected) > _REASONS else [])]
    said += [f"attempt {one} has lost its lease: kept, and never trained on" for one in sorted(batch.lost)]
    count, message = len(batch.rejected), "; ".join(said)
    if kind == _JSON:
        partial = {_REJECTED[signal]: str(count), "errorMessage": message}
        return Reply(200, msgspec.json.encode({"partialSuccess": partial} if message else {}), content_type=_JSON)
    inner = _number(1, count) + _text(2, message)
    return Reply(200, _bytes(1, inner) if message else b"", content_type=_PROTOBUF)


def _refusal(refused: Refused, kind: str) -> Reply:
    """`google.rpc.Status`, which has a number and words; who may come again hears when."""
    code, message = _CODES.get(refused.status, 13), f"[{refused.code}] {refused}"
    headers = {**(_PATIENCE if refused.status in (429, 503) else {}), **refused.headers}
    if kind == _PROTOBUF:
        return Reply(refused.status, _number(1, code) + _text(2, message), headers, content_type=_PROTOBUF)
    return Reply(refused.status, msgspec.json.encode({"code": code, "message": message}), headers)


# Two fields of protobuf, which need no library: a number, and bytes with their length before them.


def _number(field: int, value: int) -> bytes:
    return bytes([field << 3]) + _varint(value) if value else b""


def _text(field: int, value: str) -> bytes:
    return _bytes(field, value.encode())


def _bytes(field: int, content: bytes) -> bytes:
    return bytes([field << 3 | 2]) + _varint(len(content)) + content if content else b""


def _varint(value: int) -> bytes:
    septets: list[int] = []
    while value > 127:
        septets.append(value & 127 | 128)
        value >>= 7
    return bytes([*septets, value])
