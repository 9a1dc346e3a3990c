"""A file made of facts that have their places already: how logs are copied, imported and mended."""

from __future__ import annotations

import contextlib
import os
import sqlite3
import tempfile
from collections.abc import Callable, Iterable, Sequence
from itertools import islice
from pathlib import Path

from agl_core.codec import Codec
from agl_core.errors import LogExists
from agl_core.log import _schema, _seals
from agl_core.log._blobs import place
from agl_core.log._in_flight import COPIED, InFlight
from agl_core.log._owner import Owner
from agl_core.log._protocol import Projection
from agl_core.log._sqlite import SqliteLog
from agl_core.log._stored import Stored

__all__ = ["assemble"]

_BATCH = 500


def assemble(
    path: Path,
    facts: Iterable[Stored],
    *,
    projections: Sequence[Projection] = (),
    codec: Codec | None = None,
    seals: Iterable[tuple[int, bytes]] = (),
    secret: bytes | None = None,
    progress: Callable[[int], None] = lambda _position: None,
) -> int:
    """Write a new log of `facts` with its tables; its last position. It takes its name when all of it is on the disk.

    `seals` are kept as they are; what stands behind the last of them is sealed anew. `secret` is the log's own key,
    when the copy is to go on as the same log. Raises `LogExists` when something is at `path`.
    """
    if path.exists():
        raise LogExists(str(path))
    path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
    with tempfile.TemporaryDirectory(prefix=f".{path.name}-", dir=path.parent) as folder:
        part = Path(folder, path.name)
        _schema.make(part)
        _schema.check(part)
        with contextlib.closing(_schema.connect(part)) as db:
            head = _fill(db, facts, progress)
            db.executemany("insert into seals values (?, ?)", (one for one in seals if one[0] <= head))
            _seals.seal(db)
            # What was under way there has no lease here: the first store that writes settles it.
            InFlight(db).put(COPIED, "attempts", owner=Owner.me())
            if secret is not None:
                db.execute("update secrets set value = ? where name = 'log'", (secret,))
        SqliteLog(part, projections=projections, codec=codec).close()  # folds the tables
        _settle(part, path)
    return head


def _fill(db: sqlite3.Connection, facts: Iterable[Stored], progress: Callable[[int], None]) -> int:
    db.execute("pragma synchronous = off")  # a crash leaves nothing under the name anyway
    position = 0
    rest = iter(facts)
    while batch := list(islice(rest, _BATCH)):
        db.execute("begin")
        for one in batch:
            position = one.row[0]
            db.execute("insert into events values (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)", one.row)
            db.executemany(
                "insert into blobs values (?, ?, ?) on conflict (id) do nothing",
                ((place(position, number), id_, content) for number, (id_, content) in enumerate(one.blobs)),
            )
        db.execute("commit")
        progress(position)
    return position


def _settle(part: Path, path: Path) -> None:
    """Give it its name. Unlike a rename, a link never replaces what has come there meanwhile."""
    with part.open("rb") as file:
        os.fsync(file.fileno())
    try:
        os.link(part, path)
    except FileExistsError:
        raise LogExists(str(path)) from None
    except OSError:  # a file system without links
        part.rename(path)
