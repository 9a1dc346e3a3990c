"""`agl plugins new` writes a whole distribution, or nothing."""

import json
import tomllib

import pytest
from click.testing import CliRunner

from agl_core.cli import agl
from agl_core.cli._plugins import KINDS


@pytest.fixture
def new(tmp_path, monkeypatch):
    """Type the command in an empty folder, where no plugin but the core's is installed."""
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return lambda *words: CliRunner().invoke(agl, ["plugins", "new", *words])


@pytest.mark.parametrize("kind", KINDS)
def test_a_distribution_is_written(new, tmp_path, kind):
    """Named as ours are, behind one entry point, with its tests; every file of Python is one."""
    done = new("my-own", "--kind", kind, "--json")

    told, folder = json.loads(done.stdout), tmp_path / "agl-my-own"
    project = tomllib.loads((folder / "pyproject.toml").read_text())
    assert done.exit_code == 0
    assert project["project"]["name"] == "agl-my-own"
    assert project["project"]["entry-points"] == {"agl": {"my-own": "agl_my_own"}}
    assert {"agl_my_own/__init__.py", "agl_my_own/py.typed", "README.md", ".gitignore"} <= set(told["files"])
    assert any(file.startswith("tests/test_") for file in told["files"])
    for path in folder.rglob("*.py"):
        compile(path.read_text(), path, "exec")
    assert not [path for path in folder.rglob("*") if path.is_file() and "{{" in path.read_text()]
    assert [path.name for path in tmp_path.iterdir()] == ["agl-my-own"]


def test_the_prefix_is_put_there_once(new, tmp_path):
    """Whoever types it means the same."""
    assert new("agl-my-own", "--into", "deep/down").exit_code == 0

    assert (tmp_path / "deep/down/agl-my-own/agl_my_own").is_dir()


def test_nothing_is_overwritten(new, tmp_path):
    """What is there stays as it is."""
    new("my-own")
    (tmp_path / "agl-my-own/README.md").write_text("mine")

    done = new("my-own", "--kind", "tracer")

    assert done.exit_code == 1
    assert "is there already, and nothing is overwritten" in done.stderr
    assert (tmp_path / "agl-my-own/README.md").read_text() == "mine"


@pytest.mark.parametrize(
    "name",
    ["My-Own", "my_own", "1st", "my--own", "-own", "own-", "a/b", "../up", "", "core", "agl-core", "builtin", "é"],
)
def test_a_name_that_would_not_do_is_refused(new, tmp_path, name):
    """With a code, and nothing written."""
    done = new("--", name)

    assert done.exit_code == 1
    assert "BAD_VALUE" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_name_that_is_installed_is_refused(new, tmp_path, monkeypatch):
    """Two of one name would both be left out."""
    folder = tmp_path / "site"
    (folder / "agl_taken-2.0.dist-info").mkdir(parents=True)
    (folder / "agl_taken-2.0.dist-info/METADATA").write_text("Metadata-Version: 2.1\nName: agl-taken\nVersion: 2.0\n")
    (folder / "agl_taken-2.0.dist-info/entry_points.txt").write_text("[agl]\ntaken = agl_taken\n")
    monkeypatch.syspath_prepend(folder)

    done = new("taken")

    assert done.exit_code == 1
    assert "a plugin of that name is installed, by agl-taken" in done.stderr


def test_what_cannot_be_written_leaves_nothing(new, tmp_path, monkeypatch):
    """Not half a plugin."""
    monkeypatch.setattr("pathlib.Path.rename", lambda *_: (_ for _ in ()).throw(OSError("disk full")))

    done = new("my-own")

    assert done.exit_code == 1
    assert "nothing can be written there: disk full" in done.stderr
    assert list(tmp_path.iterdir()) == []


def test_a_folder_that_is_none_is_refused(new, tmp_path):
    """With a code, and no traceback."""
    (tmp_path / "file").touch()

    done = new("my-own", "--into", "file/below")

    assert done.exit_code == 1
    assert "nothing can be written there" in done.stderr


@pytest.mark.parametrize("name", ["row", "trace", "any"])
def test_a_name_of_the_templates_own_is_told_apart(new, tmp_path, name):
    """The class is another one than the row's."""
    new(name, "--kind", "adapter")

    source = (tmp_path / f"agl-{name}/agl_{name}/_adapter.py").read_text()
    assert f"class {name.capitalize()}Adapter:" in source
