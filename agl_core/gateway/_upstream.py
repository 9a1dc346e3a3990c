"""Asking the endpoint: one kept-alive pool, no redirects, and another try only while nobody has heard an answer."""

from __future__ import annotations

import asyncio
import io
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import Any, Literal

import aiohttp
import msgspec

from agl_core.gateway._lanes import Target
from agl_core.gateway._ledger import Trip
from agl_core.gateway._providers import address
from agl_core.gateway._refusals import Refused
from agl_core.gateway._relay import Relay
from agl_core.wire import error_code, json_object

__all__ = ["Answer", "Upstream"]

_PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id", "request-id")
"""Response headers that clients act on."""
_STREAM = "text/event-stream"
_TRIED_AGAIN = frozenset({429, 502, 503, 504, 529})
"""Statuses that say: not now."""
_PATIENCE = 5.0
"""Seconds of `Retry-After` that are waited for here; longer ones are the agent's own to wait."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request."""

    status: Literal["ok", "error", "broken"]
    http_status: int | None = None
    error: str | None = None
    """A stable word for what went wrong; the endpoint's own, when it gave one."""
    body: dict[str, Any] | None = None
    """What the endpoint said, if it was a JSON object, or became one."""
    headers: Mapping[str, str] = field(default_factory=dict)
    raw: bytes = b""
    """The endpoint's own words for an error."""
    refused: Refused | None = None
    """Ours, when it had none."""


class Upstream:
    """The way out."""

    def __init__(self, *, timeout: float, backoff: Sequence[float]) -> None:
        self._timeout = timeout
        self._backoff = backoff
        self._session: aiohttp.ClientSession

    async def open(self) -> None:
        """Make the pool, in the loop that will use it."""
        self._session = aiohttp.ClientSession(
            # 4 s: the usual server hangs up on an idle connection after 5, and a request sent into that is lost.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._timeout),
            read_bufsize=1 << 18,
        )

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def ask(
        self,
        target: Target,
        route: str,
        body: dict[str, Any],
        *,
        headers: Mapping[str, str],
        trip: Trip,
        relay: Relay | None = None,
        read: Callable[[bytes], dict[str, Any]] = json_object,
    ) -> Answer:
        """Send `body`; every failure is an answer too. A stream goes through `relay` as it comes, if there is one.

        Each request is one of `trip`, which may hold it back. `read` makes an object of any other answer, or raises
        `ValueError`.
        """
        try:
            async with self._sent(target, route, body, {**target.headers, **headers}, trip) as reply:
                kept = {name: value for name in _PASSED if (value := reply.headers.get(name)) is not None}
                if relay is not None and 200 <= reply.status < 300 and reply.content_type == _STREAM:
                    return await self._relayed(reply, kept, relay)
                return _read(reply.status, kept, await reply.read(), read)
        except aiohttp.ClientConnectorError:
            return _failed(
                "error", 502, "endpoint_down", f"nothing answers at {target.endpoint.url}: is the engine up?"
            )
        except TimeoutError:
            return _failed(
                "broken", 504, "upstream_timeout", f"{target.endpoint.model} said nothing for {self._timeout:g} seconds"
            )
        except (aiohttp.ClientError, OSError) as error:
            return _failed(
                "broken",
                502,
                "upstream_broken",
                f"{target.endpoint.model} hung up before its answer was whole ({error})",
            )

    async def _relayed(self, reply: aiohttp.ClientResponse, headers: Mapping[str, str], relay: Relay) -> Answer:
        await relay.start(reply.status, headers, reply.headers.get("content-type", _STREAM))
        async for piece in reply.content.iter_any():
            await relay.piece(piece)
        answer = Answer(status="ok", http_status=reply.status, headers=headers)
        if relay.error is not None:
            return replace(answer, status="error", error=relay.error)
        if not relay.is_whole:
            refused = Refused(502, "UPSTREAM_BROKEN", f"{reply.url.host} ended its stream before the answer was whole")
            return replace(answer, status="broken", error="upstream_broken", refused=refused)
        return answer

    @asynccontextmanager
    async def _sent(
        self, target: Target, route: str, body: dict[str, Any], headers: Mapping[str, str], trip: Trip
    ) -> AsyncIterator[aiohttp.ClientResponse]:
        url = address(target.endpoint.url, route)
        content = msgspec.json.encode(body)
        for backoff in (*self._backoff, None):
            pause = backoff
            # A stream from 1 MiB on: aiohttp warns of sending more than that at once.
            data = io.BytesIO(content) if len(content) > 1 << 20 else content
            await trip.leave()
            try:
                reply = await self._session.post(url, data=data, headers=headers, allow_redirects=False)
            except aiohttp.ClientConnectorError as error:
                trip.stayed()
                # Refused means that not a byte was sent; anything else may have been heard.
                if pause is None or not isinstance(error.os_error, ConnectionRefusedError):
                    raise
                trip.tries.append("endpoint_down")
            else:
                again = _again(reply, backoff)
                if again is None:
                    async with reply:
                        yield reply
                    return
                trip.tries.append(f"http_{reply.status}")
                reply.release()
                trip.end()
                pause = again
            await asyncio.sleep(pause)
        raise AssertionError


def _again(reply: aiohttp.ClientResponse, pause: float | None) -> float | None:
    """Seconds after which to ask again; None when this is the answer."""
    if pause is None or reply.status not in _TRIED_AGAIN or reply.headers.get("x-should-retry") == "false":
        return None
    asked = _seconds(reply.headers)
    if asked is None:
        return pause
    return asked if asked <= _PATIENCE else None


def _seconds(headers: Mapping[str, str]) -> float | None:
    for name, unit in (("retry-after-ms", 1e-3), ("retry-after", 1.0)):
        try:
            return max(0.0, float(headers[name]) * unit)
        except (KeyError, ValueError):
            continue  # a date: nobody waits that long here
    return None


def _read(status: int, headers: dict[str, str], raw: bytes, read: Callable[[bytes], dict[str, Any]]) -> Answer:
    try:
        body = read(raw)
    except ValueError:
        body = None
    if body is not None and 200 <= status < 300:
        return Answer(status="ok", http_status=status, body=body, headers=headers)
    if body is not None and status >= 400:
        error = error_code(status, body)
        return Answer(status="error", http_status=status, error=error, body=body, headers=headers, raw=raw)
    error = error_code(status, body) if status >= 300 else "upstream_not_json"
    why = f"the endpoint answered {status}, with something that is no JSON object"
    if body is not None:
        why = f"the endpoint answered {status}: a redirect is not followed, and nothing the agent could follow either"
    refused = Refused(status if status >= 400 else 502, error.upper(), why, headers=headers)
    return Answer(status="error", http_status=status, error=error, body=body, headers=headers, refused=refused)


def _failed(status: Literal["error", "broken"], shown: int, code: str, why: str) -> Answer:
    return Answer(status=status, error=code, refused=Refused(shown, code.upper(), why))
