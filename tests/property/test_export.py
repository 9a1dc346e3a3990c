"""Whatever was recorded goes out to a file and comes back as the same rows, blobs and seals."""

from pathlib import Path
from tempfile import TemporaryDirectory

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.errors import AglError
from agl_core.export import export_log, import_log
from agl_core.log import Format, SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.testing import strategies

KEPT = (
    "select * from events order by position",
    "select id, content from blobs order by place",
    "select * from seals order by position",
)


@pytest.mark.parametrize("kind", [Format.PARQUET, Format.JSONL])
def test_nothing_is_lost_on_the_way(kind):
    """Any event of the vocabulary, and of none, in any grouping."""

    @settings(max_examples=15, deadline=None)
    @given(st.lists(st.lists(st.one_of(strategies.events(), strategies.unknowns()), max_size=4), max_size=4))
    def holds(groups):
        with TemporaryDirectory() as name:
            folder = Path(name)
            with SqliteLog(folder / "log.db", projections=CORE) as log:
                for group in groups:
                    try:
                        log.append([Draft(stream="log", event=event) for event in group])
                    except AglError:
                        continue  # what the log refuses is no fact
                out = export_log(log, folder / f"out.{kind}")
                import_log(out.path, folder / "back.db")
                with SqliteLog(folder / "back.db", readonly=True) as back:
                    assert [back.rows(sql) for sql in KEPT] == [log.rows(sql) for sql in KEPT]

    holds()
