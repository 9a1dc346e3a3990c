"""The wheels of all distributions work together, on a machine that never saw the checkout."""

import json
import os
import subprocess
import sys
import tomllib
import venv
from pathlib import Path
from zipfile import ZipFile

import pytest

pytestmark = pytest.mark.slow

ROOT = Path(__file__).parents[2]
FOLDERS = [ROOT, *(path.parent for path in sorted(ROOT.glob("*/agl-*/pyproject.toml")))]
VERSION = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["version"]


@pytest.fixture(scope="module")
def dist(tmp_path_factory):
    """A folder with everything `make wheels` builds."""
    folder = tmp_path_factory.mktemp("dist")
    subprocess.run([sys.executable, ROOT / "scripts" / "wheels.py", folder], check=True)
    return folder


@pytest.fixture(scope="module")
def elsewhere(tmp_path_factory):
    """A folder that is home and working directory, with nothing of ours in it."""
    return tmp_path_factory.mktemp("elsewhere")


@pytest.fixture(scope="module")
def environment():
    """The variables of a shell that knows no checkout. HOME stays: pip's own settings may lie there."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("PYTHON", "AGL_", "VIRTUAL_ENV"))}


@pytest.fixture(scope="module")
def bin_folder(dist, tmp_path_factory, elsewhere, environment):
    """The programs of a fresh environment in which `agl-core[all,demo]` is installed from `dist`."""
    home = tmp_path_factory.mktemp("venv")
    venv.create(home, with_pip=True)
    install = [home / "bin" / "python", "-m", "pip", "install", "--quiet", "--find-links", dist]
    subprocess.run([*install, f"agl-core[all,demo]=={VERSION}"], cwd=elsewhere, env=environment, check=True)
    return home / "bin"


def test_there_is_a_wheel_and_an_sdist_for_each_folder(dist):
    """One folder is one distribution."""
    names = {"agl_core" if folder == ROOT else folder.name.replace("-", "_") for folder in FOLDERS}

    assert {path.name for path in dist.glob("*.whl")} == {f"{name}-{VERSION}-py3-none-any.whl" for name in names}
    assert {path.name for path in dist.glob("*.tar.gz")} == {f"{name}-{VERSION}.tar.gz" for name in names}


def test_a_wheel_holds_one_module_and_no_path(dist):
    """No tests, no licence forgotten, and nothing that points at the machine that built it."""
    for path in dist.glob("*.whl"):
        module = path.name.split("-")[0]
        with ZipFile(path) as wheel:
            files = wheel.namelist()
            metadata = wheel.read(f"{module}-{VERSION}.dist-info/METADATA").decode()

        assert {file.split("/")[0] for file in files} == {module, f"{module}-{VERSION}.dist-info"}
        # Those in the template are what `agl plugins new` writes.
        assert not [file for file in files if "/tests/" in file and "/_template/" not in file]
        assert f"{module}-{VERSION}.dist-info/licenses/LICENSE" in files
        assert "file:" not in metadata
        assert " @ " not in metadata


def test_everything_is_imported_from_the_wheels(bin_folder, elsewhere, environment):
    """Not one module comes from the checkout."""
    modules = sorted("agl_core" if folder == ROOT else folder.name.replace("-", "_") for folder in FOLDERS)
    program = f"import {', '.join(modules)} as last; import sys; print(*(sys.modules[m].__file__ for m in {modules}))"

    done = subprocess.run(
        [bin_folder / "python", "-c", program],
        cwd=elsewhere,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    )

    assert all(Path(place).is_relative_to(bin_folder.parent) for place in done.stdout.split())


def test_the_demo_runs_from_the_wheels(bin_folder, elsewhere, environment):
    """Model, tasks, agent and algorithm are all in them: two steps, and one JSON object."""
    demo = [bin_folder / "agl", "demo", "--json", "--steps", "2", "--log", elsewhere / "demo.db"]

    done = subprocess.run(
        demo, cwd=elsewhere, env={**environment, "HOME": str(elsewhere)}, capture_output=True, text=True, check=False
    )

    assert done.returncode == 0, done.stderr
    assert json.loads(done.stdout)["steps"] == 2
