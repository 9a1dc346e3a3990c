"""What SQLite says, in errors of ours."""

from __future__ import annotations

import sqlite3

from agl_core.errors import LogBusy, LogCorrupt

__all__ = ["explained", "is_damage"]

_DAMAGE = (sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB)
_BUSY = (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def is_damage(error: BaseException) -> bool:
    """Whether SQLite says that the file itself is broken; a refused row, or a busy file, is not that."""
    return _code(error) in _DAMAGE


def explained(error: BaseException, path: str) -> BaseException:
    """The coded error that says what `error` means for the log at `path`; any other comes back as it is."""
    if is_damage(error):
        return LogCorrupt(path, why=str(error))
    if _code(error) in _BUSY:
        return LogBusy(path)
    return error


def _code(error: BaseException) -> int:
    return int(getattr(error, "sqlite_errorcode", 0)) & 0xFF  # the extended codes are in the upper bytes
