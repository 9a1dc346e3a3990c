"""A crew on a scripted model, and what the log has of it."""

from __future__ import annotations

import gc
import importlib
import os
import warnings
from collections.abc import Iterable
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.events import Event, SpanRecorded
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import Store
from agl_core.tap import tapped
from agl_core.testing import ScriptedModel

IS_THERE = find_spec("crewai") is not None
collect_ignore_glob = [] if IS_THERE else ["test_*.py"]  # CrewAI is an extra
QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_DISABLE_VERSION_CHECK": "true",
    "CREWAI_TESTING": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "LITELLM_LOCAL_MODEL_COST_MAP": "true",
}
"""What CrewAI would tell or ask its vendor, and what it would ask a person, stays here."""
if IS_THERE:
    os.environ.update(QUIET)  # it looks as it is imported
    with warnings.catch_warnings():
        # What its import warns of is no test's, and here would be an error.
        warnings.simplefilter("ignore")
        importlib.import_module("crewai")


@pytest.fixture(autouse=True)
def _a_home_of_its_own(tmp_path, monkeypatch):
    """CrewAI keeps the last outputs of each crew in the user's data: here, in nobody's."""
    for name in ("HOME", "XDG_DATA_HOME"):
        monkeypatch.setenv(name, str(tmp_path))


@contextmanager
def _left_by_crewai():
    """It uses what it has deprecated, and its models leave their connections to the collector of garbage."""
    with warnings.catch_warnings():
        for category in (DeprecationWarning, ResourceWarning):
            warnings.simplefilter("ignore", category)
        yield


@pytest.fixture(scope="module", autouse=True)
def _collected():
    """The tests of others begin without connections of crews."""
    yield
    with _left_by_crewai():
        gc.collect()


@pytest.fixture(autouse=True)
def _as_crewai_is():
    """No warning of its own makes an error of a test."""
    with _left_by_crewai():
        yield


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

    @contextmanager
    def model(self, script: Any, **fields: Any):
        """CrewAI's model that says what `script` does, seen by the tap."""
        from crewai import LLM

        with ScriptedModel(script) as model, tapped():
            told = {"model": "policy", "provider": "openai", **fields}
            yield LLM(base_url=model.url, api_key="none", max_retries=0, **told)

    @contextmanager
    def attempt(self, scope: Scope):
        """The tracer is in, and code inside is the attempt's."""
        from agl_crewai._tracing import tracing

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
        return _grown(self.facts(SpanRecorded, scope), None)


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
