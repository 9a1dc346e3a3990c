"""Images of a run's log, as a process that dies leaves it: taken whenever a fact of the run is about to be kept."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import sqlite3
import threading
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

from agl_core.errors import LogGone
from agl_core.events import MetricsLogged, RunFinished, RunStarted, RunStopAsked
from agl_core.hookspecs import hookimpl
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft

__all__ = [
    "RUN",
    "Camera",
    "Image",
    "Interrupter",
    "Movement",
    "asked_to_stop",
    "copied",
    "is_boundary",
    "movements",
    "tampered",
]

RUN = "run-contract"
"""Id of every run of the contract."""
_DEAD = "another boot|1|0"
"""A process that nobody takes for a living one."""
_APART = ("rollout.", "call.", "test.")
"""What has a key of the run, and is no movement's record."""


def is_boundary(draft: Draft) -> bool:
    """Whether it is a fact of the run's own story: what an algorithm does leaves one, or several."""
    is_its_own = draft.stream == f"run/{RUN}" or (draft.key or "").startswith(f"{RUN}/")
    return is_its_own and not isinstance(draft.event, RunStarted)


@dataclass(frozen=True, slots=True, kw_only=True)
class Image:
    """The disk of a process that was killed."""

    path: Path
    before: str
    """What was not kept any more."""
    head: int
    """The last position that was."""


class Camera:
    """A plugin that takes an image before each fact of the run; where nothing was kept since the last, none."""

    def __init__(self, path: Path) -> None:
        self.images: list[Image] = []
        self.boundaries = 0
        """Facts of the run that were kept, the last one left out."""
        self._path, self._folder = path, path.with_suffix(".images")
        self._lock = threading.Lock()
        self._folder.mkdir(exist_ok=True)

    @hookimpl
    def agl_redact(self, draft: Draft) -> None:
        """Everything that is kept comes by here first."""
        if not is_boundary(draft):
            return
        with self._lock:
            self.boundaries += not isinstance(draft.event, RunFinished)
            head = _head(self._path)
            if self.images and self.images[-1].head == head:
                return
            path = self._folder / f"{len(self.images)}.db"
            _copy(self._path, path)
            self.images.append(Image(path=path, before=f"{draft.event.type} {draft.key or ''}".rstrip(), head=head))


class Interrupter:
    """A plugin that presses Ctrl-C when a certain fact of the run is about to be kept."""

    def __init__(self, at: int) -> None:
        self._left, self._lock = at, threading.Lock()

    @hookimpl
    def agl_redact(self, draft: Draft) -> None:
        """Counts."""
        if not is_boundary(draft):
            return
        with self._lock:
            self._left -= 1
            if self._left == 0:
                signal.pthread_kill(threading.main_thread().ident or 0, signal.SIGINT)


@dataclass(frozen=True, slots=True, kw_only=True)
class Movement:
    """What a run's log has of a movement."""

    position: int
    key: str
    type: str
    scope: str
    kind: str
    """`step`, `rollouts`, `publish`, ...; `log` of metrics."""


def movements(log: SqliteLog) -> list[Movement]:
    """In the order in which they were recorded."""
    sql = "select position, key, type from events where key is not null and (key like ? or type = ?) order by position"
    found = []
    for position, key, type_ in log.rows(sql, (f"{RUN}/%", MetricsLogged.type)):
        if type_ == MetricsLogged.type:
            found.append(Movement(position=position, key=key, type=type_, scope="", kind="log"))
        elif key.count("/") >= 4 and not type_.startswith(_APART):
            _, scope, kind, *_ = key.split("/")
            found.append(Movement(position=position, key=key, type=type_, scope=scope, kind=kind))
    return found


def copied(image: Image, path: Path) -> Path:
    """A copy of the image, to go on from."""
    shutil.copyfile(image.path, path)
    _link(_artefacts(image.path), _artefacts(path))
    return path


def asked_to_stop(path: Path) -> None:
    """Somebody asks the run to stop, before it is resumed."""
    with SqliteLog(path, projections=CORE) as log:
        event = RunStopAsked(run_id=RUN, why="enough", by="contract")
        log.append([Draft(stream=f"run/{RUN}", event=event, correlation_id=RUN)])


def tampered(path: Path, movement: Movement) -> None:
    """Let the log say that the algorithm asked for something else there than it did."""
    with closing(sqlite3.connect(path)) as db, db:
        if movement.kind == "rollouts":
            db.execute("update rollouts set task_id = 'ta-other' where grp = ?", (movement.key,))
            return
        guards = db.execute("select name, sql from sqlite_master where type = 'trigger' and tbl_name = 'events'")
        triggers = guards.fetchall()
        for name, _ in triggers:
            db.execute(f"drop trigger {name}")
        (text,) = db.execute("select data from events where position = ?", (movement.position,)).fetchone()
        data = json.dumps(_other(json.loads(text)), sort_keys=True)
        db.execute("update events set data = ? where position = ?", (data, movement.position))
        for _, sql in triggers:
            db.execute(sql)


def _other(data: dict[str, object]) -> dict[str, object]:
    """The same record of another movement."""
    if data.get("groups"):
        return {**data, "groups": [1_000_000]}
    for name in ("digest", "checkpoint", "why"):
        if name in data and not (name == "why" and "resources" in data):
            return {**data, name: f"another {name}"}
    resources = data["resources"]
    assert isinstance(resources, dict)
    return {**data, "resources": {name: {**one, "other": True} for name, one in resources.items()}}


def _head(path: Path) -> int:
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db:
        return int(db.execute("select coalesce(max(position), 0) from events").fetchone()[0])


def _copy(path: Path, target: Path) -> None:
    """The file as of its last commit, and the artefacts beside it; whoever held something in it is dead."""
    if not path.exists():
        raise LogGone(str(path))
    with closing(sqlite3.connect(f"file:{path}?mode=ro", uri=True)) as db, closing(sqlite3.connect(target)) as copy:
        db.backup(copy)
        with copy:
            copy.execute("update in_flight set owner = ?", (f"{socket.gethostname()}|{_DEAD}",))
    _link(_artefacts(path), _artefacts(target))


def _artefacts(path: Path) -> Path:
    return path.with_name(path.name + ".d")


def _link(source: Path, target: Path) -> None:
    for folder, _, names in os.walk(source):
        place = target / Path(folder).relative_to(source)
        place.mkdir(parents=True, exist_ok=True)
        for name in names:
            with suppress(FileNotFoundError):  # what is in the making may get its name, or go, meanwhile
                os.link(Path(folder) / name, place / name)
