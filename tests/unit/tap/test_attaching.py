"""A library is attached to once, whenever it comes, and left as it was."""

from __future__ import annotations

import importlib
import sys
from types import ModuleType

import pytest

from agl_core.errors import TracerFailed
from agl_core.events import PluginFailed, TracerAttached
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_core.tap import Attaching

HYPOTHESIS = "hypothesis"  # a distribution that is there where these tests run


class Greeting:
    """A part: it changes what a module says."""

    def __init__(self, module: ModuleType) -> None:
        self.module, self.before = module, module.word  # of another shape, where there is no word

    def start(self) -> None:
        """Put it in."""
        self.module.word = "heard"

    def stop(self) -> None:
        """Take it out."""
        self.module.word = self.before


@pytest.fixture
def library(tmp_path, monkeypatch):
    """A module that can be imported, and one that is of another shape; neither is yet."""
    (tmp_path / "greets.py").write_text("word = 'hello'\n")
    (tmp_path / "odd.py").write_text("words = ['hello']\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    yield
    for name in ("greets", "odd"):
        sys.modules.pop(name, None)


@pytest.fixture
def log():
    """A log in memory."""
    with SqliteLog(":memory:", projections=CORE) as opened:
        yield opened


def attaching(name: str = "greets", *, tested: tuple[str, str] = ("0", "999"), part=Greeting) -> Attaching:
    """To a module that hypothesis is said to bring."""
    return Attaching("toy", {name: part}, of={name: (HYPOTHESIS,)}, tested={HYPOTHESIS: tested})


def facts(log: SqliteLog, kind: type) -> list:
    """What it says."""
    return [record.event for record in log.read() if isinstance(record.event, kind)]


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize("is_early", [True, False])
def test_a_library_is_attached_to_whenever_it_comes(log, is_early):
    """Before or meanwhile; afterwards it is what it was, and so is the way modules are found."""
    finders = list(sys.meta_path)
    if is_early:
        importlib.import_module("greets")

    with attaching().tracing(Recorder(log)):
        during = importlib.import_module("greets").word

    assert (during, sys.modules["greets"].word) == ("heard", "hello")
    assert sys.meta_path == finders
    (attached,) = facts(log, TracerAttached)
    assert (attached.name, attached.package) == ("toy", HYPOTHESIS)
    assert attached.version


@pytest.mark.usefixtures("library")
def test_nothing_is_imported(log):
    """A library costs who uses it."""
    with attaching().tracing(Recorder(log)):
        assert "greets" not in sys.modules

    assert facts(log, TracerAttached) == []


@pytest.mark.usefixtures("library")
def test_two_may_wait_for_the_same_library(log):
    """Both hear of it, whoever came first; and it is what it was when both have left."""
    recorder = Recorder(log)

    with attaching().tracing(recorder), attaching().tracing(recorder), attaching().tracing(recorder):
        during = importlib.import_module("greets").word

    assert (during, sys.modules["greets"].word) == ("heard", "hello")
    assert len(facts(log, TracerAttached)) == 3


@pytest.mark.usefixtures("library")
def test_the_last_who_leaves_takes_it_out(log):
    """Each recorder hears of it once, however often it comes in."""
    importlib.import_module("greets")
    tracer, recorder = attaching(), Recorder(log)
    first, second = tracer.tracing(recorder), tracer.tracing(recorder)

    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    between = sys.modules["greets"].word
    second.__exit__(None, None, None)

    assert (between, sys.modules["greets"].word) == ("heard", "hello")
    assert len(facts(log, TracerAttached)) == 1


@pytest.mark.usefixtures("library")
def test_a_library_of_another_shape_fails_the_run(log):
    """Before anything else, and the next one may be of the right shape again."""
    importlib.import_module("odd")
    tracer = attaching("odd")

    for _ in range(2):
        with pytest.raises(TracerFailed, match="no attribute 'word'"), tracer.tracing(Recorder(log)):
            raise AssertionError("it began")

    assert {failed.name for failed in facts(log, PluginFailed)} == {"toy"}


@pytest.mark.usefixtures("library")
def test_a_library_of_another_shape_that_comes_late_is_told(log, caplog):
    """The agent that imports it goes on; the log and a warning say what it goes without."""
    with attaching("odd").tracing(Recorder(log)):
        assert importlib.import_module("odd").words == ["hello"]

    (failed,) = facts(log, PluginFailed)
    assert failed.hook == "agl_install_tracer"
    assert "no attribute 'word'" in failed.why
    assert "model calls are recorded, agents and tools are not" in caplog.text


@pytest.mark.usefixtures("library")
def test_a_module_that_only_has_the_name_is_left_alone(log, caplog):
    """Its maker says so."""
    importlib.import_module("odd")

    with attaching("odd", part=lambda _module: None).tracing(Recorder(log)):
        pass

    assert facts(log, TracerAttached) == facts(log, PluginFailed) == []
    assert caplog.text == ""


@pytest.mark.usefixtures("library")
@pytest.mark.parametrize(
    ("tested", "there", "doubted"),
    [
        (("1.0", "1.4"), "1.4.9", False),
        (("1.0", "1.4"), "1.5.0", True),
        (("1.0", "1.4"), "0.9", True),
        (("1.15.21", "1.15.30"), "1.15.31", True),
        (("2", "3"), "3.54.0", False),
        (("2", "3"), "4.0.0rc1", True),
    ],
)
def test_a_version_that_was_not_tested_is_said_once(monkeypatch, log, caplog, tested, there, doubted):
    """To the digit that the range has; and it is attached to all the same."""
    monkeypatch.setattr("agl_core.tap._attaching.version", lambda _name: there)
    importlib.import_module("greets")
    tracer = attaching(tested=tested)

    for _ in range(2):
        with tracer.tracing(Recorder(log)):
            assert sys.modules["greets"].word == "heard"

    assert caplog.text.count("UNTESTED_VERSION") == doubted
