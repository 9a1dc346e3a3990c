"""A module has one idea: past 400 lines it is usually two."""

from itertools import chain
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    chain(ROOT.glob("agl_core/**/*.py"), ROOT.glob("plugins/*/agl_*/**/*.py"), ROOT.glob("adapters/*/agl_*/**/*.py"))
)
LIMIT = 400


@pytest.mark.parametrize("module", MODULES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_module_is_short(module):
    """Under the limit, without exception."""
    assert len(module.read_text().splitlines()) <= LIMIT
