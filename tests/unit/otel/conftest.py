"""A gateway on loopback over a real log, with an attempt under way; who sends spans and events is any HTTP client."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import aiohttp
import pytest

import agl_core as agl
from agl_core.events import Event
from agl_core.gateway import Gateway
from agl_core.otel import token
from agl_core.recorder import Recorder
from agl_core.store import AttemptedRollout, Store

TRACE, SPAN = "4c0fa1b23d5e69788796a5b4c3d2e1f0", "a1b2c3d4e5f60718"


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


def attribute(key: str, value: str) -> dict[str, Any]:
    """A pair, as OTLP has it."""
    return {"key": key, "value": {"stringValue": value}}


def span(**changes: Any) -> dict[str, Any]:
    """The least that is one."""
    return {
        "traceId": TRACE,
        "spanId": SPAN,
        "name": "work",
        "startTimeUnixNano": "1793000000000000000",
        "endTimeUnixNano": "1793000001000000000",
        **changes,
    }


def request(*spans: dict[str, Any], resource: dict[str, str] | None = None) -> dict[str, Any]:
    """Spans of one program."""
    attributes = [attribute(name, value) for name, value in (resource or {}).items()]
    return {"resourceSpans": [{"resource": {"attributes": attributes}, "scopeSpans": [{"spans": list(spans)}]}]}


@dataclass(frozen=True, slots=True)
class Answered:
    """What came back."""

    status: int
    body: Any
    headers: Any


@dataclass(slots=True)
class Scene:
    """Everything a test touches."""

    store: Store
    gateway: Gateway
    base: str
    client: aiohttp.ClientSession
    first: AttemptedRollout

    @property
    def url(self) -> str:
        """Where the attempt under way is."""
        return f"{self.base}/rollout/{self.first.rollout_id}/attempt/{self.first.attempt_id}/v1"

    @property
    def token(self) -> str:
        """That of the log."""
        return token(self.store.log)

    def key(self, attempt: AttemptedRollout | None = None) -> str:
        """That of an attempt; of the one under way, if none is named."""
        return self.store.ask.attempt_key((attempt or self.first).attempt_id)

    async def post(
        self, url: str, body: Any, *, key: str | None = None, headers: dict[str, str] | None = None
    ) -> Answered:
        """JSON, unless it is bytes; with the key of the attempt under way, unless another one is given."""
        sent: dict[str, Any] = {"data": body} if isinstance(body, bytes) else {"json": body}
        shown = {"authorization": f"Bearer {self.key() if key is None else key}", **(headers or {})}
        async with self.client.post(url, headers=shown, **sent) as reply:
            is_json = reply.content_type == "application/json"
            return Answered(reply.status, await (reply.json() if is_json else reply.read()), reply.headers)

    async def traces(self, *spans: dict[str, Any], **how: Any) -> Answered:
        """Spans to the gateway's own route."""
        return await self.post(f"{self.base}/v1/traces", request(*spans, resource=how.pop("resource", None)), **how)

    def facts(self, *types: str) -> list[Event]:
        """In the log, in their order."""
        return [record.event for record in self.store.log.read(types=types)]


@pytest.fixture
async def scene(anyio_backend: str, tmp_path: Path) -> AsyncIterator[Scene]:
    """A started gateway."""
    store = agl.open_store(str(tmp_path / "log.db"))
    first = await store.start_rollout({"q": 1})
    gateway = Gateway(Recorder(store.log), store.ask, log=store.log)
    base = await gateway.start()
    async with aiohttp.ClientSession() as client:
        yield Scene(store, gateway, base, client, first)
    await gateway.stop()
    store.close()
    store.log.close()
