"""Attempts, a gateway that records their calls, and a scripted model behind it."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.events import CallRecorded
from agl_core.gateway import Gateway
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope
from agl_core.store import Store
from agl_core.testing import ScriptedModel

collect_ignore_glob = [] if find_spec("openai") else ["test_*.py"]  # the SDK is an extra


@dataclass(frozen=True)
class Attempt:
    """One that has begun."""

    scope: Scope
    client: dict[str, Any]
    """How an SDK's client reaches the gateway for it."""


@dataclass(frozen=True)
class World:
    """A log, and attempts in it."""

    log: SqliteLog
    recorder: Recorder
    store: Store

    @asynccontextmanager
    async def attempts(self, number: int = 1, script: Any = "hello") -> AsyncIterator[list[Attempt]]:
        """So many, whose model says what `script` does."""
        gateway = Gateway(self.recorder, self.store.ask)
        base = await gateway.start()
        with ScriptedModel(script) as model:
            gateway.register(replace(model.endpoint, dialects=("openai.chat", "openai.embeddings")))
            yield [await self._begun(base) for _ in range(number)]
        await gateway.stop()

    async def _begun(self, base: str) -> Attempt:
        rollout = await self.store.start_rollout({"q": 1})
        rollout_id, attempt_id = rollout.rollout_id, rollout.attempt_id
        url = f"{base}/rollout/{rollout_id}/attempt/{attempt_id}/v1"
        client = {"base_url": url, "api_key": self.store.ask.attempt_key(attempt_id), "max_retries": 0}
        scope = Scope(recorder=self.recorder, run_id=None, rollout_id=rollout_id, attempt_id=attempt_id)
        return Attempt(scope, client)

    def called(self) -> list[CallRecorded]:
        """Every call, in their order."""
        return [record.event for record in self.log.read() if isinstance(record.event, CallRecorded)]


@pytest.fixture
def world():
    """Nothing has happened."""
    with SqliteLog(":memory:", projections=CORE) as log:
        store = Store(log)
        yield World(log=log, recorder=Recorder(log), store=store)
        store.close()
