"""Files to read back: a log of ours, and a bare table that holds the same events as whole JSON."""

from __future__ import annotations

import sqlite3
import tempfile
from contextlib import ExitStack, closing
from pathlib import Path

import msgspec

from bench._contestants._drafts import batches, drafts
from bench._contestants._logs import open_log

__all__ = ["Files"]


class Files:
    """Made once, by how many events are in them, and kept until the process ends."""

    def __init__(self, ending: ExitStack) -> None:
        self._folder = Path(ending.enter_context(tempfile.TemporaryDirectory(prefix="agl-bench-")))

    def log(self, count: int, event: str = "call") -> Path:
        """A log of so many events."""
        path = self._folder / f"log-{event}-{count}.db"
        if not path.exists():
            log = open_log(path)
            for some in batches(drafts(count, event=event), 1000):
                log.append(some)
            log.close()
        return path

    def table(self, count: int) -> Path:
        """A table of the same calls: a position, and the event as JSON with nothing kept elsewhere."""
        path = self._folder / f"table-{count}.db"
        if not path.exists():
            with closing(sqlite3.connect(path)) as db:
                db.execute("create table events (position integer primary key, data blob not null)")
                rows = ((msgspec.json.encode(draft.event),) for draft in drafts(count, event="call"))
                db.executemany("insert into events (data) values (?)", rows)
                db.commit()
        return path
