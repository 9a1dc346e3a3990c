"""LangChain and LangGraph: what their agents do around their model calls, and which of them makes each call."""

from __future__ import annotations

from contextlib import AbstractContextManager
from importlib.metadata import PackageNotFoundError, version
from typing import TYPE_CHECKING

from agl_core.hookspecs import hookimpl

if TYPE_CHECKING:  # the log comes with it, and `agl --help` loads this
    from agl_core.recorder import Recorder

__all__ = ["agl_install_tracer"]


@hookimpl
def agl_install_tracer(recorder: Recorder) -> AbstractContextManager[None] | None:
    """Record the runs of chains, graphs and tools; nothing to do where LangChain is not installed."""
    try:
        version("langchain-core")
    except PackageNotFoundError:
        return None
    from agl_langchain._tracing import tracing

    return tracing(recorder)
