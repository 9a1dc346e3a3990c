"""What is not there to be taken into production, and runs that nobody can stop any more."""

from __future__ import annotations

from collections.abc import Iterable

from agl_core.errors._run import RunError
from agl_core.errors._store import StoreError

__all__ = ["FilesNotKept", "NothingPromoted", "RunIsOver"]


class NothingPromoted(StoreError):
    """No version was declared the best."""

    code = "NOTHING_PROMOTED"

    def __init__(self, where: str) -> None:
        super().__init__(
            f"nothing was promoted in {where}: `agl resources list` shows the versions there are, and what each "
            "earned; take one by its name, ID@VERSION, or declare it the best: `agl resources promote ID@VERSION`",
            where=where,
        )


class FilesNotKept(StoreError):
    """The log names the weights, and their files are not there."""

    code = "FILES_NOT_KEPT"

    def __init__(self, what: str, *, why: str, kept: Iterable[str] = ()) -> None:
        there = tuple(kept)
        cure = f"there are those of {', '.join(there)}" if there else "a run keeps files where it makes checkpoints"
        super().__init__(f"the files of {what} are not there, {why}: {cure}", what=what, why=why, kept=there)


class RunIsOver(RunError):
    """The run has come to its end."""

    code = "RUN_IS_OVER"

    def __init__(self, run_id: str, *, status: str) -> None:
        cure = "there is nothing to stop" if status == "finished" else "`agl resume` would go on with it"
        super().__init__(f"run {run_id} is over ({status}): {cure}", run_id=run_id, status=status)
