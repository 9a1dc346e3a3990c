"""Plugins bring commands; none can break the tool, or take a command of the core away; and one is told from another."""

import json
import os
import subprocess
import sys

import pytest

import agl_core as agl

GOOD = '''
import click
from agl_core.hookspecs import hookimpl

@hookimpl
def agl_register_commands(cli):
    @cli.command()
    def hello():
        """Say hello."""
        click.echo("hello")

    @cli.command()
    def runs():
        """Take over."""
        click.echo("taken")

class Adapter:
    name = "good"

@hookimpl
def agl_register_adapters():
    return {"good": Adapter}
'''
RAISES = """
import click
from agl_core.hookspecs import hookimpl

@hookimpl
def agl_register_commands(cli):
    cli.add_command(click.Command("half"))
    raise ValueError("no commands today")

@hookimpl
def agl_register_adapters():
    raise LookupError("no adapters either")

@hookimpl
def agl_register_events():
    raise LookupError("nor events")
"""


@pytest.fixture
def run(tmp_path, type_in):
    """Type a command line where three plugins are installed: one good, one that raises, one that is not there."""
    (tmp_path / "agl_guest_good.py").write_text(GOOD)
    (tmp_path / "agl_guest_raises.py").write_text(RAISES)
    (tmp_path / "agl_guest-1.2.dist-info").mkdir()
    (tmp_path / "agl_guest-1.2.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: agl-guest\nVersion: 1.2\n")
    (tmp_path / "agl_guest-1.2.dist-info/entry_points.txt").write_text(
        "[agl]\nguest = agl_guest_good\nraises = agl_guest_raises\ngone = agl_guest_nowhere\n"
    )

    def started(*arguments, **variables):
        path = os.pathsep.join(filter(None, [str(tmp_path), os.environ.get("PYTHONPATH")]))
        return type_in(arguments, cwd=tmp_path, env={**os.environ, "PYTHONPATH": path, **variables})

    return started


def test_a_plugins_command_is_listed_and_runs(run):
    """As any other."""
    listed, ran = run("--help"), run("hello")

    assert "Say hello." in listed.stdout
    assert (ran.returncode, ran.stdout) == (0, "hello\n")
    assert "Did you mean 'hello'?" in run("helo").stderr


def test_a_broken_plugin_is_listed_and_the_tool_works(run):
    """With why; the others go on, and of one that raises nothing is left behind."""
    listed, helped = run("plugins"), run("--help")

    assert "ModuleNotFoundError: No module named 'agl_guest_nowhere'" in listed.stdout
    assert "plugin 'raises' could not add its commands: ValueError: no commands today" in helped.stderr
    assert "half" not in helped.stdout
    assert (listed.returncode, listed.stderr) == (0, "")


def test_the_cores_commands_stay_the_cores(run):
    """A command of that name is left out, and that is said."""
    listed = run("--help")

    assert "Take over." not in listed.stdout
    assert "command 'runs' is left out" in listed.stderr
    assert run("runs").stdout.startswith("Usage:") or run("runs").stderr.startswith("Usage:")


def test_a_required_plugin_that_is_broken_stops_everything(run):
    """In one line, also where only help was asked for; but not who looks at plugins."""
    done = run("--help", AGL_REQUIRED_PLUGINS="gone")

    assert done.returncode == 1
    assert done.stderr.startswith("error[PLUGIN_BROKEN]: ")
    assert "Traceback" not in done.stderr
    assert run("plugins", AGL_REQUIRED_PLUGINS="gone").returncode == 0


def test_a_broken_plugin_is_raised_where_that_is_wanted(run):
    """With AGL_STRICT_PLUGINS=1, as a test of a whole installation wants it."""
    done = run("--help", AGL_STRICT_PLUGINS="1")

    assert done.returncode == 1
    assert "plugin 'gone' is broken: ModuleNotFoundError" in done.stderr


def test_a_command_of_the_core_loads_no_plugin(run):
    """It starts as fast with a hundred of them."""
    done = run("runs", "list", "--help", AGL_REQUIRED_PLUGINS="gone")

    assert (done.returncode, done.stderr) == (0, "")


def test_a_log_is_read_and_verified_whatever_plugins_do(run, tmp_path):
    """A plugin whose events cannot be had is in the way of writing, and of nothing else."""
    with agl.open_log(str(tmp_path / "log.db")):
        pass
    reading = "import agl_core as agl; agl.open_log('log.db', readonly=True).close(); agl.open_log('log.db')"

    verified = run("log", "verify", "--log", str(tmp_path / "log.db"))
    read = subprocess.run(
        [sys.executable, "-c", reading], capture_output=True, text=True, check=False, cwd=tmp_path,
        env={**os.environ, "PYTHONPATH": os.pathsep.join([str(tmp_path), *sys.path])},
    )  # fmt: skip

    assert verified.returncode == 0
    assert "the facts of plugin 'raises' are read as they lie: LookupError: nor events" in read.stderr
    assert read.stderr.splitlines()[-1].startswith("agl_core.errors._plugin.PluginBroken: plugin 'raises' is broken")
    assert "AGL_DISABLE_PLUGINS=raises" in read.stderr


