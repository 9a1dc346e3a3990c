"""Asking the endpoint: one kept-alive pool, no redirects, and a second try only when nothing was sent."""

from __future__ import annotations

import asyncio
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal

import aiohttp
import msgspec

from agl_core.gateway._json import json_object
from agl_core.gateway._lanes import Target
from agl_core.gateway._refusals import Refused, Reply
from agl_core.wire import error_code

__all__ = ["Answer", "Upstream"]

_PASSED = ("retry-after", "retry-after-ms", "x-should-retry", "x-request-id")
"""Response headers that clients act on."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What became of a request."""

    status: Literal["ok", "error", "broken"]
    http_status: int | None = None
    error: str | None = None
    """A stable word for what went wrong; the endpoint's own, when it gave one."""
    body: dict[str, Any] | None = None
    """What the endpoint said, if it was a JSON object."""
    headers: Mapping[str, str] = field(default_factory=dict)
    reply: Reply | None = None
    """What the agent gets; without one, `body`."""


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
        )

    async def close(self) -> None:
        """Hang up."""
        await self._session.close()

    async def ask(self, target: Target, body: dict[str, Any]) -> Answer:
        """Send `body` to the target's chat completions; every failure is an answer too."""
        url = f"{target.endpoint.url}/chat/completions"
        content = msgspec.json.encode(body)
        try:
            status, headers, raw = await self._post(url, content, target.headers)
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
        return _read(status, headers, raw)

    async def _post(self, url: str, content: bytes, headers: dict[str, str]) -> tuple[int, dict[str, str], bytes]:
        for pause in (*self._backoff, None):
            try:
                # A stream from 1 MiB on: aiohttp warns of sending more than that at once.
                data = io.BytesIO(content) if len(content) > 1 << 20 else content
                async with self._session.post(url, data=data, headers=headers, allow_redirects=False) as reply:
                    kept = {name: value for name in _PASSED if (value := reply.headers.get(name)) is not None}
                    return reply.status, kept, await reply.read()
            except aiohttp.ClientConnectorError as error:
                # Refused means that not a byte was sent; anything else may have been heard.
                if pause is None or not isinstance(error.os_error, ConnectionRefusedError):
                    raise
                await asyncio.sleep(pause)
        raise AssertionError


def _read(status: int, headers: dict[str, str], raw: bytes) -> Answer:
    body = _object(raw)
    if body is not None and 200 <= status < 300:
        return Answer(status="ok", http_status=status, body=body, headers=headers)
    # A redirect is not followed, and nothing the agent could follow either.
    shown = status if status >= 400 else 502
    if body is not None:
        error, reply = error_code(status, body), Reply(shown, raw, headers)
    else:
        error = error_code(status, body) if status >= 300 else "upstream_not_json"
        why = f"the endpoint answered {status}, with something that is no JSON object"
        reply = Refused(shown, error.upper(), why, headers=headers).reply()
    return Answer(status="error", http_status=status, error=error, body=body, reply=reply)


def _object(raw: bytes) -> dict[str, Any] | None:
    try:
        return json_object(raw)
    except ValueError:
        return None


def _failed(status: Literal["error", "broken"], shown: int, code: str, why: str) -> Answer:
    return Answer(status=status, error=code, reply=Refused(shown, code.upper(), why).reply())
