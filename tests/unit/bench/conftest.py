"""The harness is a package of the checkout, not of a distribution: it is found from the root."""

import importlib
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[3]


@pytest.fixture
def module(monkeypatch):
    """A module of the harness, by its name."""
    monkeypatch.syspath_prepend(ROOT)
    return lambda name: importlib.import_module(f"bench.{name}")


@pytest.fixture
def harness(module):
    """Rounds, comparisons, reports."""
    return module("_harness")
