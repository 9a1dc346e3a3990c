"""What SQLite says, in errors of ours."""

from __future__ import annotations

import sqlite3

from agl_core.errors import DiskFailed, LogBusy, LogCorrupt, LogFull, LogReadOnly

__all__ = ["READ", "explained", "is_busy", "is_damage"]

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_FULL = (sqlite3.SQLITE_IOERR_WRITE, sqlite3.SQLITE_IOERR_SHMSIZE, sqlite3.SQLITE_IOERR_SHMOPEN)
"""What a quota, or a limit on the size of files, comes as; a disk that is full has a code of its own."""
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)
_DENIED = (sqlite3.SQLITE_READONLY, sqlite3.SQLITE_CANTOPEN, sqlite3.SQLITE_PERM)
READ = "Open it with `readonly=True`, name another by `--log`, or copy it to a folder that you may write to"
"""The cure for whoever may not write."""


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken; a refused row, or a busy file, is not that."""
    return _code(error) in _DAMAGE


def is_busy(error: BaseException) -> bool:
    """Whether somebody else holds the file just now."""
    return _code(error) in _BUSY


def explained(error: BaseException, path: str) -> BaseException:
    """The coded error that says what `error` means for the log at `path`; any other comes back as it is."""
    if is_damage(error):
        return LogCorrupt(path, why=str(error))
    if is_busy(error):
        return LogBusy(path)
    if _code(error) == sqlite3.SQLITE_FULL or getattr(error, "sqlite_errorcode", 0) in _FULL:
        return LogFull(path, why=str(error))
    if _code(error) == sqlite3.SQLITE_IOERR:
        return DiskFailed(path, why=f"{error} ({getattr(error, 'sqlite_errorname', '')})")
    if _code(error) in _DENIED:
        return LogReadOnly(path, why=f"the file or its folder may not be written here ({error})", cure=READ)
    return error


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the extended codes are in the upper bytes
