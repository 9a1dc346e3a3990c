"""Loads plugins one by one, orders them, and keeps what they raise from hurting others."""

from __future__ import annotations

from agl_core.plugins._faults import SPECS, hook_kind
from agl_core.plugins._found import Loaded
from agl_core.plugins._plugins import Plugins

__all__ = ["SPECS", "Loaded", "Plugins", "hook_kind"]
