"""The command line, `agl`: what people type, and what plugins may show progress with."""

from __future__ import annotations

from agl_core.cli._main import agl, main

__all__ = ["agl", "main"]
