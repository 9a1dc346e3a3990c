"""What goes wrong when what others wrote is taken into a log."""

from __future__ import annotations

from agl_core.errors._base import AglError

__all__ = [
    "ImportChanged",
    "ImportLineBad",
    "ImportRefused",
    "ImportStillOpen",
    "ImportWrongFormat",
    "ImportingError",
]


class ImportingError(AglError):
    """What was to be taken in was not, or not all of it."""

    code = "IMPORTING_ERROR"


class ImportRefused(ImportingError):
    """Nothing can be read where the source should be."""

    code = "IMPORT_REFUSED"

    def __init__(self, source: str, *, why: str, cure: str) -> None:
        super().__init__(f"{source} cannot be imported: {why}. {cure}", source=source, why=why, cure=cure)


class ImportWrongFormat(ImportingError):
    """The source is written in another format than the one that was named."""

    code = "IMPORT_WRONG_FORMAT"

    def __init__(self, source: str, *, format: str, looks_like: str, cure: str) -> None:
        super().__init__(
            f"{source} is not {format}: it looks like {looks_like}. {cure}",
            source=source,
            format=format,
            looks_like=looks_like,
            cure=cure,
        )


class ImportLineBad(ImportingError):
    """One thing in the source is not as its format has it; the others are imported."""

    code = "IMPORT_LINE_BAD"

    def __init__(self, where: str, *, why: str) -> None:
        super().__init__(
            f"{where}: {why}. Nothing of it was written; mend it, and import again: the rest is known",
            where=where,
            why=why,
        )


class ImportChanged(ImportingError):
    """It was imported before, and said something else then."""

    code = "IMPORT_CHANGED"

    def __init__(self, where: str, *, rollout_id: str) -> None:
        super().__init__(
            f"{where}: it is rollout {rollout_id} already, with other content, and facts do not change. Give it "
            "another id in the source, or import into another log",
            where=where,
            rollout_id=rollout_id,
        )


class ImportStillOpen(ImportingError):
    """It has not come to its end where it runs, and here nobody would end it."""

    code = "IMPORT_STILL_OPEN"

    def __init__(self, where: str, *, status: str) -> None:
        super().__init__(
            f"{where}: it is {status} there, and would wait here for ever. Import again when it is over: what was "
            "imported is known",
            where=where,
            status=status,
        )
