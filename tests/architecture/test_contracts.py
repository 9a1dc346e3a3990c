"""Imports obey the contracts in pyproject.toml."""

import subprocess
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MEMBERS = [path.parent.name.replace("-", "_") for path in sorted(ROOT.glob("*/agl-*/pyproject.toml"))]


@pytest.mark.skipif(
    not any(find_spec(member) for member in MEMBERS),
    reason="the core is alone here: the contracts are about the whole workspace",
)
def test_the_contracts_of_the_workspace_are_kept():
    """Imports go down the floors only, plugins do not know each other, and the core knows none of them."""
    lint = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as lint; lint()"]

    done = subprocess.run([*lint, "--no-cache"], cwd=ROOT, capture_output=True, text=True, check=False)

    assert done.returncode == 0, done.stdout + done.stderr
