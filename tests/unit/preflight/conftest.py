"""A doctor with the checks of the core alone, who is told of what a test is about."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agl_core.plugins import Plugins
from agl_core.preflight import CHECKS, Finding, Given, looked


@pytest.fixture
def plugins(monkeypatch: pytest.MonkeyPatch) -> Plugins:
    """Those of the core alone."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    return Plugins.load()


@pytest.fixture
def given(tmp_path: Path, plugins: Plugins) -> Given:
    """A doctor who was told nothing."""
    return Given(log=tmp_path / "log.db", plugins=plugins, environment={}, timeout=10.0)


@pytest.fixture
def look(given: Given) -> Callable[..., list[Finding]]:
    """What one check finds, of what it is told."""

    def looking(name: str, **told: Any) -> list[Finding]:
        (check,) = (check for check in CHECKS if check.name == name)
        return looked(check, replace(given, **told))

    return looking
