"""A run of agents on a scripted model, and what the log has of it."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import asynccontextmanager, contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.events import CallRecorded, Event, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import Store
from agl_core.tap import tapped
from agl_core.testing import ScriptedModel

NEEDED = ("langchain", "langgraph", "langchain_openai")
EDGES = {"chain model_to_tools", "chain tools_to_model"}
"""What `create_agent` shows of its own edges in its oldest versions only."""
collect_ignore_glob = [] if all(map(find_spec, NEEDED)) else ["test_*.py"]  # the frameworks are an extra


@pytest.fixture(autouse=True)
def _no_upload(monkeypatch):
    """No test asks a vendor, whatever the shell that runs it is set to."""
    for name in ("LANGSMITH_TRACING", "LANGSMITH_TRACING_V2", "LANGCHAIN_TRACING", "LANGCHAIN_TRACING_V2"):
        monkeypatch.delenv(name, raising=False)


@dataclass(frozen=True)
class World:
    """A log, and attempts in it."""

    log: SqliteLog
    recorder: Recorder
    store: Store

    async def scope(self) -> Scope:
        """Of an attempt that has begun."""
        rollout = await self.store.start_rollout({"q": 1})
        return Scope(recorder=self.recorder, run_id=None, rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id)

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

    @contextmanager
    def attempt(self, scope: Scope):
        """The tracer is in, and code inside is the attempt's."""
        from agl_langchain._tracing import tracing

        with tracing(self.recorder), attributed(scope):
            yield scope

    def facts(self, kind: type[Event], scope: Scope | None = None) -> list[Any]:
        """What the log has, of one attempt or of all."""
        for write in list(scope.pending) if scope else ():
            write.result()
        found = [record.event for record in self.log.read() if isinstance(record.event, kind)]
        return [fact for fact in found if scope is None or fact.attempt_id == scope.attempt_id]

    def tree(self, scope: Scope) -> list[Any]:
        """The spans of an attempt, each as `(name, agent, [what is in it])`, in the order they began."""
        return _grown([span for span in self.facts(SpanRecorded, scope) if span.name not in EDGES], None)

    def callers(self, scope: Scope) -> list[str | None]:
        """Whose the calls of an attempt are."""
        return [call.agent for call in self.facts(CallRecorded, scope)]


def _grown(spans: Iterable[SpanRecorded], parent_id: str | None) -> list[Any]:
    inside = sorted((span for span in spans if span.parent_id == parent_id), key=lambda span: span.started_at)
    return [(span.name, span.agent, _grown(spans, span.span_id)) for span in inside]


@pytest.fixture
def world():
    """Nothing has happened."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield World(log=log, recorder=Recorder(log), store=store)
        store.close()
