"""The routes, in plain ASGI: who asks, for which attempt, what; and how an answer goes back."""

from __future__ import annotations

import asyncio
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, cast
from urllib.parse import unquote

import msgspec

from agl_core.clock import Clock
from agl_core.errors import AglError, LeaseLost
from agl_core.events import Role
from agl_core.gateway._bodies import Bodies, ClientGone, Receive
from agl_core.gateway._calling import Asked, Calling
from agl_core.gateway._keys import check_key, shows_judge
from agl_core.gateway._lanes import Lanes
from agl_core.gateway._otlp import SIGNALS, Otlp
from agl_core.gateway._ports import Admissions, Facts, Memory
from agl_core.gateway._refusals import Refused, Reply
from agl_core.gateway._retries import Sent
from agl_core.gateway._telling import ROUTE as EVENTS
from agl_core.gateway._telling import Telling
from agl_core.ids import new_id
from agl_core.store import Admission
from agl_core.wire import DIALECTS, Dialect, anthropic_messages, json_object, openai_chat

__all__ = ["App"]

Message = MutableMapping[str, Any]
Send = Callable[[Message], Awaitable[None]]

_PATH = re.compile(r"/rollout/(?P<rollout>[^/]+)/attempt/(?P<attempt>[^/]+)/v1/(?P<route>.+)")
_RUN = re.compile(r"/run/(?P<run>[^/]+)/v1/(?P<route>.+)")
"""Where the algorithm of a run asks."""
_OTLP = re.compile(rf"(?:/rollout/(?P<rollout>[^/]+)/attempt/(?P<attempt>[^/]+))?/v1/(?P<signal>{'|'.join(SIGNALS)})")
_DIALECTS = {dialect.ROUTE: dialect for dialect in DIALECTS.values()}
_COUNT = "messages/count_tokens"
_ROUTES = {**dict.fromkeys(_DIALECTS, "POST"), _COUNT: "POST", "models": "GET"}
_FORWARDED = ("anthropic-version", "anthropic-beta", "openai-beta")
"""Request headers that mean something to a provider; no other one goes on."""
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REMEMBERED = 16_384
_BLINK = 0.1
"""Seconds before a client is watched: an answer that comes sooner is not worth a task of its own."""
_log = logging.getLogger(__name__)


class App:
    """The gateway as an ASGI application."""

    def __init__(
        self,
        calling: Calling,
        lanes: Lanes,
        admissions: Admissions,
        *,
        clock: Clock,
        max_body: int,
        facts: Facts | None = None,
        memory: Memory | None = None,
    ) -> None:
        """Without `facts`, there is nowhere to keep spans and events: their routes are not there.

        The models that `memory` speaks for are there, too, though nobody serves them.
        """
        self._memory = memory
        self._calling, self._lanes, self._admissions = calling, lanes, admissions
        self._clock = clock
        self._bodies = Bodies(limit=max_body, cure="send less history, or smaller images")
        self._routes = {**_ROUTES, EVENTS: "POST"} if facts is not None else _ROUTES
        self._telling = Telling(facts, clock) if facts is not None else None
        self._otlp = Otlp(facts, admissions) if facts is not None else None
        self._given: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        started_at = self._clock.now()
        # As it was sent: once it is decoded, nobody can tell a slash in an id from one between two.
        path = scope["raw_path"].decode("ascii", "replace")
        found = _PATH.fullmatch(path) or _RUN.fullmatch(path)
        dialect = _spoken(found["route"]) if found else openai_chat
        out = _Out(send)
        try:
            reply = await self._answer(scope, found, receive, out, started_at)
        except ClientGone:
            return
        except Refused as error:
            refused = error
        except AglError as error:
            refused = Refused.because(error)
        except Exception:  # noqa: BLE001 - the rim: an agent gets an answer, never a traceback
            _log.exception("a model call failed inside the gateway")
            refused = Refused(500, "GATEWAY_ERROR", "the gateway failed: its log has the place")
        else:
            await out.end(reply)
            return
        await out.refuse(refused, dialect)

    async def _answer(
        self, scope: Mapping[str, Any], found: re.Match[str] | None, receive: Receive, out: _Out, started_at: int
    ) -> Reply | None:
        path, method = scope["path"], scope["method"]
        if path == "/health":
            return _json({"status": "ok", "models": self._lanes.models})
        if found is None or found["route"] not in self._routes:
            if self._otlp and (export := _OTLP.fullmatch(scope["raw_path"].decode("ascii", "replace"))):
                ids = (unquote(export["rollout"]), unquote(export["attempt"])) if export["rollout"] else None
                return await self._otlp.reply(export["signal"], method, dict(scope["headers"]), receive, ids)
            served = ", ".join(f"{method} {route}" for route, method in self._routes.items())
            raise Refused(
                404, "NOT_FOUND", f"nothing is at {path}: under /rollout/ID/attempt/ID/v1/ there are {served}"
            )
        route = found["route"]
        if method != self._routes[route]:
            raise Refused(405, "METHOD_NOT_ALLOWED", f"{route} takes {self._routes[route]}, not {method}")
        headers = dict(scope["headers"])
        admission, role = self._admitted(found, route, headers)
        if route == EVENTS and self._telling:
            return await self._telling.reply(admission, await self._bodies.read(receive))
        if role is None and not admission.is_open:
            raise LeaseLost(admission.attempt_id, why="it was settled, or its lease ran out")
        if route == "models":
            named = sorted({*self._lanes.models, *(self._memory.models if self._memory else ())})
            return _json({"object": "list", "data": [_model(name) for name in named]})
        raw = await self._bodies.read(receive)
        passed = {name: value for name in _FORWARDED if (value := _text(headers.get(name.encode())))}
        if route == _COUNT:
            return await self._calling.count(admission, _parsed(raw), route, passed)
        asked = Asked(
            dialect=_DIALECTS[route],
            admission=admission,
            body=_parsed(raw),
            sent=Sent.read(admission.attempt_id or str(admission.run_id), route, raw, headers),
            call_id=self._call_id(headers.get(b"agl-call-id")),
            agent=_name(headers.get(b"agl-agent")),
            parent_call_id=_text(headers.get(b"agl-parent-call")),
            place=_text(headers.get(b"agl-place")),
            started_at=started_at,
            is_direct=b"agl-direct" in headers,
            headers=passed,
            given_role=role,
        )
        out.headers = {"agl-call-id": asked.call_id}
        return await self._watched(asked, receive, out)

    def _admitted(
        self, found: re.Match[str], route: str, headers: Mapping[bytes, bytes]
    ) -> tuple[Admission, Role | None]:
        """For whom it is asked; and as what, where that is not the business of the model alone."""
        named = found.groupdict()
        if "run" in named:
            if route not in _DIALECTS:
                raise Refused(404, "NOT_FOUND", "an algorithm asks models: other routes are those of attempts")
            admission = self._admissions.run_admission(unquote(named["run"]))
            check_key(headers, admission)
            return admission, "tool"
        admission = self._admissions.admission(unquote(named["rollout"]), unquote(named["attempt"]))
        # A judge asks models, and tells nothing in the attempt's name: elsewhere its key is a wrong one.
        if route != EVENTS and shows_judge(headers, admission):
            return admission, "judge"
        check_key(headers, admission)
        return admission, None

    async def _watched(self, asked: Asked, receive: Receive, out: _Out) -> Reply | None:
        """The answer, given up when its client hangs up: an engine must not work for nobody."""
        task = cast("asyncio.Task[Any]", asyncio.current_task())
        watchers: list[asyncio.Task[None]] = []
        is_gone = False

        async def watch() -> None:
            nonlocal is_gone
            while (await receive())["type"] != "http.disconnect":
                pass
            is_gone = True
            task.cancel()

        loop = asyncio.get_running_loop()
        watching = loop.call_later(_BLINK, lambda: watchers.append(loop.create_task(watch())))
        try:
            return await self._calling.answer(asked, out, is_gone=lambda: is_gone)
        except asyncio.CancelledError:
            if is_gone:
                task.uncancel()
                raise ClientGone from None
            raise
        finally:
            watching.cancel()
            for watcher in watchers:
                watcher.cancel()

    def _call_id(self, given: bytes | None) -> str:
        """The id the caller gave, once: a client's own retry sends it again, and that is another call."""
        call_id = _text(given) or ""
        if call_id in self._given or _CALL_ID.fullmatch(call_id) is None:
            return new_id("ca")
        self._given[call_id] = None
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return call_id


