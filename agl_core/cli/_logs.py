"""Which log a command means, and which thing in it an id means."""

from __future__ import annotations

import os
import sqlite3
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from difflib import get_close_matches
from pathlib import Path
from typing import TYPE_CHECKING

import click

from agl_core.errors import BadValue, LogBusy, LogCorrupt, LogNotFound, LogReadOnly, LogUnsupported, UnknownId

if TYPE_CHECKING:
    from agl_core.log import SqliteLog

__all__ = [
    "DEFAULT",
    "busy_is_said",
    "find",
    "find_either",
    "open_log",
    "position",
    "store_url",
    "there",
    "where",
    "within",
]

DEFAULT = ".agl/log.db"
_SHOWN = 5
_PREFIX = {"run": "run", "rollout": "ro", "call": "ca", "batch": "ba", "resource": "rs"}
_BY_ID = {
    "run": "select run_id from runs where run_id {} and position <= {} order by 1 desc limit {}",
    "rollout": "select rollout_id from rollouts where rollout_id {} and position <= {} order by 1 desc limit {}",
    "call": "select call_id from calls where call_id {} and position <= {} order by 1 desc limit {}",
    "batch": "select batch_id from batches where batch_id {} and position <= {} order by 1 desc limit {}",
    "resource": (
        "select distinct resources_id from resources where resources_id {} and position <= {} order by 1 desc limit {}"
    ),
}


def where(given: str | None) -> tuple[Path, str]:
    """The path, and who chose it."""
    if given:
        return _path(given), "--log"
    if named := os.environ.get("AGL_LOG"):
        return _path(named), "AGL_LOG"
    return Path(DEFAULT).absolute(), "the default, as neither --log nor AGL_LOG names another"


def _path(given: str) -> Path:
    scheme, found, rest = given.partition("://")
    if not found:
        return Path(given).expanduser().absolute()
    if scheme not in {"sqlite", "duckdb"}:
        raise LogUnsupported(given, why=f"no command reads {scheme} logs", cure="Use a path, or sqlite:///path")
    # As everywhere in Python: sqlite:///relative.db and sqlite:////absolute.db.
    return Path(rest.removeprefix("/").partition("?")[0]).absolute()


def there(given: str | None) -> Path:
    """The path of a log that there is, and that is no export: for what writes to it, or needs it as a file of ours."""
    from agl_core.log import Format

    path = where(given)[0]
    if not path.exists():
        raise LogNotFound(str(path))
    if Format.of(path) not in {Format.SQLITE, None}:
        raise LogReadOnly(str(path), why="it is an export", cure=f"Make a log of it: `agl log import {path} run.db`")
    return path


def store_url(given: str | None) -> str:
    """Where a run is to write: a path, or an address that a plugin may know."""
    scheme, is_url, rest = (given or os.environ.get("AGL_LOG", "")).partition("://")
    if given and is_url and scheme != "sqlite":
        return given
    path, _ = where(given)
    options = rest.partition("?")[2]
    return f"sqlite:///{path}?{options}" if options else str(path)


@contextmanager
def open_log(given: str | None, *, projections: bool = False, at: str | None = None) -> Iterator[SqliteLog]:
    """The log or export, as it stands or as it was `at` a position, for reading only: nothing a person looks at may
    change what is looked at."""  # noqa: D205, D209 - one sentence
    path, chosen = where(given)
    try:
        log = _opened(path, projections=projections or at is not None)
    except LogNotFound as error:
        error.add_note(f"looked there by {chosen}")
        raise
    except OSError as error:
        raise LogUnsupported(str(path), why=str(error.strerror), cure="Choose a file you may read") from None
    try:
        with log, busy_is_said(path):
            then = None if at is None else position(log, at, "--at")
            yield log if then is None else log.at(then)
    finally:
        log.close()


