"""The agent's code under a clock: its result, or the exit status its failure stands for."""

from __future__ import annotations

import asyncio
import logging
import sysconfig
import threading
import traceback
from collections.abc import Awaitable, Callable
from concurrent.futures import Future
from contextlib import suppress
from contextvars import copy_context
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agl_core.agents import EndAttempt, LitAgent
from agl_core.errors import AglError
from agl_core.events import ExitStatus
from agl_core.recorder import program_begins
from agl_core.resources import NamedResources
from agl_core.store import AttemptedRollout

__all__ = ["Ended", "run_agent"]

GRACE_SECONDS = 5.0
"""What an agent that was cancelled has to clean up in; then it is abandoned."""
_INSTALLED = (
    "<frozen ",
    str(Path(__file__).parents[1]),
    *(sysconfig.get_path(name) for name in ("stdlib", "purelib", "platlib")),
)
"""Where code begins that is not the agent's, as a rule."""
_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True)
class Ended:
    """How the agent's code ended."""

    exit_status: ExitStatus
    result: Any = None
    error: str | None = None
    raised: BaseException | None = None


async def run_agent(
    agent: LitAgent[Any], rollout: AttemptedRollout, resources: NamedResources, *, stop: Future[None] | None = None
) -> Ended:
    """Run the agent to its end, or to its time-out; or until `stop` fails, and then it ends with what that says."""
    if stop is None:
        return await _run_agent(agent, rollout, resources)
    task, loop, under_way = asyncio.current_task(), asyncio.get_running_loop(), True

    def cancel() -> None:
        if under_way and task is not None:
            task.cancel()

    def stopped(_: Future[None]) -> None:
        with suppress(RuntimeError):  # the loop is closed: an agent that was left behind has said why
            loop.call_soon_threadsafe(cancel)

    stop.add_done_callback(stopped)
    try:
        ended = await _run_agent(agent, rollout, resources)
    except asyncio.CancelledError:
        if not stop.done() or task is None or task.uncancel():
            raise
        ended = Ended("agent_raised")
    finally:
        under_way = False
    # Also of one that came to an end by itself: it may have caught what told it.
    if not stop.done() or (why := stop.exception()) is None:
        return ended
    code = f"[{why.code}] " if isinstance(why, AglError) else ""
    return Ended("agent_raised", error=f"{code}{why}"[:2000], raised=why)


async def _run_agent(agent: LitAgent[Any], rollout: AttemptedRollout, resources: NamedResources) -> Ended:
    is_training = rollout.mode == "train"
    try:
        async with asyncio.timeout(rollout.config.timeout_seconds) as limit:
            if agent.is_async():
                run = agent.training_rollout_async if is_training else agent.validation_rollout_async
                result = await _cancellable(_begun(run(rollout.input, resources, rollout)))
            else:
                plain = agent.training_rollout if is_training else agent.validation_rollout
                result = await _in_thread(lambda: plain(rollout.input, resources, rollout))
    except TimeoutError as raised:
        if limit.expired():
            return Ended("timeout", error=f"it took longer than {rollout.config.timeout_seconds:g} s")
        return _failed(raised)
    except asyncio.CancelledError as raised:
        # Only who cancels the worker stops it. An agent may cancel itself, and that is its own end.
        task = asyncio.current_task()
        if task is None or task.cancelling():
            raise
        return _failed(raised)
    except EndAttempt as said:
        return Ended(said.exit_status, result=said.result, error=said.why or None)
    except Exception as raised:  # noqa: BLE001 - a guest: what it raises becomes an exit status
        return _failed(raised)
    return Ended("completed", result=result)


async def _begun(work: Awaitable[Any]) -> Any:
    program_begins()
    return await work


async def _cancellable(work: Awaitable[Any]) -> Any:
    """Await `work`; when cancelled, give it time to clean up, then leave it behind."""
    task = asyncio.ensure_future(work)
    try:
        return await asyncio.shield(task)
    except asyncio.CancelledError:
        task.cancel()
        await asyncio.wait([task], timeout=GRACE_SECONDS)
        if not task.done():
            _log.warning("an agent ignored its cancellation for %g s and was abandoned", GRACE_SECONDS)
        elif not task.cancelled():
            task.exception()  # looked at, so that asyncio does not complain
        raise


async def _in_thread(work: Callable[[], Any]) -> Any:
    """Run `work` in a thread of its own: a hung one can be left behind, where a pool's would be lost for good."""
    future: Future[Any] = Future()
    context = copy_context()

    def begun() -> Any:
        program_begins()
        return work()

    def run() -> None:
        try:
            result = context.run(begun)
        except BaseException as raised:  # noqa: BLE001 - carried to the one who waits
            future.set_exception(raised)
        else:
            future.set_result(result)

    # Daemon: a hung agent must not keep the process alive.
    threading.Thread(target=run, name="agl-agent", daemon=True).start()
    awaited = asyncio.wrap_future(future)
    # Looked at, also of one that was left behind, so that asyncio does not complain.
    awaited.add_done_callback(lambda done: done.cancelled() or done.exception())
    return await asyncio.shield(awaited)


def _failed(raised: BaseException) -> Ended:
    code = f"[{raised.code}] " if isinstance(raised, AglError) else ""
    error = f"{code}{type(raised).__name__}: {raised}{_place(raised)}"
    return Ended("agent_raised", error=error[:2000], raised=raised)


def _place(raised: BaseException) -> str:
    """The line of the agent's own code that the error came through; a library's is the same for many mistakes."""
    frames = traceback.extract_tb(raised.__traceback__)
    own = [frame for frame in frames if not frame.filename.startswith(_INSTALLED)] or frames
    return f" at {own[-1].filename}:{own[-1].lineno}" if own else ""
