"""A crew on a scripted model, and what the log has of it."""

from __future__ import annotations

import asyncio
import gc
import importlib
import os
import warnings
from contextlib import AbstractContextManager, contextmanager
from importlib.util import find_spec
from typing import Any

import pytest

from agl_core.recorder import current
from agl_core.tap import tapped
from agl_core.testing import Attempts, ScriptedModel

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


class World(Attempts):
    """With models and the tracer."""

    @contextmanager
    def model(self, script: Any, **fields: Any):
        """CrewAI's model that says what `script` does, seen by the tap."""
        from crewai import LLM

        with ScriptedModel(script) as model, tapped():
            told = {"model": "policy", "provider": "openai", **fields}
            yield LLM(base_url=model.url, api_key="none", max_retries=0, **told)

    def tracer(self) -> AbstractContextManager[None]:
        """The plugin's."""
        from agl_crewai._tracing import tracing

        return tracing(self.recorder)


@pytest.fixture
def world():
    """Nothing has happened."""
    with World.opened() as opened:
        yield opened


@pytest.fixture
def story(world):
    """Does something in an attempt of its own, on a model that says what `script` does; gives the attempt."""
    from ._stories import script as usual

    def telling(act, script=usual, **fields):
        async def playing():
            scope = await world.scope()
            with world.model(script, **fields) as llm, world.attempt(scope):
                done = act(llm)
                if asyncio.iscoroutine(done):
                    await done
                assert current().agent is None
            return scope

        return asyncio.run(playing())

    return telling
