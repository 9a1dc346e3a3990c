"""Where each model is served, how many calls are on their way there, and the gate that holds new ones back."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from threading import Lock

from agl_core.engine import Endpoint
from agl_core.errors import ModelNotFound, PolicyNotLoaded
from agl_core.events import Role

__all__ = ["Lanes", "Target"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Target:
    """A registered endpoint."""

    endpoint: Endpoint
    role: Role
    version: int
    headers: dict[str, str]
    """What goes with each request, the provider's key among it."""

    def __repr__(self) -> str:
        return f"Target({self.endpoint.model!r} at {self.endpoint.url!r}, {self.role}, version {self.version})"


class _Lane:
    def __init__(self, target: Target) -> None:
        self.target = target
        self.is_paused = False
        self.running = 0
        self.opened = asyncio.Event()
        self.idle = asyncio.Event()


class Lanes:
    """Endpoints by model name. Written from any thread, read and waited on in the gateway's loop."""

    def __init__(self, wake: Callable[[Callable[[], None]], None]) -> None:
        self._lanes: dict[str, _Lane] = {}
        self._wake = wake
        self._writing = Lock()

    @property
    def models(self) -> list[str]:
        """The names that are served, in order."""
        return sorted(self._lanes)

    def put(self, target: Target) -> None:
        """Serve a model; calls that are waiting or on their way to an older target are not disturbed."""
        with self._writing:
            lane = self._lanes.get(target.endpoint.model)
            if lane is None:
                # One assignment, so that a reader sees the whole lane or none.
                self._lanes[target.endpoint.model] = _Lane(target)
            else:
                lane.target = target

    def drop(self, model: str) -> None:
        """Serve it no more: those who wait are told so, those on their way come home."""
        with self._writing:
            lane = self._lanes.pop(model, None)
        if lane is not None:
            self._wake(lane.opened.set)

    def running(self, model: str) -> int:
        """Calls on their way to the model."""
        return self._lane(model).running

    async def close(self, model: str, timeout: float | None) -> int:
        """Hold new calls back and wait for those on their way, at most `timeout` seconds; how many are left."""
        lane = self._lane(model)
        lane.is_paused = True
        if lane.running:
            lane.idle.clear()
            try:
                async with asyncio.timeout(timeout):
                    await lane.idle.wait()
            except TimeoutError:
                pass
        return lane.running

    def open(self, model: str, version: int | None) -> None:
        """Let calls through again, to the same endpoint, now speaking as `version`."""
        lane = self._lane(model)
        with self._writing:
            if version is not None:
                lane.target = replace(lane.target, version=version)
            lane.is_paused = False
        self._wake(lane.opened.set)

    def target(self, asked: str) -> Target:
        """Where a call for `asked` would go now, paused or not; `policy@3` pins a version."""
        name = asked if asked in self._lanes else asked.rpartition("@")[0]
        target = self._lane(name, asked).target
        pinned = asked[len(name) + 1 :]
        if pinned and pinned != str(target.version):
            raise PolicyNotLoaded(name, version=int(pinned) if pinned.isdecimal() else -1, served=target.version)
        return target

    @asynccontextmanager
    async def passage(self, asked: str) -> AsyncIterator[Target]:
        """Wait until calls may pass, and be counted as on the way; the target stays to the end of the call."""
        lane = await self._opened(asked)
        target = lane.target
        lane.running += 1
        try:
            yield target
        finally:
            lane.running -= 1
            if not lane.running:
                lane.idle.set()

    async def _opened(self, asked: str) -> _Lane:
        while True:
            lane = self._lane(self.target(asked).endpoint.model)
            if not lane.is_paused:
                return lane
            # Cleared here, not where the gate closes: a wake-up from another thread may arrive after the next
            # closing, and an event left set would spin this loop.
            lane.opened.clear()
            await lane.opened.wait()

    def _lane(self, name: str, asked: str = "") -> _Lane:
        lane = self._lanes.get(name)
        if lane is None:
            raise ModelNotFound(asked or name, known=self._lanes)
        return lane
