"""A module has one idea: past 400 lines it is usually two."""

from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    chain(ROOT.glob("agl_core/**/*.py"), ROOT.glob("plugins/*/agl_*/**/*.py"), ROOT.glob("adapters/*/agl_*/**/*.py"))
)
LIMIT = 400
LONGER = {"agl_core/errors.py": "the table of coded errors: one short class each"}
"""Modules that may be longer, each with its reason."""


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short(module):
    """Under the limit, or in the list with a reason."""
    lines = len(module.read_text().splitlines())

    assert lines <= LIMIT or str(module.relative_to(ROOT)) in LONGER
