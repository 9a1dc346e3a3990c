"""What the demo's model tests share; without torch they are left out."""

from __future__ import annotations

from importlib.util import find_spec

import pytest

collect_ignore = [] if find_spec("torch") else ["test_tiny.py", "test_warm_start.py", "test_smollm2.py"]


@pytest.fixture(scope="session")
def folder(tmp_path_factory):
    """A small model with random weights."""
    import torch
    from agl_demo._tiny import build

    # The machine is shared with other tests, and threads that wait for each other's cores wait long.
    torch.set_num_threads(1)
    return build(tmp_path_factory.mktemp("tiny") / "model", seed=0)


@pytest.fixture(scope="session")
def words(folder):
    """Its tokenizer."""
    from transformers import AutoTokenizer

    return AutoTokenizer.from_pretrained(folder)
