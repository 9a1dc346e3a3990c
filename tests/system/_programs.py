"""The programs of examples/frameworks, as they are: started by an agent, or skipped where they cannot run."""

from __future__ import annotations

import importlib.util
import os
import subprocess
import sys
from collections.abc import Mapping, Sequence
from pathlib import Path

import pytest

PROGRAMS = Path(__file__).parents[2] / "examples" / "frameworks"
QUIET = {
    "CREWAI_DISABLE_TELEMETRY": "true",
    "CREWAI_TRACING_ENABLED": "false",
    "OPENAI_AGENTS_DISABLE_TRACING": "1",
    "OTEL_SDK_DISABLED": "true",
}
"""What these frameworks would tell their vendors stays here."""
PATIENCE = 300


def prepare(needs: Sequence[str], monkeypatch: pytest.MonkeyPatch) -> None:
    """Skip where one of them is not installed; keep the others quiet."""
    for name in needs:
        if importlib.util.find_spec(name) is None:
            pytest.skip(f"{name} is not installed here")
    for name, value in QUIET.items():
        monkeypatch.setenv(name, value)


def printed_by(program: str, *before: str, told: Mapping[str, str], folder: Path) -> str:
    """What the program prints that was told these variables; `before` are words between Python and it."""
    done = subprocess.run(
        [sys.executable, *before, str(PROGRAMS / f"{program}.py")],
        env={**os.environ, **told},
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=PATIENCE,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-2000:]
    return done.stdout
