"""What goes wrong with the log."""

from __future__ import annotations

from agl_core.errors._base import AglError

__all__ = [
    "BadQuery",
    "ContentErased",
    "DiskFailed",
    "KeyReused",
    "LogBusy",
    "LogCorrupt",
    "LogError",
    "LogExists",
    "LogFull",
    "LogGone",
    "LogNotFound",
    "LogReadOnly",
    "LogTooNew",
    "LogUnsupported",
    "QueryCut",
    "VersionConflict",
]


class LogError(AglError):
    """The log refused, or cannot be what it should be."""

    code = "LOG_ERROR"


class VersionConflict(LogError):
    """Somebody else wrote to the stream first."""

    code = "VERSION_CONFLICT"

    def __init__(self, stream: str, *, expected: int, actual: int) -> None:
        super().__init__(
            f"stream {stream!r} is at version {actual}, not {expected}: read it again, then decide again",
            stream=stream,
            expected=expected,
            actual=actual,
        )


class KeyReused(LogError):
    """An idempotency key came back with other content."""

    code = "KEY_REUSED"

    def __init__(self, key: str, *, position: int, differs: str) -> None:
        super().__init__(
            f"key {key!r} already names the event at position {position}, with another {differs}: "
            "use a new key for a new fact",
            key=key,
            position=position,
            differs=differs,
        )


class LogCorrupt(LogError):
    """The file is not a log, or is damaged."""

    code = "LOG_CORRUPT"

    def __init__(self, path: str, *, why: str, cure: str = "") -> None:
        mend = f"Restore a copy, or save what is left with `agl log recover {path} NEW`"
        super().__init__(
            f"{path} cannot be read as a log: {why}. {cure or mend}",
            path=path,
            why=why,
        )


class LogTooNew(LogError):
    """The file was written by a later release."""

    code = "LOG_TOO_NEW"

    def __init__(self, path: str, *, what: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} has {what} at version {found}; this release knows {known}: upgrade agl-core to open it",
            path=path,
            what=what,
            found=found,
            known=known,
        )


class LogReadOnly(LogError):
    """This process may read the log, and not write to it."""

    code = "LOG_READ_ONLY"

    def __init__(self, path: str, *, why: str, cure: str) -> None:
        super().__init__(f"{path} is open for reading only: {why}. {cure}", path=path, why=why, cure=cure)


class LogNotFound(LogError):
    """There is no log at that place."""

    code = "LOG_NOT_FOUND"

    def __init__(self, url: str) -> None:
        super().__init__(f"no log at {url}: check the path, or start a run with `--log {url}`", url=url)


class LogExists(LogError):
    """A copy would be written over something."""

    code = "LOG_EXISTS"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already: choose another name, or remove it first", path=path)


class LogGone(LogError):
    """The file is not where it was opened any more: what would be written to it now, nobody would ever read."""

    code = "LOG_GONE"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} was removed or replaced while it was open: nothing was written. Put the file back, or open the "
            "log again to begin a new one",
            path=path,
        )


class LogFull(LogError):
    """There is no space left for what was to be written; nothing of it was."""

    code = "LOG_FULL"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"{path} cannot grow: {why}. Nothing was written; make space, and write again: the log goes on",
            path=path,
            why=why,
        )


class DiskFailed(LogError):
    """The disk did not do what it was told."""

    code = "DISK_FAILED"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"{path} could not be read or written: {why}. What was not acknowledged may be lost; look at the disk, "
            "then run `agl log verify --deep`",
            path=path,
            why=why,
        )


class ContentErased(LogError):
    """What was asked for was erased from the log on purpose."""

    code = "CONTENT_ERASED"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the content of {what} was erased on purpose: `blobs.erased` in the log says when and why; only a copy "
            "made before has it",
            what=what,
        )


class LogUnsupported(LogError):
    """No plugin opens this URL, or a live run must not write there."""

    code = "LOG_UNSUPPORTED"

    def __init__(self, url: str, *, why: str, cure: str) -> None:
        super().__init__(f"cannot open {url!r} as a log: {why}. {cure}", url=url, why=why, cure=cure)


class LogBusy(LogError):
    """Somebody else held the file for longer than we wait."""

    code = "LOG_BUSY"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is being written by another process: wait for it, and try again", path=path)


class BadQuery(LogError):
    """A query that cannot be answered from the log."""

    code = "BAD_QUERY"

    def __init__(self, why: str) -> None:
        super().__init__(f'{why.strip()}\n`agl log query "show tables"` lists what there is to ask', why=why)


class QueryCut(LogError):
    """A query was stopped before its answer was whole."""

    code = "QUERY_CUT"

    def __init__(self, at: str, *, cure: str) -> None:
        super().__init__(f"the answer was cut at {at}, and there is more. {cure}", at=at, cure=cure)
