"""A program in a process of its own, followed: what it asks of models belongs to the attempt that started it."""

from __future__ import annotations

import logging
import os
import runpy
import sys
from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import Future, wait
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import Any

from agl_core.errors import AglError, BadValue, NotReplayable, ReplayError
from agl_core.events import PluginFailed
from agl_core.plugins import Plugins
from agl_core.recorder import Recorder, Scope, ToolAnswer, ToolAsked, owned

__all__ = ["followed", "main"]

_log = logging.getLogger(__name__)
_USAGE = "usage: python -m agl_core.tap (PROGRAM | -m MODULE) [ARGUMENT ...]"


@contextmanager
def followed(environment: Mapping[str, str]) -> Iterator[Scope]:
    """While it lasts, this process works for the attempt that `agl.environment()` tells of, and is traced.

    A tracer that cannot attach is a `plugin.failed`: the program is not ours to stop. At its end all that was captured
    is in the log. `BadValue` when the environment tells of none.
    """
    missing = [name for name in ("AGL_LOG", "AGL_ROLLOUT_ID", "AGL_ATTEMPT_ID") if not environment.get(name)]
    if missing:
        why = "start the program inside an agent, with env={**os.environ, **agl.environment(None, task)}"
        raise BadValue("environment", missing, why=f"these variables are missing: {why}")
    plugins = Plugins.load()
    with plugins.open_log(environment["AGL_LOG"]) as log:
        recorder = Recorder(log)
        scope = Scope(
            recorder=recorder,
            run_id=environment.get("AGL_RUN_ID"),
            rollout_id=environment["AGL_ROLLOUT_ID"],
            attempt_id=environment["AGL_ATTEMPT_ID"],
            agent=environment.get("AGL_AGENT"),
            parent_call=environment.get("AGL_PARENT_CALL"),
            **_replay(environment),
        )
        try:
            with plugins.tracing(recorder, lambda failed: _untraced(recorder, failed)), owned(scope):
                yield scope
        finally:
            writes = list(scope.pending)
            wait(writes)
            if lost := [write for write in writes if write.exception() is not None]:
                # Whoever opens the log next finds these calls under way, by a process that is no more.
                _log.warning("%d facts of %s could not be kept", len(lost), scope.attempt_id)


def _replay(environment: Mapping[str, str]) -> dict[str, Any]:
    """Of a replay that the process which started this one runs: what is asked of providers goes to its gateway."""
    door = environment.get("AGL_EVENT_URL", "").partition("/rollout/")[0]
    if "AGL_REPLAY" not in environment or not door:
        return {}
    return {"gateway": door, "key": environment.get("AGL_KEY"), "replaying": _Elsewhere()}


class _Elsewhere:
    """A replay that another process runs: it can be asked for answers of models, and for nothing else."""

    is_timed = True

    def __init__(self) -> None:
        self.departed: Future[None] = Future()

    def tool(self, asked: ToolAsked) -> ToolAnswer:
        """Only what is live."""
        if asked.way == "live":
            return ToolAnswer(way=asked.way)
        why = "it is called in a process of its own, and what it came to is known in another one"
        raise NotReplayable(f"tool {asked.name!r}", why=why, cure="Call it where the agent runs, or declare it `live`")

    def compared(self, asked: ToolAsked, answer: ToolAnswer, came: Mapping[str, Any]) -> None:
        """Nothing is."""

    def depart(self, error: ReplayError) -> None:
        """Who raised it is heard by whoever started this process."""


def _untraced(recorder: Recorder, failed: PluginFailed) -> None:
    _log.warning("tracer %s cannot attach: %s", failed.name, failed.why)
    recorder.note(failed)


def main(arguments: Sequence[str]) -> int:
    """Run a program as `python` would, followed; its exit is this one's."""
    is_module = arguments[:1] == ["-m"]
    program = arguments[1:] if is_module else arguments
    if not program or program[0].startswith("-"):
        return _told(2, _USAGE)
    if not is_module and not Path(program[0]).exists():
        return _told(2, f"there is no program {program[0]}")
    with ExitStack() as closing:
        try:
            closing.enter_context(followed(os.environ))
        except AglError as error:
            return _told(1, f"[{error.code}] {error}")
        sys.argv = list(program)
        if is_module:
            runpy.run_module(program[0], run_name="__main__", alter_sys=True)
        else:
            sys.path[0] = str(Path(program[0]).resolve().parent)
            runpy.run_path(program[0], run_name="__main__")
    return 0


def _told(status: int, why: str) -> int:
    sys.stderr.write(f"{why}\n")
    return status
