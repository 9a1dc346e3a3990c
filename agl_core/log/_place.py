"""Where the file lies, and whether it still does."""

from __future__ import annotations

import os

from agl_core.errors import LogGone

__all__ = ["Place"]


class Place:
    """The file that was opened, as its folder knows it."""

    def __init__(self, path: str) -> None:
        self._path = path
        self._is = self._found()

    def check(self) -> None:
        """Raise `LogGone` when the name leads to another file, or to none: a commit would be of no use to anybody."""
        if self._found() != self._is:
            raise LogGone(self._path)

    def _found(self) -> tuple[int, int] | None:
        try:
            found = os.stat(self._path)  # noqa: PTH116 - before each commit: a `Path` costs as much as the look
        except OSError:
            return None
        return found.st_dev, found.st_ino
