"""What every executor promises, as tests to inherit."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Awaitable, Callable, Collection, Coroutine
from functools import partial
from pathlib import Path
from typing import Any

import pytest

from agl_core.executors import Executor

__all__ = ["ExecutorContract"]

PATIENCE = 60.0
"""Seconds in which workers do what they are asked to."""
_OFTEN = 0.01

OpenExecutor = Callable[[int], Executor]


class ExecutorContract:
    """Inherit, and override `open_executor`.

    Workers and tests talk through files in one folder, so that it holds for other processes too; what workers are
    given to do can be pickled.
    """

    @pytest.fixture
    def open_executor(self) -> OpenExecutor:
        """Makes an executor of so many workers, not started."""
        raise NotImplementedError("override the fixture `open_executor`")

    # --- at work

    def test_it_says_how_many_it_keeps_at_work(self, open_executor: OpenExecutor) -> None:
        """As many names are made for them."""
        assert [open_executor(count).n_runners for count in (1, 3)] == [1, 3]

    def test_each_worker_is_set_to_work_once(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """Under its own name."""

        async def story(executor: Executor) -> None:
            await executor.start(partial(_stays, tmp_path), ["wk-1", "wk-2", "wk-3"])
            await _all(tmp_path, "began", {"wk-1", "wk-2", "wk-3"})

        _told(story, open_executor(3))

        assert [(tmp_path / f"{name}.began").read_text() for name in ("wk-1", "wk-2", "wk-3")] == ["x"] * 3

    def test_they_are_at_work_at_the_same_time(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """Each may wait for the others."""

        async def story(executor: Executor) -> None:
            await executor.start(partial(_meets, tmp_path, 3), ["wk-1", "wk-2", "wk-3"])
            await _all(tmp_path, "met", {"wk-1", "wk-2", "wk-3"})

        _told(story, open_executor(3))

    def test_starting_does_not_wait_for_them(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """They work until they are stopped, and who started them goes on."""

        async def story(executor: Executor) -> None:
            await executor.start(partial(_until, tmp_path), ["wk-1"])
            (tmp_path / "go").touch()
            await _all(tmp_path, "ended", {"wk-1"})

        _told(story, open_executor(1))

    # --- stopped

    def test_what_they_were_at_is_put_in_order(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """Stopping cancels, and returns when each has cleaned up."""
        left: list[set[str]] = []

        async def story(executor: Executor) -> None:
            await executor.start(partial(_stays, tmp_path), ["wk-1", "wk-2"])
            await _all(tmp_path, "began", {"wk-1", "wk-2"})
            await executor.stop()
            left.append(_names(tmp_path, "left"))

        _told(story, open_executor(2))

        assert left == [{"wk-1", "wk-2"}]

    def test_stopping_twice_is_harmless(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """And stopping what was never started."""

        async def story(executor: Executor) -> None:
            await executor.start(partial(_stays, tmp_path), ["wk-1"])
            await executor.stop()
            await executor.stop()

        _told(story, open_executor(1))
        asyncio.run(open_executor(1).stop())

    def test_nothing_of_it_is_left(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """No thread that was not there before."""
        before = set(threading.enumerate())

        async def story(executor: Executor) -> None:
            await executor.start(partial(_stays, tmp_path), ["wk-1", "wk-2"])
            await _all(tmp_path, "began", {"wk-1", "wk-2"})

        _told(story, open_executor(2))

        assert [thread.name for thread in set(threading.enumerate()) - before] == []

    # --- failing

    def test_what_a_worker_died_of_is_told(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """And the others work on."""
        told: list[str] = []

        async def story(executor: Executor) -> None:
            await executor.start(partial(_dies, tmp_path, "wk-2"), ["wk-1", "wk-2"])
            await _until_there(lambda: executor.failure() is not None)
            told.append(str(executor.failure()))
            (tmp_path / "go").touch()
            await _all(tmp_path, "ended", {"wk-1"})

        _told(story, open_executor(2))

        assert "the engine room is on fire" in told[0]

    def test_who_is_well_or_stopped_died_of_nothing(self, open_executor: OpenExecutor, tmp_path: Path) -> None:
        """Before, while and after it works."""
        told: list[Any] = []

        async def story(executor: Executor) -> None:
            told.append(executor.failure())
            await executor.start(partial(_stays, tmp_path), ["wk-1"])
            await _all(tmp_path, "began", {"wk-1"})
            told.append(executor.failure())
            await executor.stop()
            told.append(executor.failure())

        _told(story, open_executor(1))

        assert told == [None, None, None]


# --- what workers do


async def _stays(folder: Path, worker_id: str) -> None:
    """Until it is stopped."""
    with (folder / f"{worker_id}.began").open("a") as file:
        file.write("x")
    try:
        await asyncio.Event().wait()
    finally:
        (folder / f"{worker_id}.left").touch()


async def _until(folder: Path, worker_id: str) -> None:
    """Until it hears `go`."""
    await _until_there((folder / "go").exists)
    (folder / f"{worker_id}.ended").touch()


async def _meets(folder: Path, count: int, worker_id: str) -> None:
    """Until all are there."""
    (folder / f"{worker_id}.began").touch()
    await _until_there(lambda: len(_names(folder, "began")) == count)
    (folder / f"{worker_id}.met").touch()


async def _dies(folder: Path, who: str, worker_id: str) -> None:
    """One does; the others wait for `go`."""
    if worker_id == who:
        raise RuntimeError("the engine room is on fire")
    await _until(folder, worker_id)


# --- how a story is told


def _told(story: Callable[[Executor], Awaitable[None]], executor: Executor) -> None:
    """To its end, and stopped whatever happens in it."""

    async def told() -> None:
        try:
            await story(executor)
        finally:
            await executor.stop()

    asyncio.run(_in_time(told()))


async def _in_time(work: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(2 * PATIENCE):
        await work


async def _all(folder: Path, what: str, names: Collection[str]) -> None:
    await _until_there(lambda: _names(folder, what) >= set(names))


async def _until_there(is_there: Callable[[], bool]) -> None:
    async with asyncio.timeout(PATIENCE):
        while not is_there():  # noqa: ASYNC110 - what it waits for may come from another process
            await asyncio.sleep(_OFTEN)


def _names(folder: Path, what: str) -> set[str]:
    return {path.stem for path in folder.glob(f"*.{what}")}
