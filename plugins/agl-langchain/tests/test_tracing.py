"""When the tracer attaches, and what it does where it cannot."""

from __future__ import annotations

import asyncio
import copy
import pickle
import re
import subprocess
import sys
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from types import ModuleType
from typing import ClassVar

import agl_langchain
import pytest
from agl_langchain import agl_install_tracer
from agl_langchain._callbacks import Callbacks
from agl_langchain._tasks import Tasks
from agl_langchain._tracing import TESTED, attaching, tracing
from langchain_core.callbacks import CallbackManager
from langchain_core.runnables import RunnableLambda
from langchain_core.tracers import context
from langgraph.pregel import _runner

from agl_core.errors import TracerFailed
from agl_core.events import CaptureLost, SpanRecorded, TracerAttached

README = Path(__file__).parents[1] / "README.md"
LATE = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_langchain import agl_install_tracer

with SqliteLog(":memory:", projections=CORE) as log:
    with agl_install_tracer(recorder=Recorder(log)):
        assert not {name.partition(".")[0] for name in sys.modules} & {"langchain", "langchain_core", "langgraph"}
        from langgraph.pregel import _runner
        from langchain_core.tracers import context
        during = _runner.run_with_retry, *context._configure_hooks
    assert _runner.run_with_retry is not during[0]
    assert _runner.run_with_retry is during[0].__wrapped__
    assert context._configure_hooks == list(during[1:-1])
    assert "Importing" not in [type(finder).__name__ for finder in sys.meta_path]  # libraries put in their own
    print(*[record.event for record in log.read()])
"""


@pytest.fixture
def tracer(monkeypatch):
    """A tracer of the process's own, new."""
    made = attaching()
    monkeypatch.setattr("agl_langchain._tracing._of_this_process", lambda: made)
    return made


def test_the_libraries_are_attached_to_when_they_are_imported():
    """They are not imported by the tracer, and left as they were however late they came."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True, timeout=120)

    for package in ("langchain-core", "langgraph"):
        assert f"package='{package}', version='{version(package)}'" in done.stdout


def test_without_langchain_there_is_no_tracer(monkeypatch, world):
    """The distribution counts."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agl_langchain, "version", missing)

    assert agl_install_tracer(recorder=world.recorder) is None


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize("name", [Callbacks.MODULE, Tasks.MODULE])
def test_a_library_of_another_shape_fails_the_run_before_it_begins(monkeypatch, world, name):
    """Nothing is attached to by halves, and the libraries are what they were."""
    before = [*context._configure_hooks, _runner.run_with_retry, _runner.arun_with_retry, *sys.meta_path]
    monkeypatch.setitem(sys.modules, name, ModuleType(name))

    for _ in range(2):
        with pytest.raises(TracerFailed, match="'langchain' cannot attach"), tracing(world.recorder):
            pass

    assert [*context._configure_hooks, _runner.run_with_retry, _runner.arun_with_retry, *sys.meta_path] == before


@pytest.mark.parametrize("broken", ["run_with_retry", "arun_with_retry", "PregelExecutableTask"])
def test_tasks_that_run_otherwise_are_left_alone(monkeypatch, tracer, world, broken):
    """Other arguments, or another kind of task, are not guessed at."""

    class Other:
        __dataclass_fields__: ClassVar = {}

        def __call__(self, words):
            raise AssertionError(words)

    monkeypatch.setattr(_runner, broken, Other())

    with pytest.raises(TracerFailed, match="langgraph"), tracing(world.recorder):
        pass


def test_a_library_that_is_imported_later_and_is_of_another_shape_is_said_once(monkeypatch, tracer, world, caplog):
    """The agent imports it, so the run goes on, without spans."""
    monkeypatch.delitem(sys.modules, Tasks.MODULE)

    with tracing(world.recorder):
        for _ in range(2):
            tracer._attach(Tasks.MODULE, ModuleType(Tasks.MODULE))

    assert caplog.text.count("agl-langchain cannot attach (langgraph") == 1


