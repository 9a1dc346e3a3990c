"""The file: made and brought up to date, refused when it is damaged, foreign or from a later release."""

from __future__ import annotations

import contextlib
import os
import re
import sqlite3
from collections.abc import Iterator, Sequence
from pathlib import Path

from agl_core.errors import AglError, LogCorrupt, LogNotFound, LogReadOnly, LogTooNew, LogUnsupported
from agl_core.log._failures import READ, explained
from agl_core.log._layout import LAYOUT, bring_up, statements
from agl_core.log._protocol import Projection

__all__ = ["address", "check", "connect", "install", "make", "nowhere", "refuse_foreign", "transaction"]

_ESCAPE = re.compile(r"\\(\d{3})")
"""How the kernel writes a blank in the name of a mount."""
_LEAST = 512
_PLACE = "Choose a file you may read and write, on a local disk"

APPLICATION = 0x41474C31  # "AGL1"
BUSY_MS = 60_000

_NETWORK = {"nfs", "nfs4", "cifs", "smb3", "smbfs", "lustre", "fuse.sshfs", "9p", "afs", "beegfs", "gpfs", "glusterfs"}


def connect(path: Path, *, readonly: bool = False) -> sqlite3.Connection:
    """A connection that commits when told to, waits for others, and may cross threads."""
    return _connected(address(path, readonly=readonly))


def nowhere() -> sqlite3.Connection:
    """A connection to nothing, to attach a file to."""
    return _connected("file::memory:")


def _connected(to: str) -> sqlite3.Connection:
    db = sqlite3.connect(to, uri=True, timeout=BUSY_MS / 1000, isolation_level=None, check_same_thread=False)
    db.execute("pragma foreign_keys = off")
    return db


def address(path: Path, *, readonly: bool = False) -> str:
    """The path as SQLite takes it, with what may be done to the file."""
    mode = ""
    if readonly:
        mode = "?mode=ro&immutable=1" if _is_still(path) else "?mode=ro"
    return f"file:{_quoted(path)}{mode}"


def _is_still(path: Path) -> bool:
    """Nobody writes, and we may not make the files beside it that even readers need: a medium that is read-only."""
    return not os.access(path.parent, os.W_OK) and not path.with_name(path.name + "-wal").exists()


@contextlib.contextmanager
def transaction(db: sqlite3.Connection) -> Iterator[None]:
    """All of what is written while it lasts, or nothing."""
    db.execute("begin immediate")
    try:
        yield
    except BaseException:
        if db.in_transaction:  # SQLite itself ends it on some errors
            db.execute("rollback")
        raise
    db.execute("commit")


def make(path: Path) -> None:
    """The file and its folder, private and empty, unless they are there."""
    _refuse_network(path)
    _refuse_folder(path)
    if path.exists() and path.stat().st_size > 0:
        return
    try:
        if not path.parent.exists():
            path.parent.mkdir(parents=True, mode=0o700)
        os.close(os.open(path, os.O_CREAT | os.O_RDWR, 0o600))
    except OSError as error:
        raise LogUnsupported(str(path), why=str(error.strerror), cure=_PLACE) from None


def check(path: Path, *, readonly: bool = False) -> None:
    """Bring the file up to date, and refuse what cannot be trusted."""
    _refuse_folder(path)
    size = path.stat().st_size if path.is_file() else None
    if readonly and (size == 0 or not path.exists()):
        raise LogNotFound(str(path))
    if size and size < _LEAST:
        # SQLite takes it for an empty database, and a new log would be written over what is left.
        raise LogCorrupt(str(path), why=f"it has {size} bytes, and the first page alone has {_LEAST}")
    _refuse_network(path)
    if not readonly and size is not None and not os.access(path, os.W_OK):
        # SQLite would open it all the same, and say so at the first write.
        raise LogReadOnly(str(path), why="this user may not write to the file", cure=READ)
    try:
        _check_and_migrate(path, readonly=readonly)
    except sqlite3.DatabaseError as error:
        told = explained(error, str(path))
        if path.is_file() and isinstance(told, AglError) and not (readonly and isinstance(told, LogReadOnly)):
            raise told from None
        raise LogUnsupported(str(path), why=str(error), cure=_PLACE) from None


