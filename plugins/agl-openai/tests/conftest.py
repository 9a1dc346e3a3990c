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
from agl_core.recorder import Scope
from agl_core.testing import Attempts, ScriptedModel

collect_ignore_glob = [] if find_spec("openai") else ["test_*.py"]  # the SDK is an extra


@dataclass(frozen=True)
class Attempt:
    """One that has begun."""

    scope: Scope
    client: dict[str, Any]
    """How an SDK's client reaches the gateway for it."""


class World(Attempts):
    """With a gateway before the model."""

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
        scope = await self.scope()
        url = f"{base}/rollout/{scope.rollout_id}/attempt/{scope.attempt_id}/v1"
        client = {"base_url": url, "api_key": self.store.ask.attempt_key(scope.attempt_id), "max_retries": 0}
        return Attempt(scope, client)

    def called(self) -> list[CallRecorded]:
        """Every call, in their order."""
        return self.facts(CallRecorded)


@pytest.fixture
def world():
    """Nothing has happened."""
    with World.opened() as opened:
        yield opened
