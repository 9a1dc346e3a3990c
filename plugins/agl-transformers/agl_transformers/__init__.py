"""Serves a `transformers` model in this process, behind an OpenAI-compatible endpoint on loopback."""

from __future__ import annotations

from agl_core.engine import Engine
from agl_core.hookspecs import hookimpl

__all__ = ["agl_open_engine"]


@hookimpl
def agl_open_engine(url: str, name: str) -> Engine | None:
    """An engine for `transformers:/path/to/folder[?dtype=...&max_len=...&max_batch=...]`."""
    from agl_transformers._opening import opened

    return opened(url, name)
