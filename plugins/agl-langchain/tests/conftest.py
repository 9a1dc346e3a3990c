"""A run of agents on a scripted model, and what the log has of it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.events import CallRecorded, SpanRecorded
from agl_core.recorder import Scope, current
from agl_core.tap import tapped
from agl_core.testing import Attempts, ScriptedModel

NEEDED = ("langchain", "langgraph", "langchain_openai")
EDGES = {"chain model_to_tools", "chain tools_to_model"}
"""What `create_agent` shows of its own edges in its oldest versions only."""
collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]  # the frameworks are an extra


@pytest.fixture(autouse=True)
def _no_upload(monkeypatch):
    """No test asks a vendor, whatever the shell that runs it is set to."""
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)


class World(Attempts):
    """With models and the tracer."""

    @asynccontextmanager
    async def model(self, script: Any):
        """A chat model that says what `script` does, seen by the tap."""
        import httpx
        from langchain_openai import ChatOpenAI

        with ScriptedModel(script) as model, tapped(), httpx.Client() as client:
            async with httpx.AsyncClient() as async_client:
                yield ChatOpenAI(
                    model="policy",
                    base_url=model.url,
                    api_key="none",
                    max_retries=0,
                    http_client=client,
                    http_async_client=async_client,
                )

    def tracer(self) -> AbstractContextManager[None]:
        """The plugin's."""
        from agl_langchain._tracing import tracing

        return tracing(self.recorder)

    def spans(self, scope: Scope) -> list[SpanRecorded]:
        """Without edges, which not all versions show."""
        return [span for span in super().spans(scope) if span.name not in EDGES]

    def callers(self, scope: Scope) -> list[str | None]:
        """Whose the calls of an attempt are."""
        return [call.agent for call in self.facts(CallRecorded, scope)]


@pytest.fixture
def world():
    """Nothing has happened."""
    with World.opened() as opened:
        yield opened


@pytest.fixture
def story(world):
    """Runs `tell(model)` in an attempt, and says which."""
    from ._stories import PATIENCE

    def telling(script, tell):
        async def run():
            scope = await world.scope()
            async with asyncio.timeout(PATIENCE), world.model(script) as model:
                with world.attempt(scope):
                    await tell(model)
                    assert current().agent is None
            return scope

        return asyncio.run(run())

    return telling