def _opened(path: Path, *, projections: bool) -> SqliteLog:
    from agl_core.log import Archive, Format, SqliteLog
    from agl_core.projections import CORE

    if Format.meant(path) == Format.SQLITE:
        return SqliteLog(path, readonly=True, projections=CORE if projections else ())
    if not sys.stderr.isatty():
        return Archive(path, projections=CORE)
    archive = Archive(
        path, projections=CORE, progress=lambda done: click.echo(f"\r{done} events read", nl=False, err=True)
    )
    click.echo("\r\x1b[2K", nl=False, err=True)
    return archive


def position(log: SqliteLog, given: str, option: str) -> int | None:
    """The position that is meant; None for `now`, which is wherever the log ends."""
    if given.strip().lower() == "now":
        return None
    head = log.head()
    try:
        meant = int(given)
    except ValueError:
        meant = 0
    if not 0 < meant <= head:
        raise BadValue(option, given, why=f"the log's positions are 1 to {head}, and the last is `now`")
    return meant


def within(log: SqliteLog, stream: str) -> SqliteLog:
    """The log; of a past, with tables of that stream alone, which are there at once."""
    from agl_core.log import Past

    return log.within(stream) if isinstance(log, Past) else log


@contextmanager
def busy_is_said(path: Path) -> Iterator[None]:
    """What SQLite says of a file that is held, or that is not what it was, as errors of ours."""
    try:
        yield
    except sqlite3.OperationalError as error:
        if "locked" in str(error) or "busy" in str(error):
            raise LogBusy(str(path)) from None
        if "no such table" in str(error):
            cure = "Run `agl log rebuild` to make it"
            raise LogUnsupported(
                str(path), why=f"it has {error}".replace("it has no such", "it has no"), cure=cure
            ) from None
        raise LogCorrupt(str(path), why=str(error)) from None
    except sqlite3.DatabaseError as error:
        raise LogCorrupt(str(path), why=str(error)) from None


def find(log: SqliteLog, kind: str, given: str) -> str:
    """The one id that is `given`, or begins with it; with or without its `ro-`."""
    found = _beginning(log, kind, given)
    if given and len(found) == 1:
        return found[0]
    if given and found:
        shown = ", ".join(found[:_SHOWN]) + (", ..." if len(found) > _SHOWN else "")
        raise BadValue(f"{kind} id", given, why=f"more than one begins so: {shown}")
    error = UnknownId(kind, given)
    near = get_close_matches(given.lower(), _recent(log, kind), n=3, cutoff=0.9)
    if near:
        error.add_note(f"did you mean {' or '.join(near)}?")
    raise error


def find_either(log: SqliteLog, given: str) -> str:
    """The id of the run, or else of the rollout, that `given` is, or begins with it."""
    if not given.lower().startswith("ro-"):
        try:
            return find(log, "run", given)
        except UnknownId:
            if given.lower().startswith("run"):
                raise
    return find(log, "rollout", given)


def _beginning(log: SqliteLog, kind: str, given: str) -> list[str]:
    """The id that is `given`; else those that begin with it, a few of them."""
    if exact := _ids(log, kind, "= ?", given):
        return exact
    start = given.lower()
    found: list[str] = []
    for prefix in (start, f"{_PREFIX[kind]}-{start}"):
        # A range, not `like`: it uses the index, and `_` in an id is no wildcard.
        found += _ids(log, kind, "between ? and ?", prefix, prefix + "~")
    return found


def _recent(log: SqliteLog, kind: str) -> list[str]:
    return _ids(log, kind, "is not null", limit=2000)


def _ids(log: SqliteLog, kind: str, which: str, *given: str, limit: int = _SHOWN + 1) -> list[str]:
    """Those of a past are looked for in the tables of the head: they need not be folded for it."""
    from agl_core.log import Past

    tables, until = (log.source, str(log.position)) if isinstance(log, Past) else (log, "position")
    rows = tables.rows(_BY_ID[kind].format(which, until, limit), given)
    return [id_ for (id_,) in rows]