def _check_and_migrate(path: Path, *, readonly: bool) -> None:
    db = connect(path, readonly=readonly)
    try:
        application = db.execute("pragma application_id").fetchone()[0]
        found = db.execute("pragma user_version").fetchone()[0]
        if application not in (0, APPLICATION) or (application == 0 and _has_tables(db)):
            raise LogCorrupt(str(path), why="it is an SQLite file, and not a log of ours", cure="Name another file")
        if found > LAYOUT:
            raise LogTooNew(str(path), what="the file layout", found=found, known=LAYOUT)
        if found < LAYOUT:
            if readonly:
                raise LogReadOnly(str(path), why="its layout is older", cure="Run `agl log rebuild` to bring it up")
            _migrate(db)
    finally:
        db.close()


def _migrate(db: sqlite3.Connection) -> None:
    # WAL is a property of the file; 4 KiB pages suit the single inserts of live runs.
    db.execute("pragma journal_mode = wal")
    # Two processes may open a new file at once: the second waits here and finds the work done.
    with transaction(db):
        bring_up(db)
        db.execute(f"pragma application_id = {APPLICATION}")
        db.execute(f"pragma user_version = {LAYOUT}")


def install(db: sqlite3.Connection, projections: Sequence[Projection]) -> list[Projection]:
    """Make the tables of projections the file does not have yet, and return those, to be folded."""
    known = {name for (name,) in db.execute("select name from projections")}
    new = []
    for projection in projections:
        if projection.name not in known:
            for statement in statements(";".join(projection.tables.values())):
                db.execute(statement)
            db.execute("insert into projections values (?, ?)", (projection.name, projection.version))
            new.append(projection)
    return new


def refuse_foreign(db: sqlite3.Connection, projections: Sequence[Projection]) -> None:
    """A writer must bring every projection of the file, as the file has them."""
    known = dict(db.execute("select name, version from projections"))
    ours = {projection.name: projection.version for projection in projections}
    if foreign := sorted(name for name in known if name not in ours):
        raise LogReadOnly(
            _name(db),
            why=f"it keeps tables this process does not know ({', '.join(foreign)}), which would fall behind",
            cure="Open it with `agl.open_log`, which brings all of them",
        )
    for name, found in known.items():
        if found != ours[name]:
            raise LogReadOnly(
                _name(db),
                why=f"its tables of {name!r} are at version {found}, this release makes {ours[name]}",
                cure="Run `agl log rebuild` with this release, when no other process uses the log",
            )


def _has_tables(db: sqlite3.Connection) -> bool:
    return bool(db.execute("select count(*) from sqlite_master").fetchone()[0])


def _name(db: sqlite3.Connection) -> str:
    return str(db.execute("pragma database_list").fetchone()[2])


def _quoted(path: Path) -> str:
    from urllib.parse import quote

    # Its bytes: where the locale is plain ASCII, letters of a path are no text that can be encoded.
    return quote(os.fsencode(path))


def _refuse_folder(path: Path) -> None:
    if path.is_dir():
        raise LogUnsupported(str(path), why="it is a folder", cure="Name a file in it, such as log.db")


def _refuse_network(path: Path) -> None:
    """WAL needs shared memory between processes, which network file systems only pretend to have."""
    try:
        mounts = [line.split() for line in Path("/proc/mounts").read_text().splitlines()]
    except OSError:
        return
    at = path.resolve()
    places = [(_ESCAPE.sub(lambda found: chr(int(found[1], 8)), mount[1]), mount[2]) for mount in mounts]
    under = [(len(place), kind) for place, kind in places if at.is_relative_to(place)]
    kind = max(under, default=(0, ""))[1]
    if kind in _NETWORK:
        raise LogUnsupported(str(path), why=f"it lies on a network file system ({kind})", cure="Put it on a local disk")
