"""Who types: the name that a fact bears which a person wrote."""

from __future__ import annotations

import getpass

__all__ = ["person"]


def person() -> str:
    """The user's name; empty where the system has none for them, as in many a container."""
    try:
        return getpass.getuser()
    except (OSError, KeyError):  # KeyError before Python 3.13
        return ""
