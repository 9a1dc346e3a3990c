"""The reference of the command line is what the command line says."""

import runpy
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_page_is_fresh():
    """`python scripts/docs_cli.py` writes it."""
    script = runpy.run_path(str(ROOT / "scripts" / "docs_cli.py"))

    assert script["PAGE"].read_text("utf-8") == script["reference"]()
