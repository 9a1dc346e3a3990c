"""When the tracer attaches, and what it does where it cannot."""

from __future__ import annotations

import asyncio
import copy
import re
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import agl_openai_agents
import pytest
from agents import trace
from agents.tracing import Span, TraceProvider, custom_span, get_trace_provider, set_trace_provider
from agents.tracing.provider import DefaultTraceProvider
from agl_openai_agents import agl_install_tracer
from agl_openai_agents._tracing import TESTED, attaching, tracing

from agl_core.errors import TracerFailed
from agl_core.events import PluginFailed, TracerAttached

LATE = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_openai_agents import agl_install_tracer

with SqliteLog(":memory:", projections=CORE) as log:
    with agl_install_tracer(recorder=Recorder(log)):
        assert "agents" not in sys.modules
        import agents
        during = agents.tracing.get_trace_provider()
    assert agents.tracing.get_trace_provider() is not during
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("agl_")]
    print(*[record.event for record in log.read()])
"""


@pytest.fixture
def tracer(monkeypatch):
    """A tracer of the process's own, new."""
    made = attaching()
    monkeypatch.setattr("agl_openai_agents._tracing._of_this_process", lambda: made)
    return made


def test_the_sdk_is_attached_to_when_it_is_imported():
    """It is not imported by the tracer, and left as it was however late it came."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True, timeout=120)

    assert f"version='{version('openai-agents')}'" in done.stdout


def test_without_the_sdk_there_is_no_tracer(monkeypatch, world):
    """A module called `agents` may be anybody's: the distribution counts."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agl_openai_agents, "version", missing)

    assert agl_install_tracer(recorder=world.recorder) is None


@pytest.mark.usefixtures("tracer")
def test_a_folder_of_that_name_is_left_alone(monkeypatch, world, caplog):
    """The SDK is installed, and the user's own `agents` is found before it."""
    monkeypatch.setitem(sys.modules, "agents", ModuleType("agents"))

    with tracing(world.recorder):
        pass

    assert caplog.text == ""
    assert world.facts(TracerAttached) == []


@pytest.mark.usefixtures("tracer")
def test_a_provider_that_makes_spans_otherwise_fails_the_run(world):
    """A host's own may take other arguments than the SDK's; it stays where it is."""

    class Other:
        def create_span(self, words):
            raise AssertionError(words)

    before, other = get_trace_provider(), Other()
    set_trace_provider(other)
    try:
        with pytest.raises(TracerFailed, match="openai-agents"), tracing(world.recorder):
            pass
        after = get_trace_provider()
    finally:
        set_trace_provider(before)

    assert after is other
    (failed,) = world.facts(PluginFailed)
    assert (failed.name, failed.hook) == ("openai-agents", "agl_install_tracer")


def test_the_readme_names_the_versions_that_were_tested():
    """The same that the warning goes by."""
    readme = (Path(__file__).parents[1] / "README.md").read_text()

    assert all(re.search(rf"^\| {re.escape(tested)}\.\d+ \|", readme, re.MULTILINE) for tested in TESTED)


def test_a_provider_that_a_host_puts_in_stays(world):
    """The tracer takes back its own only."""
    before, others = get_trace_provider(), DefaultTraceProvider()

    with tracing(world.recorder):
        set_trace_provider(others)
    after = get_trace_provider()
    set_trace_provider(before)

    assert after is others


def test_a_heard_span_is_a_span_to_whoever_asks(world):
    """So is the provider; and both can be looked at in every way."""
    with world.attempt(asyncio.run(world.scope())), trace("lunch"), custom_span("soup") as soup:
        provider = get_trace_provider()
        found = (isinstance(soup, Span), isinstance(provider, TraceProvider), copy.copy(soup).span_id == soup.span_id)

    assert found == (True, True, True)
