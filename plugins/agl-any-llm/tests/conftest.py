"""An engine whose provider is scripted: most often asked by Anthropic's SDK, whose wire is not OpenAI's."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from agl_any_llm import agl_open_engine

from agl_core.engine import Endpoint, Engine
from agl_core.testing import ScriptedModel

KEY = "sk-which-nobody-may-see"
MODEL = "scripted-large"


class Served:
    """A running engine, and the provider behind it."""

    key, model = KEY, MODEL

    def __init__(self, provider: ScriptedModel, via: str) -> None:
        self.provider = provider
        engine = agl_open_engine(url=f"any-llm:{via}/{MODEL}", name="judge")
        assert engine is not None
        self.engine: Engine = engine
        self.endpoint: Endpoint = asyncio.run(engine.start())
        self.http = httpx.Client(headers={"authorization": f"Bearer {self.endpoint.api_key}"}, timeout=60)

    def send(self, route: str = "chat/completions", **fields: Any) -> httpx.Response:
        """A request; a field that is `...` is left out."""
        body = {"model": "judge", "messages": [{"role": "user", "content": "6 * 7?"}], **fields}
        given = {name: value for name, value in body.items() if value is not ...}
        return self.http.post(f"{self.endpoint.url}/{route}", json=given)

    def ask(self, **fields: Any) -> dict[str, Any]:
        """An answer that comes in one piece."""
        reply = self.send(**fields)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer

    def stream(self, **fields: Any) -> list[Any]:
        """The events of an answer that comes in pieces."""
        reply = self.send(**fields, stream=True)
        assert reply.headers["content-type"].startswith("text/event-stream"), reply.text
        events = [line.removeprefix("data: ") for line in reply.text.splitlines() if line]
        return [json.loads(event) if event != "[DONE]" else event for event in events]

    def close(self) -> None:
        """Stop everything."""
        self.http.close()
        asyncio.run(self.engine.stop())
        self.provider.stop()


@pytest.fixture
def provide(monkeypatch) -> Iterator[Callable[..., ScriptedModel]]:
    """Starts a provider; its SDK finds address and key where its users keep them."""
    pytest.importorskip("any_llm")
    started: list[ScriptedModel] = []

    def starting(script: Any = "It is 42.", *, via: str = "anthropic") -> ScriptedModel:
        started.append(ScriptedModel(script, model=MODEL))
        started[-1].start()
        address = started[-1].url.removesuffix("/v1") if via == "anthropic" else started[-1].url
        monkeypatch.setenv(f"{via.upper()}_API_KEY", KEY)
        monkeypatch.setenv(f"{via.upper()}_BASE_URL", address)
        return started[-1]

    yield starting
    for each in started:
        each.stop()


@pytest.fixture
def serve(provide) -> Iterator[Callable[..., Served]]:
    """Starts a provider, and an engine before it."""
    started: list[Served] = []

    def starting(script: Any = "It is 42.", *, via: str = "anthropic") -> Served:
        started.append(Served(provide(script, via=via), via))
        return started[-1]

    yield starting
    for each in started:
        each.close()
