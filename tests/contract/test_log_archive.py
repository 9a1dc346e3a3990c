"""An export, opened as a log, keeps what every log promises to its readers."""

import pytest

import agl_core as agl
from agl_core.export import export_log
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.testing import LogReadingContract


class TestArchive(LogReadingContract):
    """Whatever file it lies in."""

    @pytest.fixture(params=["parquet", "duckdb", "jsonl"])
    def holding(self, tmp_path, request):
        """Written to a log, exported, and opened by its name."""
        opened = []

        def hold(drafts):
            with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
                log.append(drafts)
                path = export_log(log, tmp_path / f"run.{request.param}").path
            opened.append(agl.open_log(str(path), readonly=True))
            return opened[0]

        yield hold
        opened[0].close()
