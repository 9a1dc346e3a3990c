"""The test double for an engine keeps what every engine promises."""

from pathlib import Path

import pytest

from agl_core.engine import Checkpoint
from agl_core.testing import EngineContract, ScriptedEngine


class TestScripted(EngineContract):
    """It says the same whatever it loads."""

    @pytest.fixture
    def engine(self):
        """With a short context, so that a prompt can be too long for it."""
        return ScriptedEngine("said", max_len=1024)

    @pytest.fixture
    def checkpoint(self):
        """Never read."""
        return Checkpoint(digest="b2:00", folder=Path("/nowhere"))
