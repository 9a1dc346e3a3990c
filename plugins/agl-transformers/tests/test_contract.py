"""The engine keeps what every engine promises."""

import pytest
from agl_transformers import agl_open_engine

from agl_core.engine import Checkpoint
from agl_core.testing import EngineContract


class TestTransformers(EngineContract):
    """With a model of random weights."""

    @pytest.fixture
    def engine(self, folder):
        """Not started."""
        return agl_open_engine(url=f"transformers:{folder}?threads=1", name="policy")

    @pytest.fixture
    def checkpoint(self, folder):
        """The weights it starts with."""
        return Checkpoint(digest="b2:test", folder=folder)
