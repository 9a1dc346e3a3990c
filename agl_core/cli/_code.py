"""Code by what it is called on the command line."""

from __future__ import annotations

import traceback
from collections.abc import Callable
from typing import Any

from agl_core.errors import AglError, NotImportable, RunNotImportable

__all__ = ["find_code", "find_named"]


def find_named(name: str, registered: Callable[[str], Any]) -> Any:
    """What `module:name` means, or else the name that a plugin registered."""
    return find_code(name) if ":" in name else registered(name)


def find_code(path: str) -> Any:
    """What `module:name` means. That module is a guest: whatever it raises is told in a line, with its place."""
    from agl_core.trainer import import_path

    try:
        return import_path(path)
    except RunNotImportable as error:
        raise NotImportable(path, why=error.why) from None
    except AglError:
        raise
    except Exception as error:  # noqa: BLE001 - a guest
        place = traceback.extract_tb(error.__traceback__)[-1]
        # A SyntaxError says its own place, and was raised by Python's importer.
        where = "" if isinstance(error, SyntaxError) else f" ({place.filename}:{place.lineno})"
        why = f"{type(error).__name__}: {error}{where}"
        raise NotImportable(path, why=why) from None
