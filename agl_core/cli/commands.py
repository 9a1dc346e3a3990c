"""What a plugin's own command is made of, so that it looks and fails like the others."""

from __future__ import annotations

from agl_core.cli._driving import driving
from agl_core.cli._logs import store_url
from agl_core.cli._options import as_json, log_level, log_path, quiet
from agl_core.cli._tables import facts, print_json, print_table
from agl_core.cli._words import duration
from agl_core.cli.progress import Progress

__all__ = [
    "Progress",
    "as_json",
    "driving",
    "duration",
    "facts",
    "log_level",
    "log_path",
    "print_json",
    "print_table",
    "quiet",
    "store_url",
]