class _Out:
    """The way back to the client, begun at most once."""

    def __init__(self, send: Send) -> None:
        self._send = send
        self._has_begun = False
        self.headers: Mapping[str, str] = {}
        """What every answer of the call bears."""

    async def start(self, status: int, headers: Mapping[str, str], content_type: str) -> None:
        """Say that an answer begins, whose length nobody knows."""
        self._has_begun = True
        listed = [(b"content-type", content_type.encode()), *_listed({**headers, **self.headers})]
        await self._send({"type": "http.response.start", "status": status, "headers": listed})

    async def piece(self, content: bytes) -> None:
        """Send more of it."""
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def refuse(self, refused: Refused, dialect: Dialect) -> None:
        """Say no; of an answer that has begun, why it breaks off here."""
        if self._has_begun:
            await self.piece(dialect.broken(refused.code, str(refused)))
            await self.end(None)
        else:
            await self.end(refused.reply(dialect))

    async def end(self, reply: Reply | None) -> None:
        """Send the reply; or, of an answer that has gone piece by piece, that there is no more."""
        if reply is None:
            await self._send({"type": "http.response.body", "body": b""})
            return
        listed = [
            (b"content-type", reply.content_type.encode()),
            (b"content-length", str(len(reply.body)).encode()),
            *_listed({**reply.headers, **self.headers}),
        ]
        await self._send({"type": "http.response.start", "status": reply.status, "headers": listed})
        await self._send({"type": "http.response.body", "body": reply.body})


def _spoken(route: str) -> Dialect:
    """Whose words an error at the route is said in."""
    return _DIALECTS.get(anthropic_messages.ROUTE if route == _COUNT else route, openai_chat)


def _listed(headers: Mapping[str, str]) -> list[tuple[bytes, bytes]]:
    return [(name.encode(), value.encode("latin-1", "replace")) for name, value in headers.items()]


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        return json_object(raw)
    except ValueError as error:
        raise Refused(400, "BAD_JSON", f"the body must be a JSON object: {error}") from None


def _text(raw: bytes | None) -> str | None:
    return raw.decode("utf-8", "replace")[:256] if raw else None


def _name(raw: bytes | None) -> str | None:
    """A name in any script, as it came or percent-encoded: most clients send ASCII alone."""
    return unquote(raw.decode("utf-8", "replace"))[:256] if raw else None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "agl"}


def _json(value: Any) -> Reply:
    return Reply(200, msgspec.json.encode(value))
