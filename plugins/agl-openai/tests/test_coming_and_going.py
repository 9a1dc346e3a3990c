"""The SDK is attached to when it is there, says what it is, and is left as it was found."""

from __future__ import annotations

import asyncio
import subprocess
import sys
from contextlib import ExitStack
from importlib.metadata import PackageNotFoundError
from pathlib import Path
from types import ModuleType

import agl_openai
import openai
import pytest
from agl_openai import agl_install_tracer
from agl_openai._naming import TESTED, attaching, naming

from agl_core.errors import TracerFailed
from agl_core.events import PluginFailed, TracerAttached
from agl_core.recorder import Recorder, agent, attributed

README = Path(__file__).parents[1] / "README.md"
LATE = """
import sys
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_openai import agl_install_tracer

with SqliteLog(":memory:", projections=CORE) as log:
    with agl_install_tracer(recorder=Recorder(log)):
        assert "openai" not in sys.modules
        import openai
        during = openai.OpenAI._prepare_request
    assert openai.OpenAI._prepare_request is not during
    assert not hasattr(openai.OpenAI._prepare_request, "__wrapped__")
    print(*[record.event for record in log.read()])
"""


@pytest.fixture
def tracer(monkeypatch):
    """A tracer of the process's own, new."""
    made = attaching()
    monkeypatch.setattr("agl_openai._naming._of_this_process", lambda: made)
    return made


def marks() -> list[object]:
    """What the tracer puts another object in the place of."""
    return [*(vars(one).get("_prepare_request") for one in (openai.OpenAI, openai.AsyncOpenAI)), *sys.meta_path]


def are_same(some: list[object], others: list[object]) -> bool:
    """One by one."""
    return len(some) == len(others) and all(one is other for one, other in zip(some, others, strict=True))


def attached(world) -> list[TracerAttached]:
    """Every handshake."""
    return [record.event for record in world.log.read() if isinstance(record.event, TracerAttached)]


def test_everything_is_the_very_object_it_was(world):
    """Installing and taking out are a pair, as often as one likes."""
    before = marks()

    for _ in range(2):
        with agl_install_tracer(recorder=world.recorder):
            during = marks()

        assert are_same(marks(), before)
        assert not are_same(during, before)


def test_the_first_in_may_leave_first(world):
    """Two runs of one process end in the order in which they began, and the SDK is what it was."""
    before = marks()

    with ExitStack() as later:
        with ExitStack() as sooner:
            sooner.enter_context(agl_install_tracer(recorder=world.recorder))
            later.enter_context(agl_install_tracer(recorder=Recorder(world.log)))
            within = marks()
        still = marks()

    assert are_same(still, within)
    assert not are_same(within, before)
    assert are_same(marks(), before)


def test_it_says_what_it_is_attached_to(world):
    """The handshake names package and version, once for each log."""
    with naming(world.recorder), naming(world.recorder):
        pass

    assert attached(world) == [TracerAttached(name="openai", package="openai", version=openai.__version__)]


def test_the_sdk_is_attached_to_when_it_is_imported():
    """It is not imported by the tracer, and left as it was however late it came."""
    done = subprocess.run([sys.executable, "-c", LATE], capture_output=True, text=True, check=True, timeout=120)

    assert f"version='{openai.__version__}'" in done.stdout


def test_without_the_sdk_there_is_no_tracer(monkeypatch, world):
    """The distribution counts."""

    def missing(name: str) -> str:
        raise PackageNotFoundError(name)

    monkeypatch.setattr(agl_openai, "version", missing)

    assert agl_install_tracer(recorder=world.recorder) is None


def _moved(monkeypatch) -> None:
    monkeypatch.setitem(sys.modules, "openai", ModuleType("openai"))


def _other_arguments(monkeypatch) -> None:
    def prepare(self, options, request) -> None:
        raise AssertionError(options, request)

    monkeypatch.setattr(openai.AsyncOpenAI, "_prepare_request", prepare)


@pytest.mark.usefixtures("tracer")
@pytest.mark.parametrize("change", [_moved, _other_arguments])
def test_an_sdk_of_another_shape_fails_the_run_before_it_begins(monkeypatch, world, change):
    """And is left alone; the message says how to go on without names."""
    change(monkeypatch)
    before = marks()

    with pytest.raises(TracerFailed, match="TRACER_ERROR=warn"), naming(world.recorder):
        raise AssertionError("never begun")

    assert are_same(marks(), before)
    assert attached(world) == []


def test_an_sdk_of_another_shape_that_comes_late_is_left_alone(tracer, monkeypatch, world, caplog):
    """The agent that imports it works on, and a warning says so once."""
    monkeypatch.delitem(sys.modules, "openai")

    with naming(world.recorder):
        for _ in range(2):
            tracer._attach("openai", ModuleType("openai"))

    assert [record.levelname for record in caplog.records] == ["WARNING"]
    assert "cannot attach" in caplog.text
    assert [record.event.hook for record in world.log.read() if isinstance(record.event, PluginFailed)] == [
        "agl_install_tracer"
    ]


@pytest.mark.usefixtures("tracer")
def test_an_untested_version_is_said_once(monkeypatch, world, caplog):
    """And attached to, if it is of the same shape."""
    monkeypatch.setattr("agl_core.tap._attaching.version", lambda _name: "4.0.0")

    for _ in range(2):
        with naming(world.recorder):
            pass

    (warning,) = [record.message for record in caplog.records]
    assert warning.startswith("UNTESTED_VERSION")
    assert [one.version for one in attached(world)] == ["4.0.0"] * 2


@pytest.mark.usefixtures("tracer")
def test_the_version_here_is_tested(world, caplog):
    """Its major version is one that the plugin's page has a row for, and nothing is said of it."""
    with naming(world.recorder):
        pass

    rows = [line.split("|")[1].strip() for line in README.read_text().splitlines() if line.startswith(("| 2.", "| 3."))]
    assert (rows[0].partition(".")[0], rows[-1].partition(".")[0]) == TESTED
    assert caplog.records == []


@pytest.mark.usefixtures("tracer")
def test_what_somebody_else_puts_over_it_stays(monkeypatch, world, caplog):
    """Taking ours out would take theirs out; ours does nothing from then on."""
    for client in (openai.OpenAI, openai.AsyncOpenAI):
        monkeypatch.setattr(client, "_prepare_request", client._prepare_request)  # so that it is put back in the end
    signed = []

    async def story() -> None:
        async with world.attempts() as [attempt]:
            with naming(world.recorder):
                ours = openai.OpenAI._prepare_request

                def theirs(self, request) -> None:
                    signed.append("theirs")
                    ours(self, request)

                openai.OpenAI._prepare_request = theirs
            with attributed(attempt.scope), agent("writer"), openai.OpenAI(**attempt.client) as client:
                client.chat.completions.create(model="policy", messages=[{"role": "user", "content": "hi"}])

    asyncio.run(story())

    assert signed == ["theirs"]
    assert [call.agent for call in world.called()] == [None]
    assert "OpenAI._prepare_request was replaced since" in caplog.text
