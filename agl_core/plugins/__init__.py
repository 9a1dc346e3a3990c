"""Loads plugins one by one, orders them, and keeps what they raise from hurting others."""

from __future__ import annotations

from agl_core.plugins._plugins import Loaded, Plugins

__all__ = ["Loaded", "Plugins"]
