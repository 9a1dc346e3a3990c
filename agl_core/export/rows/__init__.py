"""Training rows into files, whole or not at all, in the shapes that other tools read."""

from __future__ import annotations

from agl_core.export.rows._places import new_file, new_folder
from agl_core.export.rows._records import Tally, write_records

__all__ = ["Tally", "new_file", "new_folder", "write_records"]
