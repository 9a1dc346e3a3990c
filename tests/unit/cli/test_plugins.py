"""Plugins bring commands; none can break the tool, or take a command of the core away."""

import os
import subprocess
import sys

import pytest

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
'''
RAISES = """
from agl_core.hookspecs import hookimpl

@hookimpl
def agl_register_commands(cli):
    raise ValueError("no commands today")
"""


@pytest.fixture
def run(tmp_path):
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
        return subprocess.run(
            [sys.executable, "-m", "agl_core.cli", *arguments],
            env={**os.environ, "PYTHONPATH": path, **variables}, capture_output=True, text=True, check=False,
        )  # fmt: skip

    return started


def test_a_plugins_command_is_listed_and_runs(run):
    """As any other."""
    listed, ran = run("--help"), run("hello")

    assert "Say hello." in listed.stdout
    assert (ran.returncode, ran.stdout) == (0, "hello\n")
    assert "Did you mean 'hello'?" in run("helo").stderr


def test_a_broken_plugin_is_listed_and_the_tool_works(run):
    """With why; the others go on."""
    listed = run("plugins")

    assert "broken: ModuleNotFoundError: No module named 'agl_guest_nowhere'" in listed.stdout
    assert "plugin 'raises' could not add its commands: ValueError: no commands today" in run("--help").stderr
    assert listed.returncode == 0


def test_the_cores_commands_stay_the_cores(run):
    """A command of that name is left out, and that is said."""
    listed = run("--help")

    assert "Take over." not in listed.stdout
    assert "command 'runs' is left out" in listed.stderr
    assert run("runs").stdout.startswith("Usage:") or run("runs").stderr.startswith("Usage:")


def test_a_required_plugin_that_is_broken_stops_everything(run):
    """In one line, also where only help was asked for."""
    done = run("--help", AGL_REQUIRED_PLUGINS="gone")

    assert done.returncode == 1
    assert done.stderr.startswith("error[PLUGIN_BROKEN]: ")
    assert "Traceback" not in done.stderr


def test_a_command_of_the_core_loads_no_plugin(run):
    """It starts as fast with a hundred of them."""
    done = run("runs", "list", "--help", AGL_REQUIRED_PLUGINS="gone")

    assert (done.returncode, done.stderr) == (0, "")
