"""In a replay, what is asked of a provider goes to the gateway, which knows what was answered: nothing leaves."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable, Iterator, Mapping
from dataclasses import dataclass
from types import ModuleType
from typing import Any
from urllib.parse import quote

from agl_core.recorder import Scope
from agl_core.tap._asked import attempt_in, dialect_of, read

__all__ = ["LIVE", "Instead", "instead", "rerouted", "rerouted_async"]

LIVE = "agl-live"
"""Header of the gateway's answer to a call that a model is to be asked: in a fork, behind its past."""
_DIRECT = "agl-direct"
"""Header that tells the gateway of a call that would have gone past it."""
_ENDED = "agl-ended"
"""Header of an answer that a client never saw the end of: the tap's word for why."""
_NOT_SENT = frozenset({"api-key", "authorization", "cookie", "host", "proxy-authorization", "x-api-key"})
"""Headers that are meant for the provider alone."""
Sign = Callable[[dict[str, str], Scope], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class Instead:
    """Where a request goes, and with which headers."""

    url: str
    headers: Mapping[str, str]


def instead(
    scope: Scope, path: str, headers: Mapping[str, str], content: Callable[[], bytes], sign: Sign
) -> Instead | None:
    """Where a POST to a provider goes in a replay; nothing where this is none, or where it goes to the gateway."""
    if scope.replaying is None or scope.gateway is None or (dialect := dialect_of(path)) is None:
        return None
    if attempt_in(path) == (scope.rollout_id, scope.attempt_id) or read(dialect, content()) is None:
        return None
    sent = {name.lower(): value for name, value in headers.items() if name.lower() not in _NOT_SENT}
    sent |= {"authorization": f"Bearer {scope.key}", _DIRECT: "1"}
    sign(sent, scope)
    place = f"rollout/{quote(scope.rollout_id, safe='')}/attempt/{quote(scope.attempt_id, safe='')}"
    return Instead(url=f"{scope.gateway}/{place}/v1/{dialect.ROUTE}", headers=sent)


def rerouted(client: Any, way: Instead, library: ModuleType) -> Any:
    """The client with another way out: its authentication, its hooks and its cookies are as they were."""
    return _copied(client, library.Client, _transport(client, way, library, library.BaseTransport, _Through))


def rerouted_async(client: Any, way: Instead, library: ModuleType) -> Any:
    """The same of one that awaits."""
    kind = library.AsyncBaseTransport
    return _copied(client, library.AsyncClient, _transport(client, way, library, kind, _ThroughAsync))


def _copied(client: Any, kind: type, transport: Any) -> Any:
    # Not of the client's own class: those of SDKs close themselves when nobody holds them.
    copied: Any = object.__new__(kind)
    copied.__dict__.update(client.__dict__, _transport=transport, _mounts={})
    return copied


def _transport(client: Any, way: Instead, library: ModuleType, base: type, mixin: type) -> Any:
    return type(mixin.__name__, (mixin, base), {})(client, way, library)


class _Way:
    """A transport that sends the model call elsewhere, and what else the client sends on its own way."""

    def __init__(self, client: Any, way: Instead, library: ModuleType) -> None:
        self._client, self._way, self._library = client, way, library

    def _options(self) -> dict[str, Any]:
        # No TLS is spoken here, and certificates take long to load; a connection lives for one answer.
        return {"verify": False, "trust_env": False, "limits": self._library.Limits(max_keepalive_connections=0)}

    def _own(self, request: Any) -> Any:
        """The client's own way, of what is no model call: one for a token, say."""
        return self._client._transport_for_url(request.url) if dialect_of(request.url.path) is None else None  # noqa: SLF001

    def _changed(self, request: Any) -> Any:
        url = self._library.URL(self._way.url)
        return self._library.Request(
            request.method, url, headers={**self._way.headers, "host": url.netloc.decode()}, stream=request.stream,
            extensions=request.extensions,
        )  # fmt: skip

    def _ended(self, response: Any) -> Exception | None:
        """How the client saw it end, where it raised."""
        match response.headers.get(_ENDED):
            case None:
                return None
            case "endpoint_down":
                error = self._library.ConnectError("All connection attempts failed")
            case "upstream_timeout":
                error = self._library.ReadTimeout("The read operation timed out")
            case _:
                error = self._library.RemoteProtocolError("the answer broke off here when it was recorded")
        return error  # type: ignore[no-any-return]  # an exception of a library that is not imported here


class _Through(_Way):
    def handle_request(self, request: Any) -> Any:
        if (own := self._own(request)) is not None:
            return own.handle_request(request)
        response = self._library.HTTPTransport(**self._options()).handle_request(self._changed(request))
        if (error := self._ended(response)) is None:
            return response
        if response.status_code >= 400:
            response.close()
            raise error
        response.stream = type("Cut", (_Cut, self._library.SyncByteStream), {})(response.stream, error)
        return response


class _ThroughAsync(_Way):
    async def handle_async_request(self, request: Any) -> Any:
        if (own := self._own(request)) is not None:
            return await own.handle_async_request(request)
        inner = self._library.AsyncHTTPTransport(**self._options())
        response = await inner.handle_async_request(self._changed(request))
        if (error := self._ended(response)) is None:
            return response
        if response.status_code >= 400:
            await response.aclose()
            raise error
        response.stream = type("CutAsync", (_CutAsync, self._library.AsyncByteStream), {})(response.stream, error)
        return response


class _Broken:
    """A stream that ends as it did then."""

    def __init__(self, stream: Any, error: Exception) -> None:
        self._stream, self._error = stream, error


class _Cut(_Broken):
    def __iter__(self) -> Iterator[bytes]:
        yield from self._stream
        raise self._error

    def close(self) -> None:
        self._stream.close()


class _CutAsync(_Broken):
    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for piece in self._stream:
            yield piece
        raise self._error

    async def aclose(self) -> None:
        await self._stream.aclose()
