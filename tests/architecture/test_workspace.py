"""A member is in every list that has to name it, and its wheel says what it should."""

import re
import tomllib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
EXTRAS = PROJECT["tool"]["hatch"]["metadata"]["hooks"]["custom"]["extras"]
FOLDERS = sorted([*ROOT.glob("plugins/agl-*/"), *ROOT.glob("adapters/agl-*/")])


def by_name(folder: Path) -> str:
    """The name pytest shows for a member."""
    return folder.name


@pytest.fixture(params=FOLDERS, ids=by_name)
def member(request):
    """The folder of each member in turn."""
    return request.param


@pytest.fixture
def project(member):
    """What the member's pyproject.toml says."""
    return tomllib.loads((member / "pyproject.toml").read_text())


def test_a_member_is_in_the_workspace_and_in_the_extra_all(member):
    """`pip install '.[all]'` and uv bring every one of ours."""
    place = f"{member.name} @ {{root:uri}}/{member.parent.name}/{member.name}"

    assert place in EXTRAS["all"]
    assert PROJECT["tool"]["uv"]["sources"][member.name] == {"workspace": True}


def test_a_member_is_held_by_the_import_contracts(member):
    """It is looked at, kept from its neighbours, and kept out of the core."""
    module = member.name.replace("-", "_")
    contracts = {contract["type"]: contract for contract in reversed(PROJECT["tool"]["importlinter"]["contracts"])}

    assert module in PROJECT["tool"]["importlinter"]["root_packages"]
    assert module in contracts["independence"]["modules"]
    assert module in contracts["forbidden"]["forbidden_modules"]


def test_a_member_depends_on_the_core_alone_and_has_its_version(project):
    """Frameworks are extras, neighbours are found by registry name, and a release pins one version for all."""
    major, minor, _ = PROJECT["project"]["version"].split(".")

    assert project["project"]["dependencies"] == [f"agl-core>={major}.{minor},<{major}.{int(minor) + 1}"]
    assert project["project"]["version"] == PROJECT["project"]["version"]
    assert project["project"]["requires-python"] == PROJECT["project"]["requires-python"]


def test_a_member_is_one_typed_module_behind_one_entry_point(member, project):
    """Distribution agl-x, module agl_x, entry point x, and no tests in the wheel."""
    module = member.name.replace("-", "_")

    assert project["project"]["entry-points"] == {"agl": {member.name.removeprefix("agl-"): module}}
    assert project["tool"]["hatch"]["build"]["targets"]["wheel"]["packages"] == [module]
    assert (member / module / "py.typed").exists()


def test_a_member_carries_the_licence(member):
    """A wheel leaves the repository without it."""
    assert (member / "LICENSE").read_bytes() == (ROOT / "LICENSE").read_bytes()


def test_a_pin_is_the_same_wherever_it_is_pinned():
    """The engine and the trainer compute with the same torch."""
    pins = re.findall(r'"(torch==[^"]+)"', "".join((folder / "pyproject.toml").read_text() for folder in FOLDERS))

    assert len(set(pins)) == 1


def test_make_installs_what_the_extra_demo_names():
    """`make demo` gives each member of `[demo]` with the same extra, editable."""
    extra = {re.sub(r"^agl-(\S+) @ .*$", r"\1", line) for line in EXTRAS["demo"]}

    made = re.findall(r"-e '\./(?:plugins|adapters)/agl-([^']+)'", (ROOT / "Makefile").read_text())

    assert extra <= set(made)
