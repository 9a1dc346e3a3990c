"""What every log promises, as tests to inherit."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import pytest

from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.testing._log_reading import Holding, Reading
from agl_core.testing._log_sharing import OpenLog, Sharing
from agl_core.testing._log_writing import Writing

__all__ = ["LogContract", "LogReadingContract"]


class LogReadingContract(Reading):
    """What a log keeps that is only read. Inherit, and override `holding`."""


class LogContract(Reading, Writing, Sharing):
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

    @pytest.fixture
    def holding(self, log: SqliteLog) -> Holding:
        """They are appended."""

        def hold(drafts: Sequence[Draft]) -> SqliteLog:
            log.append(drafts)
            return log

        return hold
