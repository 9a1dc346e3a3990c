"""Asking the endpoint: one kept-alive pool, no redirects, and a second try only when nothing was sent."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import aiohttp
import msgspec

from agl_core.events.call import Status
from agl_core.gateway._lanes import Target
from agl_core.gateway._refusals import Refused, Reply
from agl_core.wire import error_code

__all__ = ["Answer", "Upstream"]

_PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
"""Response headers that clients act on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request."""

    status: Status
    http_status: int | None = None
    error: str | None = None
    body: dict[str, Any] | None = None
    """The answer as JSON, if it was an object."""
    reply: Reply | Refused
    """What the agent gets."""


class Upstream:
    """The way out."""

    def __init__(self, *, timeout: float, backoff: Sequence[float]) -> None:
        self._timeout = timeout
        self._backoff = backoff
        self._session: aiohttp.ClientSession | None = None

    async def open(self) -> None:
        """Make the pool, in the loop that will use it."""
        self._session = aiohttp.ClientSession(
            # 4 s: the usual server hangs up on an idle connection after 5, and a request sent into that is lost.
            connector=aiohttp.TCPConnector(limit=0, keepalive_timeout=4, ttl_dns_cache=60),
            cookie_jar=aiohttp.DummyCookieJar(),
            timeout=aiohttp.ClientTimeout(total=None, sock_connect=10, sock_read=self._timeout),
        )

    async def close(self) -> None:
        """Hang up."""
        if self._session is not None:
            await self._session.close()

    async def ask(self, target: Target, body: dict[str, Any]) -> Answer:
        """Send `body` to the target's chat completions; every failure is an answer too."""
        url = f"{target.endpoint.url}/chat/completions"
        content = msgspec.json.encode(body)
        try:
            status, headers, raw = await self._post(url, content, target.headers)
        except aiohttp.ClientConnectorError:
            return _failed("error", 502, "endpoint_down", f"nothing answers at {target.endpoint.url}: is the engine up?")
        except TimeoutError:
            return _failed(
                "broken", 504, "upstream_timeout", f"{target.endpoint.model} said nothing for {self._timeout:g} seconds"
            )
        except (aiohttp.ClientError, OSError) as error:
            return _failed(
                "broken", 502, "upstream_broken", f"{target.endpoint.model} hung up before its answer was whole ({error})"
            )
        return _read(status, headers, raw)

    async def _post(self, url: str, content: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        assert self._session is not None
        for pause in (*self._backoff, None):
            try:
                async with self._session.post(url, data=content, headers=headers, allow_redirects=False) as reply:
                    kept = {name: value for name in _PASSED if (value := reply.headers.get(name)) is not None}
                    return reply.status, kept, await reply.read()
            except aiohttp.ClientConnectorError as error:
                # Refused means that not a byte was sent; anything else may have been heard.
                if pause is None or not isinstance(error.os_error, ConnectionRefusedError):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError


def _read(status: int, headers: dict[str, str], raw: bytes) -> Answer:
    try:
        body = msgspec.json.decode(raw)
    except (msgspec.MsgspecError, RecursionError, UnicodeDecodeError):
        body = None
    if not isinstance(body, dict):
        code = error_code(status, None) if status >= 300 else "upstream_not_json"
        shown = status if status >= 400 else 502
        why = f"the endpoint answered {status} with something that is no JSON object"
        reply = Refused(shown, code.upper(), why, headers=headers)
        return Answer(status="error", http_status=status, error=code, reply=reply)
    if status >= 300:
        reply = Reply(status if status >= 400 else 502, raw, headers)
        return Answer(status="error", http_status=status, error=error_code(status, body), body=body, reply=reply)
    return Answer(status="ok", http_status=status, body=body, reply=Reply(status, raw, headers))


def _failed(status: Status, shown: int, code: str, why: str) -> Answer:
    return Answer(status=status, error=code, reply=Refused(shown, code.upper(), why))
