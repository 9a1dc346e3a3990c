"""What a page says works: its files, its commands and what they print."""

from importlib.util import find_spec
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
WITH_FRAMEWORKS: set[str] = set()
"""Pages that need plugins; tests/system follows them."""
WITH_MORE = {"docs/how-to/query-a-log.md", "docs/how-to/point-an-agent-at-agl.md", "docs/reference/wire.md"}
"""Pages that need polars and pyarrow, or OpenAI's library, which the core alone goes without."""
WITH_PLUGIN = {"docs/how-to/trace-openai-agents.md": "agents"}
"""Pages that need a plugin's framework, by the module it brings."""
PAGES = sorted(path for path in ROOT.glob("docs/**/*.md") if path.relative_to(ROOT).as_posix() not in WITH_FRAMEWORKS)


@pytest.mark.parametrize("path", PAGES, ids=lambda path: str(path.relative_to(ROOT)))
def test_a_page_can_be_followed(guide, path):
    """Every fence runs, or says why not."""
    if path.relative_to(ROOT).as_posix() in WITH_MORE and find_spec("importlinter") is None:
        pytest.skip("the core alone is tested without frames and frameworks")
    if module := WITH_PLUGIN.get(path.relative_to(ROOT).as_posix()):
        pytest.importorskip(module)
    guide.follow(path)
