"""An agent's own code, run again on what a log remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent, find_agent
from agl_core.errors import LogExists, NotReplayable, RunNotImportable
from agl_core.events import Component
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.recorder import ToolWay
from agl_core.replay._recording import Recording
from agl_core.replay._remembering import OnCall
from agl_core.replay._session import Options, Replayed, session

__all__ = ["replay", "replaying"]


def replay(log: str | Path | SqliteLog, rollout_id: str, **options: Any) -> Replayed:
    """`replaying`, for code that does not await."""
    return asyncio.run(replaying(log, rollout_id, **options))


async def replaying(
    log: str | Path | SqliteLog,
    rollout_id: str,
    *,
    agent: LitAgent[Any] | str | None = None,
    into: str | Path | None = None,
    at: int | None = None,
    strict: bool = False,
    ignore: Sequence[str] = (),
    tools: Mapping[str, ToolWay] | None = None,
    on_call: OnCall | None = None,
    plugins: Plugins | None = None,
) -> Replayed:
    """Run the agent of a rollout again: models, and tools that are marked, answer what the log remembers.

    The log is only read, and what is done now stands in one of its own, at `into`. `agent` is the code that runs, if
    not the one that the run names. `at` is the position up to which the log is read.
    """
    plugins = plugins or Plugins.load()
    options = Options(strict=strict, ignore=ignore, tools=tools or {}, on_call=on_call)
    with nullcontext(log) if isinstance(log, SqliteLog) else plugins.open_log(str(log), readonly=True) as source:
        recording = Recording.of(source, rollout_id, at=at)
        found, component = code_of(recording, agent)
        overrides = recording.run.config.sampling if recording.run else {}
        async with session(source, place(source, into), plugins=plugins, options=options, overrides=overrides) as one:
            return await one.replay(recording, found, component)


def code_of(recording: Recording, agent: LitAgent[Any] | str | None) -> tuple[LitAgent[Any], Component]:
    """The code that is to run, and its name: what is given, or what the run of the rollout names."""
    if agent is not None:
        name = agent if isinstance(agent, str) else f"{type(agent).__module__}:{type(agent).__qualname__}"
        return find_agent(agent), Component(name=name)
    cure = "Name it with `--agent MODULE:AGENT`, or give `agent=`"
    what = f"rollout {recording.rollout_id}"
    if recording.run is None:
        raise NotReplayable(what, why="it belongs to no run, so nothing says which agent it was", cure=cure)
    named = recording.run.agent
    if not named.importable:
        raise NotReplayable(what, why=f"its agent {named.name} cannot be imported: {named.why}", cure=cure)
    try:
        return find_agent(named.name), named
    except RunNotImportable as error:
        why = f"its agent {named.name} cannot be imported: {error.facts['why']}"
        raise NotReplayable(what, why=why, cure=cure) from error


def place(source: SqliteLog, into: str | Path | None) -> Path:
    """Where the replay's own log is to lie; there is none yet."""
    path = Path(into).absolute() if into else source.artefacts / "replays" / f"{new_id('rp')}.db"
    if path.exists():
        raise LogExists(str(path))
    return path
