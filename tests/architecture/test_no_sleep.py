"""Tests wait for what they wait for, never for a time."""

import ast
from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
TESTS = sorted(
    chain(ROOT.glob("tests/**/*.py"), ROOT.glob("plugins/*/tests/**/*.py"), ROOT.glob("adapters/*/tests/**/*.py"))
)


def sleeps(tree: ast.AST) -> list[int]:
    """The lines that call `time.sleep`, or import `sleep` from `time`."""
    return [
        node.lineno
        for node in ast.walk(tree)
        if (isinstance(node, ast.Attribute) and ast.unparse(node) == "time.sleep")
        or (
            isinstance(node, ast.ImportFrom) and node.module == "time" and "sleep" in [name.name for name in node.names]
        )
    ]


@pytest.mark.parametrize("test", TESTS, ids=lambda path: str(path.relative_to(ROOT)))
def test_no_test_sleeps(test):
    """A sleep is too short on a busy machine and too long on any other."""
    assert sleeps(ast.parse(test.read_text())) == []
