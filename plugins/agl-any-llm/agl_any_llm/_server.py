"""OpenAI's routes on loopback, for who has the key, from a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import hmac
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import Future
from contextlib import aclosing
from threading import Thread
from typing import TYPE_CHECKING, Any

import uvicorn

from agl_any_llm._refusals import Refusal
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from agl_any_llm._provider import Provider

__all__ = ["Server"]

_LARGEST_BODY = 64 << 20
_JSON = (b"content-type", b"application/json")
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]


class Server:
    """Listens from the time it is made until it is stopped; what goes wrong in `make` is raised here."""

    def __init__(self, make: Callable[[], Provider], *, key: str) -> None:
        self._make = make
        self._key = f"Bearer {key}".encode()
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # asyncio does this for no socket that was made elsewhere; without it, what follows the first piece of an answer
        # waits 40 ms for the client's acknowledgement of it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.url = f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"
        self._ready: Future[None] = Future()
        self._provider: Provider
        self._uvicorn = _Uvicorn(
            uvicorn.Config(
                self._app,
                interface="asgi3",  # a bound method is not recognised as one
                lifespan="off",
                ws="none",
                log_config=None,
                log_level="critical",
                access_log=False,
                proxy_headers=False,
                server_header=False,
                timeout_graceful_shutdown=2,
            ),
            self._ready,
        )
        self._thread = Thread(target=self._live, name="agl-any-llm-http", daemon=True)
        self._thread.start()
        try:
            self._ready.result()
        except BaseException:
            self.stop()
            raise

    @property
    def dialects(self) -> tuple[str, ...]:
        """What may be asked."""
        return self._provider.dialects

    def stop(self) -> None:
        """Answer what is open, close, and join the thread."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()

    def _live(self) -> None:
        try:
            asyncio.run(self._serve())
        except BaseException as error:  # noqa: BLE001 - carried to the one who waits
            if not self._ready.done():
                self._ready.set_exception(error)

    async def _serve(self) -> None:
        self._provider = self._make()
        try:
            await self._uvicorn.serve(sockets=[self._socket])
        finally:
            await self._provider.close()

    async def _app(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        out = _Out(send)
        try:
            await self._respond(scope, receive, out)
        except _Gone:
            return
        except _Refused as error:
            await out.refuse(error.refusal)
        except Exception as error:  # noqa: BLE001 - the server's rim: whatever a provider's SDK raises is an answer
            await out.refuse(self._provider.refusal(error))

    async def _respond(self, scope: _Scope, receive: _Receive, out: _Out) -> None:
        given = dict(scope["headers"]).get(b"authorization", b"")
        if not hmac.compare_digest(given, self._key):
            raise _Refused(401, "unauthorized", "only the gateway of this process may ask here")
        match scope["method"], scope["path"]:
            case "POST", "/v1/chat/completions":
                await _unless_gone(self._complete(await _body(receive), out), receive)
            case "POST", "/v1/embeddings":
                await _unless_gone(self._embed(await _body(receive), out), receive)
            case method, path:
                raise _Refused(404, "not_found", f"{method} {path} is not served: POST /v1/chat/completions is")

    async def _complete(self, body: bytes, out: _Out) -> None:
        answer = await self._provider.complete(body)
        if isinstance(answer, bytes):
            await out.whole(200, answer)
            return
        async with aclosing(answer):
            await out.events(answer)

    async def _embed(self, body: bytes, out: _Out) -> None:
        await out.whole(200, await self._provider.embed(body))


class _Uvicorn(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Future[None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set_result(None)


class _Gone(Exception):
    """The client closed the connection."""


class _Refused(Exception):
    """Nothing that the provider is asked."""

    def __init__(self, status: int, code: str, message: str) -> None:
        super().__init__(message)
        self.refusal = Refusal(status=status, code=code, message=message)


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
    """Do it; when the client goes first, nobody needs it, and somebody would pay for it."""
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

    async def whole(self, status: int, content: bytes, headers: tuple[tuple[bytes, bytes], ...] = ()) -> None:
        """An answer in one piece."""
        length = (b"content-length", str(len(content)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [_JSON, length, *headers]})
        await self._send({"type": "http.response.body", "body": content})

    async def events(self, events: AsyncGenerator[bytes]) -> None:
        """A stream, as it comes."""
        await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        self._has_begun = True
        async for content in events:
            await self._send({"type": "http.response.body", "body": content, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, refusal: Refusal) -> None:
        """Why there is no answer, or no more of it: in a stream the status is sent, and only an event can say so."""
        if not self._has_begun:
            headers = tuple(
                (name.encode(), value.encode("latin-1", "replace")) for name, value in refusal.headers.items()
            )
            await self.whole(refusal.status, refusal.body, headers)
            return
        await self._send({"type": "http.response.body", "body": refusal.event, "more_body": True})
        await self._send({"type": "http.response.body", "body": b""})
