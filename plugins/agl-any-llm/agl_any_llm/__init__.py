"""Asks models of any provider that the library any-llm knows, behind an OpenAI-compatible endpoint on loopback."""

from __future__ import annotations

from agl_core.engine import Engine
from agl_core.hookspecs import hookimpl

__all__ = ["agl_open_engine"]


@hookimpl
def agl_open_engine(url: str, name: str) -> Engine | None:
    """An engine for `any-llm:provider/model`."""
    from agl_any_llm._opening import opened

    return opened(url, name)
