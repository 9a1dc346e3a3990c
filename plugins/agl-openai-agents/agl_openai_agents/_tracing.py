"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager
from types import ModuleType

from agl_core.recorder import Recorder
from agl_core.tap import Attaching
from agl_openai_agents._listening import Listening

__all__ = ["TESTED", "tracing"]

TESTED = ("0.20", "0.24")
"""The oldest and the newest that the tests have run with; the plugin's README names them too."""
_DISTRIBUTION, _MODULE = "openai-agents", "agents"


def tracing(recorder: Recorder) -> AbstractContextManager[None]:
    """While it lasts, what the SDK's agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out leaves the SDK with the very
    trace provider it had. An SDK that is imported meanwhile is attached to then. `recorder` hears when it is. One that
    is there and of another shape is `TracerFailed`.
    """
    return _of_this_process().tracing(recorder)


@functools.cache
def _of_this_process() -> Attaching:
    return attaching()


def attaching() -> Attaching:
    """At most one listener, in front of the SDK's trace provider while somebody is inside."""
    return Attaching(
        _DISTRIBUTION, {_MODULE: _listening}, of={_MODULE: (_DISTRIBUTION,)}, tested={_DISTRIBUTION: TESTED}
    )


def _listening(module: ModuleType) -> Listening | None:
    if not hasattr(module, "tracing") and not hasattr(module, "Runner"):
        return None  # a folder of a user's own, that is called so too
    # The host's is made here if nobody has asked for it yet: without a thread or a connection, as the agent would.
    return Listening(module.tracing, module.tracing.get_trace_provider())
