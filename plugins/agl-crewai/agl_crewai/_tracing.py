"""The tracer as its users hold it: put in once per process, for as long as anybody wants it."""

from __future__ import annotations

import functools
from contextlib import AbstractContextManager

from agl_core.recorder import Recorder
from agl_core.tap import Attaching
from agl_crewai._listening import Listening

__all__ = ["TESTED", "tracing"]

TESTED = ("1.15.21", "1.15.30")
"""The oldest and the newest that the tests have run with."""
_NAME = "crewai"


def tracing(recorder: Recorder) -> AbstractContextManager[None]:
    """While it lasts, what crews and agents do in an attempt is recorded as spans of that attempt.

    It may be entered again, in any thread: the first one in attaches, the last one out puts back every name. A CrewAI
    that is imported meanwhile is attached to then. `recorder` hears when it is. `TracerFailed` where CrewAI is there
    and cannot be attached to.
    """
    return _of_this_process().tracing(recorder)


@functools.cache
def _of_this_process() -> Attaching:
    return attaching()


def attaching() -> Attaching:
    """At most one listener, in place while somebody is inside."""
    return Attaching(
        _NAME,
        {_NAME: Listening},
        of={_NAME: (_NAME,)},
        tested={_NAME: TESTED},
        lost="model calls are recorded, crews and tools are not",
    )
