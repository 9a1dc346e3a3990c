"""A link on a page leads somewhere."""

import re
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([ROOT / "README.md", *ROOT.glob("docs/**/*.md")])


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_links_within_the_repository_lead_to_files(path):
    """Of the index and of all pages; addresses on the web are not asked."""
    links = re.findall(r"\]\((?!\w+:)([^)#]+)", path.read_text())

    assert [link for link in links if not (path.parent / link).exists()] == []


def test_every_page_is_in_the_index_once():
    """A page nobody is led to is not read; those of adapters and plugins are theirs."""
    index = (ROOT / "docs" / "README.md").read_text()
    pages = [path.relative_to(ROOT / "docs").as_posix() for path in ROOT.glob("docs/*/*.md")]
    pages += [f"../{path.relative_to(ROOT).as_posix()}" for path in ROOT.glob("*/agl-*/README.md")]

    assert {page: count for page in pages if (count := index.count(f"({page})")) != 1} == {}
