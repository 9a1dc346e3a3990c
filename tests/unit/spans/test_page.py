"""docs/reference/spans.md says of names what the code does with them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from pathlib import Path

from agl_core.spans import DIALECTS, gen_ai, openinference, openllmetry

PAGE = (Path(__file__).parents[3] / "docs" / "reference" / "spans.md").read_text()
CORPUS = Path(__file__).parent / "corpus"


def table(heading: str) -> list[list[str]]:
    """The rows of the first table under a heading, as cells."""
    lines = PAGE.partition(f"\n## {heading}\n")[2].partition("\n## ")[0].splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return rows[2:]


def kinds(column: int) -> Mapping[str, str]:
    """Which of our kinds the page says that each word in a column is."""
    return {
        word: row[0].strip("`")
        for row in table("Kinds")
        for word in re.findall(r"`(\w+)`", row[column])
        if row[0] != "`other`"
    }


def test_the_kinds_on_the_page_are_those_of_the_code():
    """Word by word, and none is left out."""
    assert kinds(1) == gen_ai._KINDS
    assert kinds(2) == openinference._KINDS
    assert kinds(3) == openllmetry._KINDS


def test_the_page_asks_the_dialects_in_the_order_of_the_table():
    """Which goes before which is what a reader needs when a span has two."""
    assert [row[0].strip("`") for row in table("Dialects")] == [dialect.NAME for dialect in DIALECTS]


def test_what_the_page_says_was_recorded_was():
    """In these versions."""
    recorded = [json.loads(path.read_text())["packages"] for path in CORPUS.glob("*/*.json")]
    versions = {version for packages in recorded for package, version in packages.items() if package != "openai"}
    said = {found for row in table("What was recorded") for found in re.findall(r"\d+(?:\.\w+)+", row[1])}

    assert said == versions
