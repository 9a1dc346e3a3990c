"""What goes wrong when rows or traces leave for somewhere else."""

from __future__ import annotations

from agl_core.errors._base import AglError

__all__ = ["ExportError", "ExportFailed"]


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
