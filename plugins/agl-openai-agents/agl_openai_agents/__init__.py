"""The OpenAI Agents SDK: what its agents do around their model calls, and which of them makes each call."""

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
    """Record the spans of the SDK's agents; nothing to do where it is not installed."""
    try:
        # By its distribution: its module is called `agents`, and so is many a folder of a user's own.
        version("openai-agents")
    except PackageNotFoundError:
        return None
    from agl_openai_agents._tracing import tracing

    return tracing(recorder)
