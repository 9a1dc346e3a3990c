"""Who is told, and who may change or leave out what is kept: a fault harms nobody but whose it is."""

import threading
from contextlib import contextmanager, suppress
from types import SimpleNamespace

import pytest

from agl_core.errors import PluginBroken, TracerFailed
from agl_core.events import NoteTaken
from agl_core.plugins import Plugins
from agl_core.record import Draft

from ._asked import plugin, raising, silent

# --- transform


@pytest.mark.parametrize(
    ("function", "why"),
    [
        (raising(ValueError("no"), "draft"), "agl_redact raised ValueError: no"),
        (lambda draft: f"{draft}", "agl_redact answered with str"),
    ],
)
def test_what_cannot_be_redacted_is_not_kept(plugins, tmp_path, function, why):
    """A secret that might be in it is worth more than the fact."""
    plugins.register(plugin("agl_redact", function), name="censor")

    with plugins.open_log(str(tmp_path / "log.db")) as log:
        with pytest.raises(PluginBroken, match=f"'censor' is broken: {why}"):
            log.append([Draft(stream="log", event=NoteTaken(text="secret"))])

        assert log.head() == 0


def test_redaction_goes_from_one_to_the_next(plugins):
    """A to Z; who has nothing to say changes nothing."""
    plugins.register(plugin("agl_redact", lambda draft: said(draft, "b")), name="b")
    plugins.register(plugin("agl_redact", silent), name="c")
    plugins.register(plugin("agl_redact", lambda draft: said(draft, "a")), name="a")

    assert plugins.redact(Draft(stream="log", event=NoteTaken(text=""))).event.text == "ab"


def said(draft, letter):
    """The note with a letter more."""
    return Draft(stream=draft.stream, event=NoteTaken(text=draft.event.text + letter))


# --- notify


@pytest.mark.parametrize("error", [ValueError("no"), SystemExit("bye")])
def test_a_guest_that_raises_is_reported_and_after_three_times_asked_no_more(plugins, error, caplog):
    """The others are told as ever."""
    heard, problems = [], []

    def hears(run):
        heard.append(run)

    plugins.register(plugin("agl_run_started", raising(error, "run")), name="a-loud")
    plugins.register(plugin("agl_run_started", hears), name="b-quiet")

    for number in range(5):
        plugins.notify("agl_run_started", problems.append, run=number)

    assert heard == [0, 1, 2, 3, 4]
    assert [(problem.name, problem.hook) for problem in problems] == [("a-loud", "agl_run_started")] * 3
    assert problems[-1].why.endswith("(3 failures: it is told nothing more)")
    assert "plugin 'a-loud' raised 3 times" in caplog.text


def test_what_a_listener_of_the_log_raises_is_a_fact(plugins, tmp_path):
    """And no reason for more of them: of those facts it is not told."""
    plugins.register(plugin("agl_recorded", raising(ValueError("no"), "record")), name="loud")

    with plugins.open_log(str(tmp_path / "log.db")) as log:
        told = threading.Event()
        forget = plugins.follow(log)
        log.subscribe(lambda records: told.set() if "plugin.failed" in [one.event.type for one in records] else None)
        log.append([Draft(stream="log", event=NoteTaken(text="one"))])
        assert told.wait(30)
        forget()
        log.append([Draft(stream="log", event=NoteTaken(text="two"))])
        failures = [record.event for record in log.read(types=["plugin.failed"])]

    assert [(event.name, event.hook, event.why) for event in failures] == [("loud", "agl_recorded", "ValueError: no")]


# --- tracers


@pytest.mark.parametrize("where", ["called", "entered"])
def test_a_tracer_that_cannot_attach_is_named(plugins, where):
    """Or told of, where the run may go on without it; those before it are taken out again."""
    inside, problems = [], []

    @contextmanager
    def steady():
        inside.append("steady")
        try:
            yield
        finally:
            inside.remove("steady")

    @contextmanager
    def blind():
        raise AttributeError("Client.send is gone")
        yield

    def install(recorder):
        if where == "called":
            raise AttributeError("Client.send is gone")
        return blind()

    plugins.manager.unregister(name="builtin")
    plugins.register(plugin("agl_install_tracer", install), name="b-blind")
    plugins.register(plugin("agl_install_tracer", steady), name="a-steady")

    with pytest.raises(TracerFailed, match=r"'b-blind' cannot attach \(AttributeError: Client.send is gone\)"):
        plugins.tracing(None).__enter__()
    assert inside == []
    with plugins.tracing(None, problems.append):
        assert inside == ["steady"]
    assert [(problem.name, problem.hook) for problem in problems] == [("b-blind", "agl_install_tracer")]


def test_a_tracer_that_raises_on_its_way_out_changes_nothing(plugins, caplog):
    """What was traced is done; that a mark may be left is said, also in the log."""
    noted = []

    @contextmanager
    def clumsy():
        yield
        raise KeyError("where was it")

    plugins.manager.unregister(name="builtin")
    plugins.register(plugin("agl_install_tracer", clumsy), name="clumsy")

    with plugins.tracing(SimpleNamespace(note=noted.append)):
        pass

    assert [(event.name, event.why) for event in noted] == [("clumsy", "on its way out: KeyError: 'where was it'")]
    assert "tracer of plugin 'clumsy' may have left a mark" in caplog.text


def test_a_tracer_hides_nothing_that_the_run_raises(plugins):
    """Not even one that would swallow whatever comes."""

    @contextmanager
    def greedy():
        with suppress(BaseException):
            yield

    plugins.manager.unregister(name="builtin")
    plugins.register(plugin("agl_install_tracer", greedy), name="greedy")

    with pytest.raises(ZeroDivisionError), plugins.tracing(None):
        raise ZeroDivisionError


# --- seen


def test_who_is_asked_is_shown_on_stderr(monkeypatch, capsys):
    """With AGL_TRACE_PLUGINS=1: plugin, hook and types, never a value."""
    monkeypatch.setenv("AGL_TRACE_PLUGINS", "1")
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    plugins = Plugins.load()
    plugins.register(plugin("agl_redact", silent), name="censor")
    plugins.register(plugin("agl_run_started", raising(ValueError("no"), "run")), name="loud")

    plugins.redact(Draft(stream="log", event=NoteTaken(text="secret")))
    plugins.notify("agl_run_started", [].append, run=1)

    shown = capsys.readouterr().err
    assert "plugin censor: agl_redact(draft) -> NoneType, " in shown
    assert "plugin loud: agl_run_started(run) raised, " in shown
    assert "secret" not in shown


def test_nothing_is_shown_unasked(plugins, capsys):
    """Nor with AGL_TRACE_PLUGINS=0."""
    plugins.redact(Draft(stream="log", event=NoteTaken(text="secret")))

    assert capsys.readouterr().err == ""
