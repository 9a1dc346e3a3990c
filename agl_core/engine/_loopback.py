"""The HTTP door of an engine that lives in this process: on loopback, from a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, Mapping, MutableMapping
from concurrent.futures import Future
from contextlib import aclosing
from dataclasses import dataclass, field
from threading import Thread
from typing import TYPE_CHECKING, Any

import msgspec

from agl_core.errors import BadValue, EngineFailed
from agl_core.wire import openai_chat

if TYPE_CHECKING:
    import uvicorn

__all__ = ["Answer", "Loopback", "Refusal"]

Answer = bytes | AsyncGenerator[bytes]
"""JSON, or the events of a stream as they come."""
Handle = Callable[[str, str, bytes], Awaitable[Answer]]
"""Answers a method, a path and a body. Cancelled, and its stream closed, when the client goes away."""

_LARGEST_BODY = 64 << 20
_JSON = (b"content-type", b"application/json")
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An answer that is none, in OpenAI's shape."""

    status: int
    code: str
    message: str
    param: str | None = None
    headers: Mapping[str, str] = field(default_factory=dict)

    @property
    def body(self) -> bytes:
        """As it is sent where nothing was sent yet."""
        told = openai_chat.refusal(self.status, self.code, self.message)
        return msgspec.json.encode({"error": {**told["error"], "param": self.param}})

    @property
    def event(self) -> bytes:
        """As it is sent in the middle of a stream, where the status is sent already."""
        return b"data: " + self.body + b"\n\n"


class Loopback:
    """Listens while it is started.

    `handle` runs on the door's `loop`, never on the caller's; what it raises is told as `refuse` says. With a `key`,
    only who shows it as a bearer is heard: every process of the machine reaches loopback. `close` is awaited there at
    the end, when nobody is answered any more.
    """

    def __init__(
        self,
        handle: Handle,
        *,
        refuse: Callable[[Exception], Refusal],
        name: str,
        key: str | None = None,
        close: Callable[[], Awaitable[None]] | None = None,
    ) -> None:
        self.loop = asyncio.new_event_loop()
        self._handle, self._refuse, self._name, self._close = handle, refuse, name, close
        self._key = None if key is None else f"Bearer {key}".encode()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # asyncio does this for no socket that was made elsewhere; without it, what follows the first piece of an answer
        # waits 40 ms for the client's acknowledgement of it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready: Future[None] = Future()
        self._server = _server(self._app, self._ready)
        self._thread = Thread(target=self._serve, name=f"{name}-http", daemon=True)

    def start(self) -> str:
        """The base URL, which answers from now on."""
        self._thread.start()
        self._ready.result()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def stop(self) -> None:
        """Answer what is open, close, and join the thread."""
        self._server.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._server.serve(sockets=[self._socket]))
        finally:
            if self._close is not None:
                self.loop.run_until_complete(self._close())
            self.loop.close()
            if not self._ready.done():
                self._ready.set_exception(EngineFailed(self._name, why="its HTTP server did not start"))

    async def _app(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        out = _Out(send)
        try:
            given = dict(scope["headers"]).get(b"authorization", b"")
            if self._key is None or hmac.compare_digest(given, self._key):
                body = await _body(receive)
                await _unless_gone(self._answer(scope["method"], scope["path"], body, out), receive)
            else:
                why = "only the gateway of this process may ask here"
                await out.refuse(Refusal(status=401, code="unauthorized", message=why))
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - the server's rim: a bug must not look like a closed line
            await out.refuse(self._refuse(error))

    async def _answer(self, method: str, path: str, body: bytes, out: _Out) -> None:
        answer = await self._handle(method, path, body)
        if isinstance(answer, bytes):
            await out.whole(200, answer)
            return
        async with aclosing(answer):
            async for events in answer:
                await out.events(events)
        await out.end()


def _server(app: Callable[..., Any], ready: Future[None]) -> uvicorn.Server:
    import uvicorn

    class Server(uvicorn.Server):
        """One that says when it listens."""

        async def startup(self, sockets: list[socket.socket] | None = None) -> None:
            await super().startup(sockets)
            ready.set_result(None)

    return Server(
        uvicorn.Config(
            app,
            interface="asgi3",  # a bound method is not recognised as one
            lifespan="off",
            ws="none",
            log_config=None,
            log_level="critical",
            access_log=False,
            proxy_headers=False,
            server_header=False,
            timeout_graceful_shutdown=2,
        )
    )


class _Gone(Exception):
    """The client closed the connection."""


async def _body(receive: _Receive) -> bytes:
    parts: list[bytes] = []
    size = 0
    while True:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        part = message.get("body", b"")
        size += len(part)
        if size > _LARGEST_BODY:
            raise BadValue("request body", f"{size} bytes", why=f"at most {_LARGEST_BODY} are read")
        parts.append(part)
        if not message.get("more_body"):
            return b"".join(parts)


async def _unless_gone(work: Coroutine[Any, Any, None], receive: _Receive) -> None:
    """Do it; when the client goes first, nobody needs it."""
    working = asyncio.ensure_future(work)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((working, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise _Gone
        working.result()
    finally:
        working.cancel()
        leaving.cancel()


class _Out:
    """The way back to who asked."""

    def __init__(self, send: _Send) -> None:
        self._send = send
        self._has_begun = False

    async def whole(self, status: int, content: bytes, headers: Mapping[str, str] | None = None) -> None:
        """An answer in one piece."""
        listed = [(name.encode(), value.encode("latin-1", "replace")) for name, value in (headers or {}).items()]
        length = (b"content-length", str(len(content)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *listed]})
        await self._send({"type": "http.response.body", "body": content})

    async def events(self, content: bytes) -> None:
        """More of a stream; the first of it begins the answer, so that until then it may be refused."""
        if not self._has_begun:
            self._has_begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        """No more of a stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refusal) -> None:
        """Why there is no answer, or no more of it: in a stream the status is sent, and only an event can say so."""
        if not self._has_begun:
            await self.whole(refusal.status, refusal.body, refusal.headers)
            return
        await self.events(refusal.event)
        await self.end()
