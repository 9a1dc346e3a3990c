"""Distributions that are installed for a test, and nothing else."""

from __future__ import annotations

import importlib
import sys
from collections.abc import Callable, Iterator
from itertools import count
from pathlib import Path

import pytest

from agl_core.plugins import Plugins

_NUMBERS = count()
HEAD = "import agl_core as agl\nfrom agl_core.hookspecs import hookimpl\n"


@pytest.fixture
def install(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Callable[..., str]]:
    """Installs a plugin from its source; the name of its module. Of the plugins of this machine none is wanted."""
    wanted: list[str] = []
    made: list[str] = []
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")

    def installed(name: str, source: str, *, distribution: str = "", version: str = "1.0", target: str = "") -> str:
        module = f"installed_{next(_NUMBERS)}"
        distribution = distribution or f"agl-{name}"
        (tmp_path / f"{module}.py").write_text(HEAD + source)
        folder = tmp_path / f"{distribution.replace('-', '_')}-{version}.dist-info"
        folder.mkdir()
        (folder / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {distribution}\nVersion: {version}\n")
        (folder / "entry_points.txt").write_text(f"[agl]\n{name} = {target or module}\n")
        importlib.invalidate_caches()
        wanted.append(name)
        made.append(module)
        monkeypatch.setenv("AGL_LOAD_PLUGINS", ",".join(wanted))
        return module

    yield installed
    for module in made:
        sys.modules.pop(module, None)


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """The core's own, and no other."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return Plugins.load()
