"""`httpx` and `httpx2`: two libraries of one shape.

`Client.send` and `AsyncClient.send` are where it is done: every request of a client comes through, whichever transport
it has (a transport of the user's own, a proxy, an ASGI app, a test double), and a retry of an SDK is a `send` of its
own. Transports are lower, but each is a class of its own. What is not streamed is whole, read and decoded when `send`
returns; what is streamed is heard in `response.stream`, byte by byte, as the agent reads it.

A subclass that overrides `send` and never calls it is not seen; neither is a request whose body is a generator.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from types import ModuleType
from typing import Any

from agl_core.recorder import Scope
from agl_core.tap._answer import Cut
from agl_core.tap._call import LEFT, Call, begun, here, inside, sign
from agl_core.tap._instead import LIVE, Instead, instead, rerouted, rerouted_async
from agl_core.tap._patch import Patch

__all__ = ["patches"]


def patches(library: ModuleType) -> list[Patch]:
    """For both clients."""
    heard = type("HeardStream", (_HeardStream, library.SyncByteStream), {})
    heard_async = type("HeardAsyncStream", (_HeardAsyncStream, library.AsyncByteStream), {})
    return [
        Patch(library.Client, "send", lambda send: _wrapped(send, library, heard)),
        Patch(library.AsyncClient, "send", lambda send: _wrapped_async(send, library, heard_async)),
    ]


def _wrapped(original: Callable[..., Any], library: ModuleType, heard: type) -> Callable[..., Any]:
    @functools.wraps(original)
    def send(self: Any, request: Any, **options: Any) -> Any:
        scope = _scope(request)
        if scope is not None and (way := _instead(scope, request, library)) is not None:
            response = original(rerouted(self, way, library), request, **options)
            if LIVE not in response.headers:
                return response
            response.close()
        if scope is None or (call := _begun(scope, request, library)) is None:
            return original(self, request, **options)
        token = inside.set(True)
        try:
            response = original(self, request, **options)
        except BaseException as error:
            call.ended(_cut(error))
            raise
        finally:
            inside.reset(token)
        _listen(call, response, library, heard)
        return response

    return send


def _wrapped_async(original: Callable[..., Any], library: ModuleType, heard: type) -> Callable[..., Any]:
    @functools.wraps(original)
    async def send(self: Any, request: Any, **options: Any) -> Any:
        scope = _scope(request)
        if scope is not None and (way := _instead(scope, request, library)) is not None:
            response = await original(rerouted_async(self, way, library), request, **options)
            if LIVE not in response.headers:
                return response
            await response.aclose()
        if scope is None or (call := _begun(scope, request, library)) is None:
            return await original(self, request, **options)
        token = inside.set(True)
        try:
            response = await original(self, request, **options)
        except BaseException as error:
            call.ended(_cut(error))
            raise
        finally:
            with suppress(ValueError):  # abandoned half-way, and closed by the garbage collector in another context
                inside.reset(token)
        _listen(call, response, library, heard)
        return response

    return send


def _scope(request: Any) -> Scope | None:
    scope = here(lambda: str(request.url)) if request.method == "POST" else None
    if scope is not None:
        _untimed(scope, request)
    return scope


def _untimed(scope: Scope, request: Any) -> None:
    """Have the client wait as long as somebody looks at the call, where somebody does."""
    if scope.replaying is not None and not scope.replaying.is_timed:
        request.extensions = {**request.extensions, "timeout": dict.fromkeys(("connect", "read", "write", "pool"))}


def _instead(scope: Scope, request: Any, library: ModuleType) -> Instead | None:
    """Where it goes in a replay; nothing of what goes where it was sent."""
    return instead(scope, request.url.path, request.headers, lambda: _content(request, library), sign)


def _begun(scope: Scope, request: Any, library: ModuleType) -> Call | None:
    return begun(scope, request.url.path, request.headers, lambda: _content(request, library))


def _content(request: Any, library: ModuleType) -> bytes:
    try:
        content: bytes = request.content
    except library.RequestNotRead:  # it is made while it is sent, and can be read once: by the client
        return b""
    return content


def _listen(call: Call, response: Any, library: ModuleType, heard: type) -> None:
    try:
        content_type = response.headers.get("content-type", "")
        try:
            content = response.content
        except library.ResponseNotRead:
            encoding = response.headers.get("content-encoding", "")
            decode = functools.partial(_decoded, library, encoding) if encoding else None
            call.answered(response.status_code, content_type, decode=decode)
            response.stream = heard(response.stream, call)
        else:
            call.answered(response.status_code, content_type)
            call.heard(content)
            call.ended()
    except Exception as error:  # noqa: BLE001 - the rim: the agent gets its response
        call.lost(error)


def _decoded(library: ModuleType, encoding: str, raw: bytes) -> bytes:
    """As the client itself would: it asked for no encoding that it cannot read."""
    content: bytes = library.Response(200, headers={"content-encoding": encoding}, content=raw).content
    return content


class _Heard:
    """What is between an agent and the bytes of its answer, and changes neither."""

    def __init__(self, stream: Any, call: Call) -> None:
        self._heard, self._call = stream, call

    def __getattr__(self, name: str) -> Any:
        if name == "_heard":  # not made yet, or a copy that was never made
            raise AttributeError(name)
        return getattr(self._heard, name)  # `elapsed`, for one

    def __del__(self) -> None:
        # A response that is dropped is never closed.
        with suppress(AttributeError):
            self._call.ended(LEFT)


class _HeardStream(_Heard):
    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._heard:
                self._call.heard(piece)
                yield piece
        except BaseException as error:
            self._call.ended(_cut(error))
            raise
        self._call.ended()

    def close(self) -> None:
        try:
            self._heard.close()
        finally:
            self._call.ended(LEFT)


class _HeardAsyncStream(_Heard):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        pieces = self._heard.__aiter__()
        try:
            async for piece in pieces:
                self._call.heard(piece)
                yield piece
        except BaseException as error:
            self._call.ended(_cut(error))
            raise
        finally:
            # It would be closed by whoever holds it, and now that is us.
            if hasattr(pieces, "aclose"):
                await pieces.aclose()
        self._call.ended()

    async def aclose(self) -> None:
        try:
            await self._heard.aclose()
        finally:
            self._call.ended(LEFT)


def _cut(error: BaseException) -> Cut:
    """The gateway's words for what it would have seen."""
    if not isinstance(error, Exception):
        return LEFT  # cancelled, interrupted, or a generator that nobody reads on
    names = {kind.__name__ for kind in type(error).__mro__}
    if names & {"ConnectError", "ConnectTimeout", "UnsupportedProtocol"}:
        return Cut(status="error", error="endpoint_down")
    if "TimeoutException" in names:
        return Cut(error="upstream_timeout")
    if names & {"TransportError", "DecodingError", "StreamError"}:
        return Cut(error="upstream_broken")
    return Cut(error="client_raised")  # a hook, or a transport, of the agent's own
