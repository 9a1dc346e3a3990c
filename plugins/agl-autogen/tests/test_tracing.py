"""When the tracer attaches, and what it does where it cannot."""

from __future__ import annotations

import asyncio
import functools
import logging
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import Any

import agl_autogen
import autogen_core
import pytest
from agl_autogen import agl_install_tracer
from agl_autogen._tracing import TESTED, attaching, tracing
from autogen_agentchat.agents import BaseChatAgent
from autogen_agentchat.teams import BaseGroupChat
from autogen_core import BaseAgent
from autogen_core.tools import BaseTool, FunctionTool

from agl_core.errors import TracerFailed
from agl_core.events import CaptureLost, PluginFailed, SpanRecorded, TracerAttached
from agl_core.recorder import attributed

README = Path(__file__).parents[1] / "README.md"
LATE = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_autogen import agl_install_tracer

finders = list(sys.meta_path)
with SqliteLog(":memory:", projections=CORE) as log:
    with agl_install_tracer(recorder=Recorder(log)):
        assert not any(name.startswith("autogen") for name in sys.modules)
        from autogen_core import BaseAgent
        from autogen_agentchat.agents import AssistantAgent
        from autogen_agentchat.teams import BaseGroupChat
        from autogen_core.tools import BaseTool
        places = [(BaseAgent, "on_message"), (AssistantAgent, "on_messages_stream"), (BaseGroupChat, "run_stream")]
        places += [(BaseTool, "run_json")]
        during = [vars(owner)[name] for owner, name in places]
    after = [vars(owner)[name] for owner, name in places]
    assert all(was.__wrapped__ is one for was, one in zip(during, after, strict=True))
    assert not any(hasattr(one, "__wrapped__") for one in after)
    assert sys.meta_path[: len(finders)] == finders
    print(*[record.event for record in log.read()])
"""


@pytest.fixture
def tracer(monkeypatch):
    """A tracer of the process's own, new."""
    made = attaching()
    monkeypatch.setattr("agl_autogen._tracing._of_this_process", lambda: made)
    return made


def test_autogen_is_attached_to_when_it_is_imported():
    """It is not imported by the tracer, and left as it was however late it came."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True, timeout=120)

    assert f"version='{version('autogen-core')}'" in done.stdout


def test_without_autogen_there_is_no_tracer(monkeypatch, world):
    """The distribution counts: the tracer is installed wherever AGL's plugins are."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agl_autogen, "version", missing)

    assert agl_install_tracer(recorder=world.recorder) is None


def _moved(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "autogen_core", ModuleType("autogen_core"))


def _renamed_argument(monkeypatch) -> None:
    async def on_message(self, message, context):
        raise AssertionError(message)

    monkeypatch.setattr(BaseAgent, "on_message", on_message)


def _no_stream(monkeypatch) -> None:
    async def run_stream(self, *, task=None):
        raise AssertionError(task)

    monkeypatch.setattr(BaseChatAgent, "run_stream", run_stream)


def _no_managers(monkeypatch) -> None:
    from autogen_agentchat.teams._group_chat import _base_group_chat_manager

    monkeypatch.delattr(_base_group_chat_manager, "GroupChatStart")


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize("change", [_moved, _renamed_argument, _no_stream, _no_managers])
def test_an_autogen_of_another_shape_fails_the_run_before_it_begins(monkeypatch, world, change):
    """It says what is missing and how to go on, and everything is as it was found."""
    change(monkeypatch)
    before = [vars(BaseAgent)["on_message"], vars(BaseTool)["run_json"], vars(BaseGroupChat)["run_stream"]]
    finders = list(sys.meta_path)

    with pytest.raises(TracerFailed, match="TRACER_ERROR=warn"), tracing(world.recorder):
        raise AssertionError("never begun")

    assert [vars(BaseAgent)["on_message"], vars(BaseTool)["run_json"], vars(BaseGroupChat)["run_stream"]] == before
    assert sys.meta_path == finders


def test_an_autogen_of_another_shape_that_comes_late_is_left_alone(tracer, monkeypatch, world, caplog):
    """The agent that imports it works on; a warning and the log say so, once."""
    for name in [name for name in sys.modules if name.startswith("autogen")]:
        monkeypatch.delitem(sys.modules, name)

    with tracing(world.recorder):
        for _ in range(2):
            tracer._attach("autogen_core", ModuleType("autogen_core"))

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot attach" in caplog.text
    assert [failed.name for failed in world.facts(PluginFailed)] == ["autogen"]
    assert world.facts(TracerAttached) == []


@pytest.mark.usefixtures("tracer")
def test_an_untested_version_is_said_once(monkeypatch, world, caplog):
    """And attached to, if it is of the same shape."""
    versions = {"autogen-core": TESTED[1], "autogen-agentchat": "0.8.0", "autogen-ext": TESTED[0]}
    monkeypatch.setattr("agl_core.tap._attaching.version", versions.__getitem__)

    for _ in range(2):
        with tracing(world.recorder):
            pass

    (warning,) = [record.message for record in caplog.records if record.levelno >= logging.WARNING]
    assert warning.startswith("UNTESTED_VERSION")
    assert "autogen-agentchat 0.8.0" in warning
    assert len(world.facts(TracerAttached)) == 2


