"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
from collections.abc import Mapping
from contextlib import AbstractContextManager

from agl_core.recorder import Recorder
from agl_core.tap import Attaching
from agl_langchain._callbacks import Callbacks
from agl_langchain._hearing import Hearing
from agl_langchain._tasks import Tasks

__all__ = ["TESTED", "tracing"]

TESTED: Mapping[str, tuple[str, str]] = {
    "langchain": ("1.0", "1.4"),
    "langchain-core": ("1.0", "1.7"),
    "langgraph": ("1.0", "1.2"),
}
"""Of each distribution, the oldest minor version and the newest; the plugin's README names them too."""


def tracing(recorder: Recorder) -> AbstractContextManager[None]:
    """While it lasts, what LangChain's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out leaves both libraries as they
    were. One that is imported meanwhile is attached to then. `recorder` hears when it is. One that is there already
    and cannot be attached to is `TracerFailed`.
    """
    return _of_this_process().tracing(recorder)


@functools.cache
def _of_this_process() -> Attaching:
    return attaching()


def attaching() -> Attaching:
    """At most one listener, in both libraries while somebody is inside.

    Each in the last of its modules that a run needs. The agents of `langchain` run in LangGraph, and have no place of
    their own.
    """
    hearing = Hearing()
    return Attaching(
        "langchain",
        {
            Callbacks.MODULE: lambda module: Callbacks(module, hearing),
            Tasks.MODULE: lambda module: Tasks(module, hearing),
        },
        of={Callbacks.MODULE: ("langchain-core", "langchain"), Tasks.MODULE: ("langgraph",)},
        tested=TESTED,
    )
