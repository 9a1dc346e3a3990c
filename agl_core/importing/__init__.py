"""What others wrote, as facts of a log: trajectories, chats, traces, and the store of Agent Lightning v0.3."""

from __future__ import annotations

from agl_core.importing._formats import FORMATS, check, import_rows
from agl_core.importing._story import Refused
from agl_core.importing._writing import Imported

__all__ = ["FORMATS", "Imported", "Refused", "check", "import_rows"]
