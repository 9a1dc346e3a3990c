"""The routes, in plain ASGI: who asks, for which attempt, what; and how an answer goes back."""

from __future__ import annotations

import asyncio
import hmac
import logging
import re
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, MutableMapping
from typing import Any, cast

import msgspec

from agl_core.clock import Clock
from agl_core.errors import AglError, LeaseLost
from agl_core.gateway._chat import Asked, Chat
from agl_core.gateway._json import json_object
from agl_core.gateway._lanes import Lanes
from agl_core.gateway._ports import Admissions
from agl_core.gateway._refusals import Refused, Reply
from agl_core.ids import new_id
from agl_core.store import Admission

__all__ = ["App"]

Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]

_PATH = re.compile(r"/rollout/(?P<rollout>[^/]+)/attempt/(?P<attempt>[^/]+)/v1/(?P<route>.+)")
_ROUTES = {"chat/completions": "POST", "models": "GET"}
_CALL_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
_REMEMBERED = 16_384
_BLINK = 0.02
"""Seconds before a client is watched: an answer that comes sooner is not worth a task of its own."""
_log = logging.getLogger(__name__)


class ClientGone(Exception):
    """Nobody listens for an answer."""


class App:
    """The gateway as an ASGI application."""

    def __init__(self, chat: Chat, lanes: Lanes, admissions: Admissions, *, clock: Clock, max_body: int) -> None:
        self._chat, self._lanes, self._admissions = chat, lanes, admissions
        self._clock, self._max_body = clock, max_body
        self._given: OrderedDict[str, None] = OrderedDict()

    async def __call__(self, scope: Mapping[str, Any], receive: Receive, send: Send) -> None:
        started_at = self._clock.now()
        try:
            reply = await self._answer(scope, receive, started_at)
        except ClientGone:
            return
        except Refused as refused:
            reply = refused.reply()
        except AglError as error:
            reply = Refused.because(error).reply()
        except Exception:  # noqa: BLE001 - the rim: an agent gets an answer, never a traceback
            _log.exception("a model call failed inside the gateway")
            reply = Refused(500, "GATEWAY_ERROR", "the gateway failed: its log has the place").reply()
        await _send(reply, send)

    async def _answer(self, scope: Mapping[str, Any], receive: Receive, started_at: int) -> Reply:
        path, method = scope["path"], scope["method"]
        if path == "/health":
            return _json({"status": "ok", "models": self._lanes.models})
        found = _PATH.fullmatch(path)
        if found is None or found["route"] not in _ROUTES:
            served = ", ".join(f"{method} {route}" for route, method in _ROUTES.items())
            raise Refused(
                404, "NOT_FOUND", f"nothing is at {path}: under /rollout/ID/attempt/ID/v1/ there are {served}"
            )
        route = found["route"]
        if method != _ROUTES[route]:
            raise Refused(405, "METHOD_NOT_ALLOWED", f"{route} takes {_ROUTES[route]}, not {method}")
        headers = dict(scope["headers"])
        admission = self._admissions.admission(found["rollout"], found["attempt"])
        _check(admission, headers.get(b"authorization", b""))
        if route == "models":
            return _json({"object": "list", "data": [_model(name) for name in self._lanes.models]})
        body = _parsed(await self._body(receive))
        call_id = self._call_id(headers.get(b"agl-call-id"))
        asked = Asked(
            admission=admission,
            body=body,
            call_id=call_id,
            agent=_text(headers.get(b"agl-agent")),
            parent_call_id=_text(headers.get(b"agl-parent-call")),
            started_at=started_at,
        )
        reply = await self._watched(asked, receive)
        return Reply(reply.status, reply.body, {**reply.headers, "agl-call-id": call_id})

    async def _watched(self, asked: Asked, receive: Receive) -> Reply:
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
            return await self._chat.answer(asked, is_gone=lambda: is_gone)
        except asyncio.CancelledError:
            if is_gone:
                task.uncancel()
                raise ClientGone from None
            raise
        finally:
            watching.cancel()
            for watcher in watchers:
                watcher.cancel()

    async def _body(self, receive: Receive) -> bytes:
        chunks: list[bytes] = []
        size, more = 0, True
        while more:
            message = await receive()
            if message["type"] == "http.disconnect":
                raise ClientGone
            chunk = message.get("body", b"")
            size += len(chunk)
            if size > self._max_body:
                # Read on, and keep nothing: a client that is still sending does not hear that it is too much.
                chunks.clear()
                more = message.get("more_body", False) and size < 8 * self._max_body
            else:
                chunks.append(chunk)
                more = message.get("more_body", False)
        if size > self._max_body:
            why = f"a request has at most {self._max_body} bytes: send less history, or smaller images"
            raise Refused(413, "BODY_TOO_BIG", why, headers={"connection": "close"})
        return b"".join(chunks)

    def _call_id(self, given: bytes | None) -> str:
        """The id the caller gave, once: a client's own retry sends it again, and that is another call."""
        call_id = _text(given) or ""
        if call_id in self._given or _CALL_ID.fullmatch(call_id) is None:
            return new_id("ca")
        self._given[call_id] = None
        if len(self._given) > _REMEMBERED:
            self._given.popitem(last=False)
        return call_id


def _check(admission: Admission, authorization: bytes) -> None:
    scheme, _, key = authorization.partition(b" ")
    if scheme.lower() != b"bearer" or not hmac.compare_digest(key.strip(), admission.key.encode()):
        raise Refused(401, "UNAUTHORIZED", "the API key is not this attempt's: use the one its LLM resource has")
    if not admission.is_open:
        raise LeaseLost(admission.attempt_id, why="it was settled, or its lease ran out")


def _parsed(raw: bytes) -> dict[str, Any]:
    try:
        return json_object(raw)
    except ValueError as error:
        raise Refused(400, "BAD_JSON", f"the body must be a JSON object: {error}") from None


def _text(raw: bytes | None) -> str | None:
    return raw.decode("utf-8", "replace")[:256] if raw else None


def _model(name: str) -> dict[str, Any]:
    return {"id": name, "object": "model", "created": 0, "owned_by": "agl"}


def _json(value: Any) -> Reply:
    return Reply(200, msgspec.json.encode(value))


async def _send(reply: Reply, send: Send) -> None:
    headers = [
        (b"content-type", reply.content_type.encode()),
        (b"content-length", str(len(reply.body)).encode()),
        *((name.encode(), value.encode("latin-1", "replace")) for name, value in reply.headers.items()),
    ]
    await send({"type": "http.response.start", "status": reply.status, "headers": headers})
    await send({"type": "http.response.body", "body": reply.body})
