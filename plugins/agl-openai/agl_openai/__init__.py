"""The OpenAI SDK: its calls come through the gateway, and say which agent made them."""

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
    """Name the agent on every call; nothing to do where the SDK is not installed."""
    try:
        version("openai")
    except PackageNotFoundError:
        return None
    from agl_openai._naming import naming

    return naming(recorder)
