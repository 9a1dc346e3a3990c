"""The page on fine-tuning, followed: a model learns on it, is taken away, and is opened by others' libraries."""

from __future__ import annotations

from importlib.util import find_spec
from pathlib import Path

import pytest

NEEDED = ("trl", "peft", "agl_sft", "agl_transformers", "agl_triplets")
PAGE = Path(__file__).parents[2] / "docs/how-to/fine-tune.md"


@pytest.mark.slow
@pytest.mark.skipif(not all(map(find_spec, NEEDED)), reason="fine-tuning is not installed here")
def test_the_page_can_be_followed(guide):
    """Every fence runs."""
    guide.environment |= {"OMP_NUM_THREADS": "1", "HF_HUB_OFFLINE": "1"}

    guide.follow(PAGE)
