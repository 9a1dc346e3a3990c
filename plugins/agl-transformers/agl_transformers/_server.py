"""Chat completions over HTTP on loopback, from a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncGenerator, Awaitable, Callable, Coroutine, MutableMapping
from concurrent.futures import Future
from contextlib import aclosing
from threading import Thread
from typing import Any

import msgspec
import uvicorn

from agl_core.errors import AglError, BadValue, EngineError, EngineFailed, ModelNotFound, PromptTooLong

__all__ = ["Answer", "Server"]

Answer = Callable[[bytes], Awaitable[bytes | AsyncGenerator[bytes]]]
"""A chat completion for a body: whole, or events as they come. Cancelled and closed when the client goes away."""

_LARGEST_BODY = 64 << 20
_JSON = [(b"content-type", b"application/json")]
_EVENTS = [(b"content-type", b"text/event-stream; charset=utf-8"), (b"cache-control", b"no-cache")]

_Scope = MutableMapping[str, Any]
_Receive = Callable[[], Awaitable[_Scope]]
_Send = Callable[[_Scope], Awaitable[None]]


class Server:
    """Listens while it is started. `answer` runs on the server's loop, never on the caller's."""

    def __init__(self, answer: Answer, *, model: str, max_len: int) -> None:
        self.loop = asyncio.new_event_loop()
        self._answer = answer
        self._model = model
        self._max_len = max_len
        self._socket = socket.create_server(("127.0.0.1", 0), backlog=1024)
        # asyncio does this for no socket that was made elsewhere; without it, what follows the first piece of an answer
        # waits 40 ms for the client's acknowledgement of it.
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self._ready: Future[None] = Future()
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
        self._thread = Thread(target=self._serve, name="agl-transformers-http", daemon=True)

    def start(self) -> str:
        """The base URL, which answers from now on."""
        self._thread.start()
        self._ready.result()
        return f"http://127.0.0.1:{self._socket.getsockname()[1]}/v1"

    def stop(self) -> None:
        """Answer what is open, close, and join the thread."""
        self._uvicorn.should_exit = True
        self._thread.join()
        self._socket.close()

    def _serve(self) -> None:
        asyncio.set_event_loop(self.loop)
        try:
            self.loop.run_until_complete(self._uvicorn.serve(sockets=[self._socket]))
        finally:
            self.loop.close()
            if not self._ready.done():
                self._ready.set_exception(EngineFailed(self._model, why="its HTTP server did not start"))

    async def _app(self, scope: _Scope, receive: _Receive, send: _Send) -> None:
        out = _Out(send)
        try:
            await self._respond(scope["method"], scope["path"], receive, out)
        except AglError as error:
            await out.refuse(error)
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - the server's rim: a bug of ours must not look like a closed line
            await out.refuse(EngineError(f"{type(error).__name__}: {error}"))

    async def _respond(self, method: str, path: str, receive: _Receive, out: _Out) -> None:
        match method, path:
            case "POST", "/v1/chat/completions":
                body = await _body(receive)
                await _unless_gone(self._complete(body, out), receive)
            case "GET", "/v1/models":
                model = {"id": self._model, "object": "model", "created": 0, "owned_by": "agl"}
                listed = {"object": "list", "data": [{**model, "max_model_len": self._max_len}]}
                await out.whole(200, msgspec.json.encode(listed))
            case "GET", "/health":
                await out.whole(200, b"{}")
            case _:
                raise _NoRoute(f"{method} {path} is not served: POST /v1/chat/completions is")

    async def _complete(self, body: bytes, out: _Out) -> None:
        answer = await self._answer(body)
        if isinstance(answer, bytes):
            await out.whole(200, answer)
            return
        async with aclosing(answer):
            async for events in answer:
                await out.events(events)
        await out.end()


class _Uvicorn(uvicorn.Server):
    """A server that says when it listens."""

    def __init__(self, config: uvicorn.Config, ready: Future[None]) -> None:
        super().__init__(config)
        self._ready = ready

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self._ready.set_result(None)


class _NoRoute(EngineError):
    """Nothing is served there."""

    code = "NOT_FOUND"


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

    async def whole(self, status: int, content: bytes) -> None:
        """An answer in one piece."""
        length = (b"content-length", str(len(content)).encode())
        await self._send({"type": "http.response.start", "status": status, "headers": [*_JSON, length]})
        await self._send({"type": "http.response.body", "body": content})

    async def events(self, content: bytes) -> None:
        """More of a stream; the first of it begins the answer."""
        if not self._has_begun:
            self._has_begun = True
            await self._send({"type": "http.response.start", "status": 200, "headers": _EVENTS})
        await self._send({"type": "http.response.body", "body": content, "more_body": True})

    async def end(self) -> None:
        """No more of a stream."""
        await self._send({"type": "http.response.body", "body": b""})

    async def refuse(self, error: AglError) -> None:
        """Why there is no answer, or no more of it: in a stream the status is sent, and only an event can say so."""
        status, content = _refusal(error)
        if not self._has_begun:
            await self.whole(status, content)
            return
        await self.events(b"data: " + content + b"\n\n")
        await self.end()


def _refusal(error: AglError) -> tuple[int, bytes]:
    """Status and body of an error, in OpenAI's shape."""
    match error:
        case PromptTooLong():
            status, kind, code = 400, "invalid_request_error", "context_length_exceeded"
        case ModelNotFound():
            status, kind, code = 404, "invalid_request_error", "model_not_found"
        case BadValue():
            status, kind, code = 400, "invalid_request_error", "invalid_value"
        case _NoRoute():
            status, kind, code = 404, "invalid_request_error", "not_found"
        case EngineFailed():
            status, kind, code = 503, "server_error", "engine_failed"
        case _:
            status, kind, code = 500, "server_error", error.code.lower()
    param = error.facts.get("what") if isinstance(error, BadValue) else None
    detail = {"message": str(error), "type": kind, "param": param, "code": code}
    return status, msgspec.json.encode({"error": detail})
