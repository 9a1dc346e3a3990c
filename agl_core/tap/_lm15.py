"""`lm15`, through which DSPy sends: HTTP on bare sockets, with no client of others underneath.

DSPy 3.4 carries it along as `dspy._vendor.lm15`, so it is two libraries of one shape. `StdlibTransport.stream` and
`StdlibAsyncTransport._do_stream` are where a request leaves, whole, and the head of its answer is there when they
return; its bytes are heard, decoded, as the agent reads them. The transport of browsers, `FetchTransport`, is not seen.
"""

from __future__ import annotations

import functools
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import suppress
from dataclasses import replace
from types import ModuleType
from typing import Any
from urllib.parse import urlsplit

from agl_core.tap._answer import Cut
from agl_core.tap._call import LEFT, Call, begun, here, sign
from agl_core.tap._instead import instead
from agl_core.tap._patch import Patch

__all__ = ["patches"]


def patches(library: ModuleType) -> list[Patch]:
    """For both transports."""
    return [
        Patch(library.transports.StdlibTransport, "stream", _wrapped),
        Patch(library.transports.StdlibAsyncTransport, "_do_stream", _wrapped_async),
    ]


def _wrapped(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    def stream(self: Any, request: Any) -> Any:
        call, request = _begun(request)
        if call is None:
            return original(self, request)
        try:
            response = original(self, request)
        except BaseException as error:
            call.ended(_cut(error))
            raise
        _listen(call, response, _Heard, _released)
        return response

    return stream


def _wrapped_async(original: Callable[..., Any]) -> Callable[..., Any]:
    @functools.wraps(original)
    async def stream(self: Any, request: Any) -> Any:
        call, request = _begun(request)
        if call is None:
            return await original(self, request)
        try:
            response = await original(self, request)
        except BaseException as error:
            call.ended(_cut(error))
            raise
        _listen(call, response, _HeardAsync, _released_async)
        return response

    return stream


def _begun(request: Any) -> tuple[Call | None, Any]:
    """The call, and the request to send: the very one, unless the gateway is to know it."""
    if request.method != "POST" or (scope := here(lambda: str(request.url))) is None:
        return None, request
    headers = {name.lower(): value for name, value in request.headers}
    way = instead(scope, urlsplit(request.url).path, headers, lambda: bytes(request.body), sign)
    if way is not None:
        return None, replace(request, url=way.url, headers=list(way.headers.items()))
    known = len(headers)
    call = begun(scope, urlsplit(request.url).path, headers, lambda: bytes(request.body))
    if len(headers) > known:
        request = replace(request, headers=[*request.headers, *list(headers.items())[known:]])
    return call, request


def _listen(call: Call, response: Any, heard: Callable[..., Any], released: Callable[..., Any]) -> None:
    try:
        call.answered(response.status, response.header("content-type") or "")
        response._chunks = heard(response._chunks, call)  # noqa: SLF001 - there is no other way in
        response._release = released(response._release, call)  # noqa: SLF001
    except Exception as error:  # noqa: BLE001 - the rim: the agent gets its response
        call.lost(error)


def _released(release: Callable[[bool], None], call: Call) -> Callable[[bool], None]:
    def left(body_consumed: bool) -> None:  # noqa: FBT001 - theirs
        try:
            release(body_consumed)
        finally:
            call.ended(LEFT)

    return left


def _released_async(release: Callable[[bool], Any], call: Call) -> Callable[[bool], Any]:
    async def left(body_consumed: bool) -> None:  # noqa: FBT001 - theirs
        try:
            await release(body_consumed)
        finally:
            call.ended(LEFT)

    return left


class _Heard:
    """What is between an agent and the bytes of its answer, and changes neither."""

    def __init__(self, chunks: Iterator[bytes], call: Call) -> None:
        self._chunks, self._call = chunks, call

    def __iter__(self) -> Iterator[bytes]:
        try:
            for piece in self._chunks:
                self._call.heard(piece)
                yield piece
        except BaseException as error:
            self._call.ended(_cut(error))
            raise
        self._call.ended()

    def __del__(self) -> None:
        # A response that is dropped is never closed.
        with suppress(AttributeError):
            self._call.ended(LEFT)


class _HeardAsync:
    def __init__(self, chunks: AsyncIterator[bytes], call: Call) -> None:
        self._chunks, self._call = chunks, call

    async def __aiter__(self) -> AsyncIterator[bytes]:
        try:
            async for piece in self._chunks:
                self._call.heard(piece)
                yield piece
        except BaseException as error:
            self._call.ended(_cut(error))
            raise
        finally:
            # It would be closed by whoever holds it, and now that is us.
            if hasattr(self._chunks, "aclose"):
                await self._chunks.aclose()
        self._call.ended()

    def __del__(self) -> None:
        with suppress(AttributeError):
            self._call.ended(LEFT)


def _cut(error: BaseException) -> Cut:
    """The gateway's words for what it would have seen."""
    if not isinstance(error, Exception):
        return LEFT  # cancelled, interrupted, or a generator that nobody reads on
    names = {kind.__name__ for kind in type(error).__mro__}
    if "ConnectError" in names:
        return Cut(status="error", error="endpoint_down")
    if names & {"ReadTimeout", "WriteTimeout"}:
        return Cut(error="upstream_timeout")
    if "TransportError" in names:
        return Cut(error="upstream_broken")
    return Cut(error="client_raised")
