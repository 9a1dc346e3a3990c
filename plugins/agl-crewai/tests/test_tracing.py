"""When the tracer attaches, and what it does where it cannot."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType

import agl_crewai
import pytest
from agl_crewai import _heard, _listening, _tracing, agl_install_tracer
from agl_crewai._tracing import TESTED, tracing
from crewai import Agent, Crew, Task
from crewai.events.event_bus import CrewAIEventsBus, crewai_event_bus

from agl_core.errors import TracerFailed
from agl_core.events import CallRecorded, CaptureLost, PluginFailed, SpanRecorded, TracerAttached

LATE = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_crewai import agl_install_tracer

finders = list(sys.meta_path)
with SqliteLog(":memory:", projections=CORE) as log:
    with agl_install_tracer(recorder=Recorder(log)):
        assert "crewai" not in sys.modules
        import crewai
        during = crewai.Agent.execute_task
    assert crewai.Agent.execute_task is not during
    assert not [finder for finder in sys.meta_path if type(finder).__module__.startswith("agl")]
    print(*[record.event for record in log.read()])
"""
LONELY = f"""
import socket

def refuse(self, address, *rest):
    raise AssertionError(f"it connects to {{address}}")

socket.socket.connect = socket.socket.connect_ex = refuse
{LATE}
"""


@pytest.fixture
def tracer(monkeypatch):
    """A tracer that has seen nothing yet, in the place of the process's."""
    tracer = _tracing.attaching()
    monkeypatch.setattr(_tracing, "_of_this_process", lambda: tracer)
    return tracer


def a_crew(llm) -> Crew:
    """Of one."""
    agent = Agent(role="solver", goal="Answer.", backstory="You know.", llm=llm)
    return Crew(agents=[agent], tasks=[Task(description="6 * 7?", expected_output="A number.", agent=agent)])


@pytest.mark.slow
@pytest.mark.parametrize("program", [LATE, LONELY], ids=["late", "without a network"])
def test_it_attaches_when_crewai_is_imported(program):
    """An agent may import it in the middle of a run; the plugin itself never does, and asks nobody anything."""
    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stderr
    assert f"TracerAttached(name='crewai', package='crewai', version='{version('crewai')}')" in done.stdout


def test_without_crewai_there_is_no_tracer(monkeypatch, world):
    """The distribution counts: to look for it by importing it would take seconds."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agl_crewai, "version", missing)

    assert agl_install_tracer(recorder=world.recorder) is None


@pytest.mark.usefixtures("tracer")
def test_a_crewai_of_another_shape_fails_the_run_before_it_begins(monkeypatch, world):
    """It says which, what is missing, and what can be done; nothing stays patched."""
    before, finders = CrewAIEventsBus.emit, list(sys.meta_path)
    monkeypatch.setitem(sys.modules, "crewai", ModuleType("crewai"))

    with (
        pytest.raises(TracerFailed, match=rf"crewai {version('crewai')}.*Agent.*on_tracer_error"),
        tracing(world.recorder),
    ):
        pytest.fail("it let agents run")

    assert CrewAIEventsBus.emit is before
    assert sys.meta_path == finders
    assert world.facts(TracerAttached) == []


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize("missing", ["field", "type", "method", "bus"])
def test_whatever_it_counts_on_is_looked_for(monkeypatch, world, missing):
    """A field of an event, its type, a method, and that events go the way they went."""
    before, name = Agent.execute_task, "tool_usage_events.ToolUsageFinishedEvent"
    match missing:
        case "field":
            monkeypatch.setitem(_listening._EVENTS, name, ("tool_usage_finished", {"result"}))
        case "type":
            monkeypatch.setitem(_listening._EVENTS, name, ("tool_finished", {"output"}))
        case "method":
            monkeypatch.setitem(_listening._WORK, "Crew", ("kickoff", "start_off"))
        case "bus":
            monkeypatch.setattr(crewai_event_bus, "emit", lambda *_told, **_more: None)

    with pytest.raises(TracerFailed), tracing(world.recorder):
        pytest.fail("it let agents run")

    assert Agent.execute_task is before


def test_a_crewai_of_another_shape_that_is_imported_late_disturbs_no_agent(monkeypatch, world, tracer, caplog):
    """The import goes on, and the log says that the tracer failed."""
    monkeypatch.delitem(sys.modules, "crewai")

    with tracing(world.recorder):
        tracer._attach("crewai", ModuleType("crewai"))

    (failed,) = world.facts(PluginFailed)
    assert (failed.name, failed.hook) == ("crewai", "agl_install_tracer")
    assert "has no attribute 'Agent'" in failed.why
    assert "cannot attach" in caplog.text


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize(
    ("there", "warned"), [("1.15.22", 0), ("1.15.30", 0), ("1.15.31", 1), ("2.0", 1), ("1.9.0", 1)]
)
def test_a_version_that_was_not_tested_is_said_once(monkeypatch, world, caplog, there, warned):
    """And it is attached to all the same."""
    monkeypatch.setattr("agl_core.tap._attaching.version", lambda _name: there)

    for _ in range(2):
        with tracing(world.recorder):
            pass

    assert caplog.text.count("UNTESTED_VERSION") == warned
    assert {attached.version for attached in world.facts(TracerAttached)} == {there}


def test_the_readme_names_the_versions_that_were_tested():
    """The same that the warning goes by."""
    lines = (Path(__file__).parents[1] / "README.md").read_text().splitlines()

    rows = [line.split("|")[1].strip() for line in lines if line.startswith("| 1.")]

    assert (rows[0], rows[-1]) == TESTED


def test_a_span_that_cannot_be_told_is_counted(monkeypatch, world):
    """The crew works on, and its calls have their names."""

    def broken(*_told):
        raise KeyError("an event said something new")

    monkeypatch.setattr(_heard, "begun", broken)
    scope = asyncio.run(world.scope())

    with world.model("42") as llm, world.attempt(scope):
        result = a_crew(llm).kickoff()

    assert result.raw == "42"
    assert world.facts(SpanRecorded, scope) == []
    lost = world.facts(CaptureLost)
    assert {(one.where, one.why) for one in lost} == {("agl_crewai", "KeyError")}
    assert sum(one.count for one in lost) == 3
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["solver"]


def test_a_patch_of_somebody_elses_stays(world, caplog):
    """It calls ours, and taking ours out would take theirs out."""
    before = Agent.execute_task

    with tracing(world.recorder):
        ours = Agent.execute_task

        def theirs(agent, *args, **kwargs):
            return ours(agent, *args, **kwargs)

        Agent.execute_task = theirs
    after, Agent.execute_task = Agent.execute_task, before

    assert after is theirs
    assert "was patched again" in caplog.text