@pytest.mark.usefixtures("tracer")
def test_the_version_here_is_tested(world, caplog):
    """It is one of those that the plugin's page names, and nothing is said of it."""
    with tracing(world.recorder):
        pass

    rows = [line.split("|")[1] for line in README.read_text().splitlines() if line.startswith("| 0.")]
    named = sorted({one.strip() for row in rows for one in row.split(",")})
    assert (named[0], named[-1]) == TESTED
    assert caplog.records == []


def test_what_somebody_else_puts_over_it_stays(tracer, monkeypatch, world, caplog):
    """Taking ours out would take theirs out; ours does nothing from then on."""
    monkeypatch.setattr(BaseTool, "run_json", vars(BaseTool)["run_json"])  # so that it is put back in the end
    calls = []

    async def story():
        scope = await world.scope()
        with tracing(world.recorder):
            ours = vars(BaseTool)["run_json"]

            @functools.wraps(ours)
            async def theirs(*args, **kwargs):
                calls.append("theirs")
                return await ours(*args, **kwargs)

            BaseTool.run_json = theirs
        with attributed(scope):
            await FunctionTool(_worked, "Work.").run_json({}, autogen_core.CancellationToken())
        return scope, theirs

    scope, theirs = asyncio.run(story())

    assert vars(BaseTool)["run_json"] is theirs
    assert calls == ["theirs"]
    assert world.facts(SpanRecorded, scope) == []
    assert "BaseTool.run_json was replaced since" in caplog.text


def test_what_a_host_has_put_there_before_is_called_as_it_would_be(tracer, monkeypatch, world):
    """A wrapper that is no coroutine function, and one that wants to know its agent, work on."""
    seen, original = [], vars(BaseTool)["run_json"]

    class Bound:
        """A host's instrumentation: it tells a call of a method from a call of a function."""

        def __init__(self) -> None:
            functools.update_wrapper(self, original)

        def __get__(self, instance, owner):
            def called(*args, **kwargs):
                seen.append(instance.name)
                return original(instance, *args, **kwargs)

            return called

        def __call__(self, *args, **kwargs):
            raise AssertionError(args)

    host = Bound()
    monkeypatch.setattr(BaseTool, "run_json", host)

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            await FunctionTool(_worked, "Work.", name="work").run_json({}, autogen_core.CancellationToken())
        return scope

    scope = asyncio.run(story())

    assert vars(BaseTool)["run_json"] is host
    assert seen == ["work"]
    assert [span.name for span in world.facts(SpanRecorded, scope)] == ["execute_tool work"]


async def _worked() -> str:
    """A tool."""
    return "worked"


class Odd:
    """What cannot be said in words."""

    def __str__(self) -> str:
        raise LookupError("no words")


async def _shown(thing: Any) -> str:
    """A tool that is given anything."""
    return type(thing).__name__


async def _made() -> Any:
    """A tool that gives anything."""
    return Odd()


def test_a_result_without_words_costs_no_span(world, monkeypatch):
    """That it was done is kept; that what came of it was not, is counted."""
    # AutoGen itself would fail at it, for its own event.
    monkeypatch.setattr("autogen_core.tools._base.ToolCallEvent", lambda **_said: "called")
    monkeypatch.setattr(FunctionTool, "return_value_as_string", lambda _self, value: value)

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            await FunctionTool(_made, "Make.", name="make").run_json({}, autogen_core.CancellationToken())
        return scope

    scope = asyncio.run(story())

    assert [(span.name, span.status) for span in world.facts(SpanRecorded, scope)] == [("execute_tool make", "ok")]
    assert [lost.why for lost in world.facts(CaptureLost)] == ["LookupError"]


def test_an_argument_without_words_costs_nothing(world):
    """It says in its place that it has none."""

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            tool = FunctionTool(_shown, "Show.")
            return scope, await tool.run_json({"thing": Odd()}, autogen_core.CancellationToken())

    scope, result = asyncio.run(story())

    assert result == "Odd"
    (span,) = world.facts(SpanRecorded, scope)
    assert "LookupError" in span.attributes["gen_ai.tool.call.arguments"]["thing"]
    assert world.facts(CaptureLost) == []


def test_what_cannot_be_told_is_counted_and_the_agent_works_on(world, monkeypatch):
    """It costs the span, and says so in the log."""

    def broken(*_told, **_named):
        raise LookupError("AutoGen has changed")

    monkeypatch.setattr("agl_autogen._tools.by_tool", broken)

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            tool = FunctionTool(_shown, "Show.")
            return scope, await tool.run_json({"thing": "a thing"}, autogen_core.CancellationToken())

    scope, result = asyncio.run(story())

    assert result == "str"
    assert world.facts(SpanRecorded, scope) == []
    assert [(lost.where, lost.why) for lost in world.facts(CaptureLost)] == [("agl_autogen", "LookupError")]
