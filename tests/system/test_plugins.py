"""Plugins in whole: begun from the template, installed, and at work; and broken ones in the middle of a run."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import sysconfig
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace

import pytest

import agl_core as agl
from agl_core.cli._plugins import KINDS
from agl_core.errors import PluginBroken, TracerFailed
from agl_core.hookspecs import hookimpl
from agl_core.log import verify
from agl_core.plugins import Plugins

QUICK = {"dialect"}
"""One kind in every run of the tests, the others in the slow ones."""


# --- from the template to `agl plugins`


@pytest.fixture(scope="session")
def python(tmp_path_factory):
    """An interpreter of a fresh environment, which sees what this one has installed, and asks no index."""
    pytest.importorskip("hatchling")
    folder = tmp_path_factory.mktemp("venv")
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", str(folder)], check=True)
    (site,) = folder.glob("lib/python*/site-packages")
    (site / "parent.pth").write_text(f"import site; site.addsitedir({sysconfig.get_path('purelib')!r})\n")
    return folder / "bin" / "python"


@pytest.fixture
def run(tmp_path):
    """A program outside the repository: all it knows of AGL is what is installed, or what is under test here."""

    def started(*command):
        environment = {name: value for name, value in os.environ.items() if not name.startswith(("AGL_", "PYTEST"))}
        environment["PYTHONPATH"] = str(Path(agl.__file__).parents[1])
        done = subprocess.run(
            [str(word) for word in command], cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    return started


@pytest.mark.parametrize(
    "kind", [kind if kind in QUICK else pytest.param(kind, marks=pytest.mark.slow) for kind in KINDS]
)
def test_a_plugin_of_each_kind_is_begun_installed_tested_and_found(python, run, kind, tmp_path):
    """Its own tests, contracts among them, pass as it is written; it loads, and answers."""
    name = f"begun-{kind}"
    pip = [sys.executable, "-m", "pip", "--python", python, "install", "--quiet", "--disable-pip-version-check"]

    run(python, "-m", "agl_core.cli", "plugins", "new", name, "--kind", kind)
    run(*pip, "--no-index", "--no-deps", "--no-build-isolation", tmp_path / f"agl-{name}")
    tested = run(python, "-m", "pytest", "-p", "no:cacheprovider", tmp_path / f"agl-{name}")
    listed = json.loads(run(python, "-m", "agl_core.cli", "plugins", "--json"))
    why = run(python, "-m", "agl_core.cli", "plugins", "why", name)

    assert " passed" in tested
    assert "skipped" not in tested
    (found,) = [plugin for plugin in listed if plugin["name"] == name]
    assert (found["status"], found["distribution"], found["version"]) == ("active", f"agl-{name}", "0.1.0")
    assert found["hooks"][0] in why


# --- broken, in a run

RAN = []


@agl.rollout
async def agent(task):
    """Says that it ran."""
    RAN.append(task)
    return 1.0


@pytest.fixture
def fit(tmp_path, monkeypatch):
    """A run with one more plugin, and what the log says of plugins that failed."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    RAN.clear()
    path = str(tmp_path / "log.db")

    def fitted(**hooks):
        plugins = Plugins.load()
        marked = {name: hookimpl(function) for name, function in hooks.items()}
        plugins.register(SimpleNamespace(**marked), name="guest")
        summary = agl.Trainer(store=path, plugins=plugins).fit(agent, [1, 2])
        with agl.open_log(path, readonly=True) as log:
            assert list(verify(log)) == []
            failed = [record.event for record in log.read(types=["plugin.failed"])]
        assert summary.status == "finished"
        return [(event.name, event.hook, event.why) for event in failed]

    fitted.path = path
    return fitted


def oh_no():
    """A hook takes the arguments that it uses, and this one gets to none."""
    raise ValueError("oh no")


NOTIFIED = [
    "agl_recorded",
    "agl_run_started",
    "agl_run_finished",
    "on_enqueue",
    "on_rollout_start",
    "on_trace_start",
    "on_trace_end",
    "on_rollout_end",
    "on_succeeded",
]


@pytest.mark.parametrize("hook", NOTIFIED)
def test_a_guest_that_raises_is_a_fact_and_the_run_goes_on(fit, hook):
    """Every rollout runs to its end, and the log says who failed at what."""
    failed = fit(**{hook: oh_no})

    assert sorted(RAN) == [1, 2]
    assert failed
    assert {(name, at) for name, at, _ in failed} == {("guest", hook)}
    assert all(why.startswith("ValueError: oh no") for _, _, why in failed)
    assert len(failed) <= 3


@pytest.mark.parametrize("hook", ["agl_register_events", "agl_register_algorithms"])
def test_what_a_run_needs_fails_it_before_it_begins(fit, hook):
    """By the plugin's name, with the cure; no rollout has run."""
    with pytest.raises(PluginBroken, match=f"'guest' is broken: {hook} raised ValueError: oh no"):
        fit(**{hook: oh_no})

    assert RAN == []


def test_what_cannot_be_redacted_fails_the_run(fit):
    """Nothing is kept that nobody could look through; nothing of it is in the file."""
    with pytest.raises(PluginBroken, match="'guest' is broken: agl_redact raised ValueError: oh no"):
        fit(agl_redact=oh_no)

    assert RAN == []
    with agl.open_log(fit.path, readonly=True) as log:
        assert log.head() == 0


def test_a_tracer_that_raises_fails_the_run_before_it_begins(fit):
    """It would end with nothing captured."""

    @contextmanager
    def blind():
        raise ValueError("oh no")
        yield

    with pytest.raises(TracerFailed, match=r"'guest' cannot attach \(ValueError: oh no\)"):
        fit(agl_install_tracer=blind)

    assert RAN == []


def test_a_plugin_that_did_not_load_is_a_fact_of_the_run(tmp_path, monkeypatch):
    """Who reads the log knows what was missing."""
    (tmp_path / "agl_gone-1.0.dist-info").mkdir()
    (tmp_path / "agl_gone-1.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: agl-gone\nVersion: 1.0\n")
    (tmp_path / "agl_gone-1.0.dist-info/entry_points.txt").write_text("[agl]\ngone = agl_gone_nowhere\n")
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "gone")

    agl.Trainer(store=str(tmp_path / "log.db")).fit(agent, [1])

    with agl.open_log(str(tmp_path / "log.db"), readonly=True) as log:
        told = {record.event.name: record.event for record in log.read(types=["plugin.failed", "plugin.loaded"])}
    assert told["gone"].type == "plugin.failed"
    assert told["gone"].why == "ModuleNotFoundError: No module named 'agl_gone_nowhere'"
    assert told["builtin"].type == "plugin.loaded"
