"""What goes wrong when rows or traces leave for somewhere else."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.errors._base import AglError

__all__ = ["ExportEmpty", "ExportError", "ExportExists", "ExportFailed", "ExportRefused"]


class ExportError(AglError):
    """What was to leave did not, or not whole."""

    code = "EXPORT_ERROR"


class ExportFailed(ExportError):
    """The receiver is not there, or will not take it."""

    code = "EXPORT_FAILED"

    def __init__(self, to: str, *, why: str) -> None:
        super().__init__(
            f"{to} does not take it: {why}. Check the address, --preset and the key; sending again is harmless, what "
            "was taken before is known by its ids",
            to=to,
            why=why,
        )


class ExportEmpty(ExportError):
    """No row was left to write."""

    code = "EXPORT_EMPTY"

    def __init__(
        self, *, dropped: Mapping[str, int] | None = None, skipped: Mapping[str, int] | None = None, why: str = ""
    ) -> None:
        lost = [f"{count} call(s) dropped: {reason}" for reason, count in _often(dropped)]
        lost += [f"{count} row(s) skipped: {reason}" for reason, count in _often(skipped)]
        told = why or "; ".join(lost) or "there was none to begin with"
        super().__init__(
            f"nothing was written, for no row was left: {told}. Name other rollouts, or drop fewer",
            dropped=dict(dropped or {}),
            skipped=dict(skipped or {}),
            why=why,
        )


class ExportExists(ExportError):
    """Something is there already."""

    code = "EXPORT_EXISTS"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already: choose another place, or replace it with --force", path=path)


class ExportRefused(ExportError):
    """The place cannot be written to, or the format cannot be written there."""

    code = "EXPORT_REFUSED"

    def __init__(self, path: str, *, why: str, cure: str) -> None:
        super().__init__(f"{path} cannot be written: {why}. {cure}", path=path, why=why)


def _often(counts: Mapping[str, int] | None) -> list[tuple[str, int]]:
    """Reasons, the most frequent first."""
    return sorted((counts or {}).items(), key=lambda item: (-item[1], item[0]))
