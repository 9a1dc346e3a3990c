"""A run of agents on a scripted model, and what the log has of it."""

from __future__ import annotations

from contextlib import AbstractContextManager, asynccontextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.tap import tapped
from agl_core.testing import Attempts, ScriptedModel

collect_ignore_glob = [] if find_spec("agents") else ["test_*.py"]  # the SDK is an extra


@pytest.fixture(autouse=True)
def _no_upload():
    """The SDK's own exporter is out of the way: tests ask no vendor."""
    from agents import set_trace_processors, set_tracing_disabled

    # The SDK reads OPENAI_AGENTS_DISABLE_TRACING once a process: tests elsewhere, that set it, would switch these off.
    set_tracing_disabled(False)
    set_trace_processors([])
    yield
    set_trace_processors([])


class World(Attempts):
    """With models and the tracer."""

    @asynccontextmanager
    async def model(self, script: Any):
        """The SDK's model that says what `script` does, seen by the tap."""
        import openai
        from agents import OpenAIChatCompletionsModel

        with ScriptedModel(script) as model, tapped():
            async with openai.AsyncOpenAI(base_url=model.url, api_key="none", max_retries=0) as client:
                yield OpenAIChatCompletionsModel(model="policy", openai_client=client)

    def tracer(self) -> AbstractContextManager[None]:
        """The plugin's."""
        from agl_openai_agents._tracing import tracing

        return tracing(self.recorder)


@pytest.fixture
def world():
    """Nothing has happened."""
    with World.opened() as opened:
        yield opened
