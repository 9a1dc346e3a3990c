"""Where each model is served, who goes to which place, and the gate that holds new calls back."""

from __future__ import annotations

import asyncio
import math
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from functools import partial
from hashlib import blake2b
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
    headers: Mapping[str, str]
    """What goes with each request, the provider's key among it."""
    weight: float = 1.0
    """Its share of the rollouts, beside the other places of the model."""

    def __repr__(self) -> str:
        return f"Target({self.endpoint.model!r} at {self.endpoint.url!r}, {self.role}, version {self.version})"


class _Lane:
    def __init__(self, targets: tuple[Target, ...]) -> None:
        self.targets = targets
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

    def put(self, target: Target, *, beside: bool = False) -> None:
        """Serve a model there, `beside` its other places or instead of them.

        Calls that are waiting or on their way to an older place are not disturbed.
        """
        with self._writing:
            lane = self._lanes.get(target.endpoint.model)
            if lane is None:
                # One assignment, so that a reader sees the whole lane or none.
                self._lanes[target.endpoint.model] = _Lane((target,))
            else:
                others = (one for one in lane.targets if beside and one.endpoint.url != target.endpoint.url)
                lane.targets = (*others, target)

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
                lane.targets = tuple(replace(target, version=version) for target in lane.targets)
            lane.is_paused = False
        self._wake(lane.opened.set)

    def targets(self, asked: str, rollout_id: str) -> tuple[Target, ...]:
        """Where a call for `asked` would go now, paused or not, and where if nobody answers there.

        A rollout stays with its place, whose cache knows its prompts; `policy@3` pins a version.
        """
        name = asked if asked in self._lanes else asked.rpartition("@")[0]
        found = self._lane(name, asked).targets
        pinned = asked[len(name) + 1 :]
        if pinned:
            spoken = {target.version for target in found}
            found = tuple(target for target in found if str(target.version) == pinned)
            if not found:
                raise PolicyNotLoaded(name, version=int(pinned) if pinned.isdecimal() else -1, served=max(spoken))
        return found if len(found) == 1 else tuple(sorted(found, key=partial(_distance, rollout_id)))

    @asynccontextmanager
    async def passage(self, asked: str, rollout_id: str) -> AsyncIterator[tuple[Target, ...]]:
        """Wait until calls may pass, and be counted as on the way; the targets stay to the end of the call."""
        lane = await self._opened(asked, rollout_id)
        targets = self.targets(asked, rollout_id)
        lane.running += 1
        try:
            yield targets
        finally:
            lane.running -= 1
            if not lane.running:
                lane.idle.set()

    async def _opened(self, asked: str, rollout_id: str) -> _Lane:
        while True:
            lane = self._lane(self.targets(asked, rollout_id)[0].endpoint.model)
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


def _distance(rollout_id: str, target: Target) -> float:
    """Weighted rendezvous hashing: each place draws a number for the rollout, and the least one has it.

    When a place comes or goes, only its own rollouts move (Thaler and Ravishankar 1998; weights by Schindelhauer and
    Schomaker 2005).
    """
    drawn = blake2b(f"{rollout_id} {target.endpoint.url}".encode(), digest_size=8).digest()
    return -math.log((int.from_bytes(drawn) + 1) / (1 << 64)) / target.weight