def test_a_list_for_programs_tells_the_same_with_and_without_the_word_list(run):
    """Name, version, distribution, status, hooks, time to load, error."""
    alone, listed = run("plugins", "--json"), run("plugins", "list", "--json")

    shown = {plugin["name"]: plugin for plugin in json.loads(listed.stdout)}
    assert {plugin["name"] for plugin in json.loads(alone.stdout)} == set(shown)
    assert shown["guest"]["status"] == "active"
    assert shown["guest"]["hooks"] == ["agl_register_adapters", "agl_register_commands"]
    assert (shown["guest"]["distribution"], shown["guest"]["version"]) == ("agl-guest", "1.2")
    assert shown["guest"]["load_ms"] > 0
    assert (shown["gone"]["status"], shown["gone"]["error"]) == (
        "broken",
        "ModuleNotFoundError: No module named 'agl_guest_nowhere'",
    )


@pytest.mark.parametrize(
    ("words", "variables", "by"),
    [
        (["--no-plugin", "guest", "--no-plugin", "gone"], {}, "AGL_DISABLE_PLUGINS"),
        (["--plugins", "raises"], {}, "AGL_LOAD_PLUGINS"),
        (["--plugins", "none"], {}, "AGL_LOAD_PLUGINS"),
        ([], {"AGL_DISABLE_PLUGINS": "guest,gone"}, "AGL_DISABLE_PLUGINS"),
        ([], {"AGL_LOAD_PLUGINS": ""}, "AGL_LOAD_PLUGINS"),
    ],
)
def test_a_plugin_is_left_out_by_a_word_or_a_variable(run, words, variables, by):
    """Listed as such, not imported, and its command is not there; the core's own plugin always is."""
    listed = {plugin["name"]: plugin for plugin in json.loads(run(*words, "plugins", "--json", **variables).stdout)}

    assert {listed[name]["disabled_by"] for name in ("guest", "gone")} == {by}
    assert listed["builtin"]["status"] == "active"
    assert "Say hello." not in run(*words, "--help", **variables).stdout


def test_why_tells_who_answers_a_hook(run):
    """In the order of asking, and who is left out."""
    told = json.loads(run("--no-plugin", "guest", "plugins", "why", "agl_register_commands", "--json").stdout)

    assert told["kind"] == "gather"
    assert "raises" in [one["plugin"] for one in told["asked"]]
    left_out = {one["plugin"]: one["why"] for one in told["left_out"]}
    assert left_out["guest"] == "AGL_DISABLE_PLUGINS names it"
    assert "it is broken: ModuleNotFoundError" in left_out["gone"]


def test_why_tells_where_a_plugin_broke(run):
    """The error, and for its author the traceback."""
    told = run("plugins", "why", "gone")

    assert told.returncode == 0
    assert "it is broken: ModuleNotFoundError: No module named 'agl_guest_nowhere'" in told.stdout
    assert "Traceback" in told.stdout


def test_why_tells_where_a_name_comes_from(run):
    """And of the plugins that could not say what they bring."""
    told = run("plugins", "why", "adapter:good")

    assert told.returncode == 0
    assert "guest" in told.stdout
    assert "plugin 'raises' is not among them: LookupError: no adapters either" in told.stderr


def test_why_tells_why_nobody_brings_a_name(run):
    """With every plugin that might have, and why it did not."""
    told = run("plugins", "why", "adapter:better")

    assert told.returncode == 1
    assert "no adapter is called 'better'" in told.stderr
    assert "plugin 'raises' could not say what it brings" in told.stderr
    assert "plugin 'gone' is not asked: it is broken" in told.stderr


def test_why_tells_what_is_overshadowed(run):
    """A command of the core hides a plugin's."""
    told = json.loads(run("plugins", "why", "command:runs", "--json").stdout)

    assert told["plugin"] == "builtin"
    assert told["overshadows"] == "the command of that name of plugin 'guest'"


def test_why_knows_its_neighbours(run):
    """A misspelt hook is one."""
    told = run("plugins", "why", "agl_register_adaptors")

    assert told.returncode == 1
    assert "did you mean 'agl_register_adapters'?" in told.stderr
