"""An agent's own code, run again on what a log remembers."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import nullcontext
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent, find_agent
from agl_core.errors import AglError, LogExists, NotReplayable
from agl_core.events import Component
from agl_core.ids import new_id
from agl_core.log import Archive, SqliteLog
from agl_core.plugins import Plugins
from agl_core.recorder import ToolWay
from agl_core.replay._recording import Recording, rollouts_of
from agl_core.replay._remembering import OnCall
from agl_core.replay._session import Options, Replayed, session

__all__ = ["code_of", "replay", "replaying", "replaying_run"]


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
    allow_network: bool = False,
    on_call: OnCall | None = None,
    plugins: Plugins | None = None,
) -> Replayed:
    """Run the agent of a rollout again: models, and tools that are marked, answer what the log remembers.

    The log is only read, and what is done now stands in one of its own, at `into`. `agent` is the code that runs, if
    not the one that the run names. `at` is the position up to which the log is read. `tools` are those that are to do
    otherwise than they declare. `on_call` is awaited with each model call before it is answered; no time-out of the
    agent's holds then.

    Raises `NotReplayable` before anything is written. What happens later is in what is returned.
    """
    plugins = plugins or Plugins.load()
    options = Options(
        strict=strict, ignore=ignore, tools=tools or {}, allow_network=allow_network, on_call=on_call,
        is_timed=on_call is None,
    )  # fmt: skip
    with nullcontext(log) if isinstance(log, SqliteLog) else plugins.open_log(str(log), readonly=True) as source:
        recording = _ended(Recording.of(source, rollout_id, at=at))
        code, replay_id = code_of(recording, agent), new_id("rp")
        path = _place(source, into, replay_id)
        async with session(source, path, plugins=plugins, options=options, run=recording.run) as one:
            return await one.replay(recording, *code, replay_id=replay_id)


async def replaying_run(
    source: SqliteLog,
    run_id: str,
    *,
    options: Options,
    plugins: Plugins,
    agent: str | None = None,
    into: Path | None = None,
    at: int | None = None,
    at_once: int = 8,
    heard: Callable[[int, int], None] = lambda _done, _of: None,
) -> Mapping[str, Replayed | AglError]:
    """Each rollout of a run that somebody tried, as `replaying` does it, all into one log: by its id, what came of it.

    `heard` is told how many are done, of how many.
    """
    rollout_ids = rollouts_of(source, run_id, at=at)
    if not rollout_ids:
        raise NotReplayable(run_id, why="none of its rollouts was tried by then", cure="`agl rollouts list` shows them")
    recording = Recording.of(source, rollout_ids[0], at=at)
    code, path = code_of(recording, agent), _place(source, into, new_id("rp"))
    found: dict[str, Replayed | AglError] = {}
    gate = asyncio.Semaphore(at_once)
    async with session(source, path, plugins=plugins, options=options, run=recording.run) as one:

        async def do(rollout_id: str) -> None:
            async with gate:
                try:
                    recording = _ended(await asyncio.to_thread(Recording.of, source, rollout_id, at=at))
                    found[rollout_id] = await one.replay(recording, *code)
                except AglError as error:
                    found[rollout_id] = error
            heard(len(found), len(rollout_ids))

        async with asyncio.TaskGroup() as doing:
            for rollout_id in rollout_ids:
                doing.create_task(do(rollout_id))
    return {rollout_id: found[rollout_id] for rollout_id in rollout_ids}


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
    except AglError as error:
        why = f"its agent {named.name} cannot be found: {error.facts.get('why', error)}"
        raise NotReplayable(what, why=why, cure=cure) from error
    except Exception as error:  # a guest: the module may do anything when it is imported
        why = f"its agent {named.name} cannot be imported: {type(error).__name__}: {error}"
        raise NotReplayable(what, why=why, cure=cure) from error


def _place(source: SqliteLog, into: str | Path | None, name: str) -> Path:
    """Where the replay's own log is to lie; there is none yet."""
    beside = source.source if isinstance(source, Archive) else source.path  # an export is read from a copy
    path = Path(into).absolute() if into else beside.with_name(f"{beside.name}.d") / "replays" / f"{name}.db"
    if path.exists():
        raise LogExists(str(path))
    return path


def _ended(recording: Recording) -> Recording:
    """One that is under way is refused: how it is to end, nobody knows."""
    if recording.ended is not None:
        return recording
    why = f"its attempt had not come to an end by position {recording.head}"
    cure = "Wait for that, or read further"
    raise NotReplayable(f"rollout {recording.rollout_id}", why=why, cure=cure)