def test_what_a_host_puts_in_meanwhile_stays(monkeypatch, world):
    """The tracer takes back its own only; what is left of it does nothing."""
    hook = (object(), True, None, None)
    original = _runner.run_with_retry

    with tracing(world.recorder):
        ours = _runner.run_with_retry
        theirs = partial(ours)
        _runner.run_with_retry = theirs
        context._configure_hooks.append(hook)
    kept = _runner.run_with_retry is theirs, hook in context._configure_hooks
    _runner.run_with_retry = original
    context._configure_hooks.remove(hook)

    assert kept == (True, True)


def test_it_is_put_in_and_taken_out_again_and_again(world):
    """Nested, one after the other, in any order."""
    before = [*context._configure_hooks, _runner.run_with_retry]

    for _ in range(3):
        with tracing(world.recorder), tracing(world.recorder):
            assert len(context._configure_hooks) == len(before)

    assert [*context._configure_hooks, _runner.run_with_retry] == before
    assert len(world.facts(TracerAttached)) == 6


def test_an_end_that_comes_after_the_tracer_has_gone_is_heard(world):
    """A run that had begun is in the log, and what begins later is not."""

    async def story():
        scope, begun, go_on = await world.scope(), asyncio.Event(), asyncio.Event()

        async def wait(_given):
            begun.set()
            await go_on.wait()
            return await RunnableLambda(lambda _given: "later").ainvoke("x")

        with world.attempt(scope):
            running = asyncio.create_task(RunnableLambda(wait).with_config(run_name="long").ainvoke("x"))
            await begun.wait()
        go_on.set()
        assert await running == "later"
        return scope

    scope = asyncio.run(story())

    assert world.tree(scope) == [("chain long", None, [])]


def test_a_configuration_with_our_handler_in_it_can_be_copied_and_sent(world):
    """A host does with its callbacks what it did without ours."""
    with tracing(world.recorder):
        manager = CallbackManager.configure()
        (handler,) = manager.handlers
        copied, sent = copy.deepcopy({"callbacks": [handler]}), pickle.loads(pickle.dumps(handler))  # noqa: S301 - ours

    assert copied["callbacks"] == [handler]
    assert copy.copy(handler) is handler
    assert not hasattr(sent, "hearing")


def test_what_cannot_be_told_is_counted(monkeypatch, world, caplog):
    """A `capture.lost` in place of the span, and the agent works on."""
    monkeypatch.setattr("agl_langchain._hearing.told", lambda *_: 1 / 0)

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            assert await RunnableLambda(str.upper).ainvoke("x") == "X"
        for write in list(scope.pending):
            write.result()

    asyncio.run(story())

    (lost,) = world.facts(CaptureLost)
    assert (lost.count, lost.where, lost.why) == (1, "agl_langchain", "ZeroDivisionError")
    assert "could not be kept (ZeroDivisionError)" in caplog.text
    assert world.facts(SpanRecorded) == []


# --- versions


@pytest.mark.usefixtures("tracer")
def test_a_version_that_was_not_tested_is_warned_of_once(monkeypatch, world, caplog):
    """By a word to search for; it is attached to all the same."""
    monkeypatch.setitem(TESTED, "langgraph", ("0.1", "0.2"))

    for _ in range(2):
        with tracing(world.recorder):
            pass

    assert caplog.text.count("UNTESTED_VERSION") == 1
    assert f"langgraph {version('langgraph')}" in caplog.text
    assert {fact.package for fact in world.facts(TracerAttached)} == {"langchain-core", "langgraph"}


@pytest.mark.usefixtures("tracer")
def test_what_this_is_tested_with_is_not_warned_of(world, caplog):
    """So the table is kept up."""
    with tracing(world.recorder):
        pass

    assert "UNTESTED_VERSION" not in caplog.text


def test_the_readme_says_what_was_tested():
    """Its table begins and ends with what the code knows."""
    rows = re.findall(r"^\| (\d[\d.]+) \| (\d[\d.]+) \| (\d[\d.]+) \|", README.read_text(), re.MULTILINE)

    tested = dict(zip(("langchain", "langchain-core", "langgraph"), zip(*rows, strict=True), strict=True))
    ends = {
        name: tuple(".".join(one.split(".")[:2]) for one in (found[0], found[-1])) for name, found in tested.items()
    }
    assert ends == TESTED
