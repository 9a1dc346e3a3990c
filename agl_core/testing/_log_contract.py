"""What every log promises, as tests to inherit."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from agl_core.log import SqliteLog
from agl_core.testing._log_sharing import OpenLog, Sharing
from agl_core.testing._log_writing import Writing

__all__ = ["LogContract"]


class LogContract(Writing, Sharing):
    """Inherit, and override `open_log`."""

    @pytest.fixture
    def open_log(self) -> OpenLog:
        """Opens the log of this test: the same place each time, with the core's projections.

        Takes `readonly=`. `agl_core.open_log(log.url)` must open the same log in another process.
        """
        raise NotImplementedError("override the fixture `open_log`")

    @pytest.fixture
    def log(self, open_log: OpenLog) -> Iterator[SqliteLog]:
        """An empty log, closed after the test."""
        log = open_log()
        yield log
        log.close()
