"""The SQLite log keeps what every log promises, in a file and in memory."""

import pytest

from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.testing import LogContract


class TestFile(LogContract):
    """A file of the user's."""

    @pytest.fixture
    def open_log(self, tmp_path):
        """The same path each time."""
        return lambda **options: SqliteLog(tmp_path / "log.db", projections=CORE, **options)


class TestMemory(LogContract):
    """`:memory:`: opened once, and found again by its URL."""

    @pytest.fixture
    def open_log(self):
        """In memory the first time, then where that is."""
        opened = []

        def open_log(**options):
            path = opened[0].path if opened else ":memory:"
            opened.append(SqliteLog(path, projections=CORE, **options))
            return opened[-1]

        return open_log


def test_memory_is_gone_when_it_is_closed():
    """It is a file in a private folder, and nothing of it stays."""
    log = SqliteLog(":memory:")
    folder = log.path.parent

    log.close()

    assert not folder.exists()
