"""Chat completions over HTTP on loopback, from a thread and an event loop of its own."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import Awaitable, Callable, Iterable, MutableMapping
from concurrent.futures import Future
from threading import Thread
from typing import Any

import msgspec
import uvicorn

from agl_core.errors import AglError, BadValue, EngineError, EngineFailed, ModelNotFound, PromptTooLong

__all__ = ["Answer", "Server"]

Answer = Callable[[bytes], Awaitable[bytes | Iterable[bytes]]]
"""A chat completion for a body: whole, or as events. Cancelled when the client goes away."""

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
        try:
            answer = await self._respond(scope["method"], scope["path"], receive)
        except AglError as error:
            await _send(send, *_refusal(error))
        except _Gone:
            return
        except Exception as error:  # noqa: BLE001 - the server's rim: a bug of ours must not look like a closed line
            await _send(send, *_refusal(EngineError(f"{type(error).__name__}: {error}")))
        else:
            await _send(send, 200, answer)

    async def _respond(self, method: str, path: str, receive: _Receive) -> bytes | Iterable[bytes]:
        match method, path:
            case "POST", "/v1/chat/completions":
                body = await _body(receive)
                return await _unless_gone(self._answer(body), receive)
            case "GET", "/v1/models":
                model = {"id": self._model, "object": "model", "created": 0, "owned_by": "agl"}
                return msgspec.json.encode({"object": "list", "data": [{**model, "max_model_len": self._max_len}]})
            case "GET", "/health":
                return b"{}"
        raise _NoRoute(f"{method} {path} is not served: POST /v1/chat/completions is")


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


async def _unless_gone(answer: Awaitable[bytes | Iterable[bytes]], receive: _Receive) -> bytes | Iterable[bytes]:
    """The answer; when the client goes first, nobody needs it."""
    answering = asyncio.ensure_future(answer)
    leaving = asyncio.ensure_future(receive())
    try:
        await asyncio.wait((answering, leaving), return_when=asyncio.FIRST_COMPLETED)
        if not answering.done():
            raise _Gone
        return answering.result()
    finally:
        answering.cancel()
        leaving.cancel()


async def _send(send: _Send, status: int, answer: bytes | Iterable[bytes]) -> None:
    if isinstance(answer, bytes):
        length = (b"content-length", str(len(answer)).encode())
        await send({"type": "http.response.start", "status": status, "headers": [*_JSON, length]})
        await send({"type": "http.response.body", "body": answer})
        return
    await send({"type": "http.response.start", "status": status, "headers": _EVENTS})
    for event in answer:
        await send({"type": "http.response.body", "body": event, "more_body": True})
    await send({"type": "http.response.body", "body": b""})


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
