"""A run of agents on a scripted model, and what the log has of it."""

from __future__ import annotations

import asyncio
from contextlib import AbstractContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.tap import tapped
from agl_core.testing import Attempts, ScriptedModel

collect_ignore_glob = [] if find_spec("autogen_ext") else ["test_*.py"]  # AutoGen is an extra

INFO = {"vision": False, "function_calling": True, "json_output": False, "family": "gpt-4o", "structured_output": False}
"""What AutoGen wants to be told of a model that it does not know."""


class World(Attempts):
    """With models and the tracer."""

    @asynccontextmanager
    async def model(self, script: Any):
        """AutoGen's client of a model that says what `script` does, seen by the tap."""
        from autogen_ext.models.openai import OpenAIChatCompletionClient

        with ScriptedModel(script) as model, tapped():
            client = OpenAIChatCompletionClient(
                model="policy", base_url=model.url, api_key="none", max_retries=0, model_info=INFO
            )
            yield client
            await client.close()

    def tracer(self) -> AbstractContextManager[None]:
        """The plugin's."""
        from agl_autogen._tracing import tracing

        return tracing(self.recorder)


@pytest.fixture
def world():
    """Nothing has happened."""
    with World.opened() as opened:
        yield opened


@pytest.fixture
def played(world):
    """Plays a story with a model in an attempt, and gives the attempt."""
    from ._stories import script as usual

    def playing(story, script=usual):
        async def all_of_it():
            scope = await world.scope()
            async with world.model(script) as model:
                with world.attempt(scope):
                    await story(model)
            return scope

        return asyncio.run(all_of_it())

    return playing
