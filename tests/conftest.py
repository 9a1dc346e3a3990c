"""Pages that are programs: every fence of a Markdown page is a file, a script or a session, and is run."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import pytest

NOT_RUN = {
    "checkout": "it works on a checkout of its own; `make ci` runs it on this one",
    "demo": "it takes minutes; the demo's own tests run it with fewer steps",
    "fragment": "it shows a shape, and is not a program",
    "index": "it asks a package index, and tests have no network",
    "picture": "it is for the eye",
    "proof": "it takes minutes; tests/system/test_learning_proofs.py runs a short one",
    "upstream": "it needs Agent Lightning, which is not installed beside us",
}
"""Why a fence may be left out: `no-run=` in its info string names one of these."""

_FENCE = re.compile(r"^(?P<mark>`{3,}|~{3,})(?P<info>.*)$")
_OPTION = re.compile(r'(?P<name>[\w-]+)(?:=(?:"(?P<quoted>[^"]*)"|(?P<bare>\S+)))?')
_ID = re.compile(r"\b(?P<kind>run|ro|at|rs|ca|ba|ck)-(?:[0-9a-z]{26}|[0-9a-z]*\.\.\.)")
_INSTALL = "pip install "
_SECONDS = 300


@dataclass(frozen=True, kw_only=True)
class Fence:
    """A block of a page."""

    place: str
    language: str
    options: dict[str, str]
    text: str

    @property
    def exit(self) -> int:
        """The exit status its programs should have."""
        return int(self.options.get("exit", 0))


@dataclass
class Guide:
    """A page that is followed in an empty folder, as its reader would."""

    folder: Path
    environment: dict[str, str]
    printed: str = ""
    """What the last program said, on stdout and stderr."""
    _ids: dict[str, str] = field(default_factory=dict)

    def follow(self, page: Path, *, instead: Mapping[str, str] | None = None) -> None:
        """Do everything it says, in its order, and compare what comes of it.

        `instead` puts other words where a page says what would take too long here; the page must say it.
        """
        for fence in fences(page, instead or {}):
            match fence.language, fence.options:
                case _, {"no-run": reason}:
                    assert reason in NOT_RUN, f"{fence.place}: no-run={reason} is not among {sorted(NOT_RUN)}"
                case _, {"title": name}:
                    target = self.folder / name
                    target.parent.mkdir(parents=True, exist_ok=True)
                    target.write_text(fence.text)
                case "python", {}:
                    script = self.folder / "fence.py"
                    script.write_text(fence.text)
                    self.run([sys.executable, str(script)], wanted=fence.exit, place=fence.place)
                case "console", {}:
                    for command, expected in session(fence.text):
                        self.type(command, wanted=fence.exit, place=fence.place)
                        self._expect(expected, fence, command)
                case "", {} if all(line.startswith(_INSTALL) for line in fence.text.splitlines()):
                    pass  # how to install something, in the page of that something: it asks an index
                case "text", {}:
                    self._expect(fence.text, fence, "the program above it")
                case _:
                    raise AssertionError(f"{fence.place}: a fence is a file, a program or marked no-run")

    def type(self, command: str, *, wanted: int = 0, place: str = "") -> str:
        """A line of a session; `run-01k...` in it is the id of that kind that the reader saw last. What it said."""
        line = _ID.sub(lambda found: self._ids.get(found["kind"], found[0]), command)
        # Warnings are errors in what is ours; pip warns of its own parts.
        return self.run(["sh", "-c", line], wanted=wanted, place=place, is_strict=not line.startswith("pip "))

    def run(self, command: list[str], *, wanted: int = 0, place: str = "", is_strict: bool = True) -> str:
        """A program, in the folder; what it said, when it ended as wanted."""
        done = subprocess.run(
            command,
            cwd=self.folder,
            env=self.environment | ({"PYTHONWARNINGS": "error"} if is_strict else {}),
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            stdin=subprocess.DEVNULL,
            text=True,
            timeout=_SECONDS,
            check=False,
        )
        self.printed = done.stdout
        self._ids.update((found["kind"], found[0]) for found in _ID.finditer(done.stdout) if "..." not in found[0])
        said = f"{place} {command[-1]}: exit {done.returncode}, not {wanted}\n{done.stdout}"
        assert done.returncode == wanted, said
        return done.stdout

    def _expect(self, expected: str, fence: Fence, name: str) -> None:
        assert says(self.printed, expected), f"{fence.place}: {name} does not say\n{expected}\nbut\n{self.printed}"


def fences(page: Path, instead: Mapping[str, str]) -> Iterator[Fence]:
    """The blocks of a page, with the line each begins on."""
    text = page.read_text("utf-8")
    for words, others in instead.items():
        assert words in text, f"{page.name} does not say {words!r}"
        text = text.replace(words, others)
    lines = iter(enumerate(text.splitlines(), start=1))
    for number, line in lines:
        if (found := _FENCE.match(line.strip())) is None:
            continue
        indent = len(line) - len(line.lstrip())
        inside: list[str] = []
        for _, inner in lines:
            if inner.strip() == found["mark"]:
                break
            inside.append(inner[indent:])
        language, _, rest = found["info"].strip().partition(" ")
        options = {one["name"]: one["quoted"] or one["bare"] or "" for one in _OPTION.finditer(rest)}
        text = "\n".join(inside) + "\n"
        yield Fence(place=f"{page.name}:{number}", language=language, options=options, text=text)


def session(text: str) -> Iterator[tuple[str, str]]:
    """Each command of a session, with what it should say."""
    for part in re.split(r"^\$ ", text, flags=re.MULTILINE)[1:]:
        lines = part.splitlines()
        last = next(number for number, line in enumerate(lines) if not line.endswith("\\"))
        yield "\n".join(lines[: last + 1]), "\n".join(lines[last + 1 :])


def says(printed: str, expected: str) -> bool:
    """Whether `expected` stands somewhere in `printed`; `...` is anything, and any white space is one blank."""
    pieces = [re.escape(" ".join(piece.split())) for piece in expected.split("...")]
    return re.search(".*?".join(pieces), " ".join(printed.split()), re.DOTALL) is not None


@pytest.fixture
def guide(tmp_path: Path) -> Guide:
    """A reader: an empty folder, our commands on the path, and a pip that asks no index."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith(("AGL_", "PYTHON", "PIP_"))}
    folder, programs = tmp_path / "guide", tmp_path / "bin"
    folder.mkdir()
    programs.mkdir()
    pip = programs / "pip"
    pip.write_text(f'#!/bin/sh\nexec "{sys.executable}" -m pip "$@"\n')  # of this environment, whatever is on the path
    pip.chmod(0o700)
    environment = {
        **kept,
        "PATH": os.pathsep.join([str(programs), str(Path(sys.executable).parent), os.defpath]),
        "HOME": str(tmp_path),
        "COLUMNS": "120",
        "PYTHONPATH": str(tmp_path / "site"),
        "PIP_TARGET": str(tmp_path / "site"),
        "PIP_NO_INDEX": "1",
        "PIP_NO_DEPS": "1",
        "PIP_NO_BUILD_ISOLATION": "0",  # pip reads it as the option's value, which is the opposite of its name
        "PIP_DISABLE_PIP_VERSION_CHECK": "1",
    }
    return Guide(folder, environment)


@pytest.fixture
def page(tmp_path: Path) -> Callable[[str], Path]:
    """A page with that text."""

    def written(text: str) -> Path:
        path = tmp_path / "page.md"
        path.write_text(text)
        return path

    return written
