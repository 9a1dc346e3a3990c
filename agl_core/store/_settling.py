"""Commands that bring attempts and rollouts to their ends, or change them before; and waiting for the ends."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any, Literal, cast

from agl_core.clock import Clock
from agl_core.errors import LeaseLost
from agl_core.events import AttemptFinished, ExitStatus, RolloutConfig
from agl_core.log import SqliteLog
from agl_core.store import _decisions as decide
from agl_core.store import _updating as updating
from agl_core.store._base import Base
from agl_core.store._hooked import Telling
from agl_core.store._types import UNSET, Attempt, AttemptStatus, Rollout, RolloutStatus, Unset
from agl_core.store._waiting import Ends

if TYPE_CHECKING:
    from agl_core.store._store import Store

__all__ = ["Settling"]


class Settling(Base):
    """What becomes of what was handed out. Ends are final."""

    def __init__(self, log: SqliteLog, *, clock: Clock | None = None, lease_seconds: float = 30.0) -> None:
        super().__init__(log, clock=clock, lease_seconds=lease_seconds)
        self._ends = Ends(log, self.ask.finished)
        self._telling = Telling()

    async def finish_attempt(
        self, attempt: Attempt, exit_status: ExitStatus, *, error: str | None = None
    ) -> AttemptFinished:
        """Settle an attempt. A result that comes after the lease was lost is kept, marked late, and never counts."""
        records = await self._decided(
            lambda view: decide.finish(view, attempt.rollout_id, attempt.attempt_id, exit_status, error)
        )
        event = records[0].event
        assert isinstance(event, AttemptFinished)
        return event

    async def cancel_rollout(self, rollout_id: str, why: str = "") -> None:
        """Call it off. Settled rollouts stay as they are."""
        await self._decided(lambda view: decide.cancel(view, rollout_id, why))

    async def delete_rollout(self, rollout_id: str, why: str = "") -> None:
        """Hide it from every list and count; its facts stay. An open one is cancelled first, and never comes back."""
        await self._decided(lambda view: updating.delete(view, rollout_id, why))

    async def update_rollout(
        self,
        rollout_id: str,
        input: Any | Unset = UNSET,
        mode: Literal["train", "val", "test"] | Unset | None = UNSET,
        resources_id: str | Unset | None = UNSET,
        status: RolloutStatus | Unset = UNSET,
        config: RolloutConfig | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset | None = UNSET,
    ) -> Rollout:
        """Change what is set. Of a settled rollout only the metadata; its status is final: `AlreadySettled`.

        Input, mode and resources can change while it waits in the queue, the configuration while it is open.
        """
        await self._decided(
            lambda view: updating.update_rollout(
                view, rollout_id, leases=self._leases, input=input, mode=mode, resources_id=resources_id,
                status=status, config=config, metadata=metadata,
            )
        )  # fmt: skip
        return self.ask.rollout(rollout_id)

    async def update_attempt(
        self,
        rollout_id: str,
        attempt_id: str,
        status: AttemptStatus | Unset = UNSET,
        worker_id: str | Unset = UNSET,
        last_heartbeat_time: float | Unset = UNSET,
        metadata: Mapping[str, Any] | Unset | None = UNSET,
    ) -> Attempt:
        """Change what is set of an attempt, or of the `"latest"`; a heartbeat renews its lease, by our clock.

        An end that comes after the lease was lost is kept and never counts, and raises `LeaseLost`.
        """
        records = await self._decided(
            lambda view: updating.update_attempt(
                view, rollout_id, attempt_id, leases=self._leases, status=status, worker_id=worker_id,
                last_heartbeat_time=last_heartbeat_time, metadata=metadata,
            )
        )  # fmt: skip
        for record in records:
            if isinstance(record.event, AttemptFinished) and record.event.late:
                raise LeaseLost(record.event.attempt_id, why="it had come to its end before")
        latest = self.ask.latest_attempt(rollout_id) if attempt_id == "latest" else attempt_id
        return self.ask.attempt(rollout_id, str(latest))

    # --- waiting

    async def wait_for_rollouts(self, *, rollout_ids: Sequence[str], timeout: float | None = None) -> list[Rollout]:
        """Those of `rollout_ids` that are settled, as soon as all are, or when `timeout` seconds have passed.

        A time-out of 0 asks how things stand. One that is deleted meanwhile is waited for no more, and left out.
        """
        self.ask.check(rollout_ids)
        await self._wait(rollout_ids, timeout)
        done = self.ask.finished(rollout_ids)
        return list(self.ask.rollouts(ids=[rollout_id for rollout_id in rollout_ids if rollout_id in done]))

    async def wait(
        self,
        rollout_ids: Sequence[str],
        *,
        timeout: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Whether all are settled, or deleted; no id costs a thread or a poll."""
        self.ask.check(rollout_ids, hidden=True)
        return await self._wait(rollout_ids, timeout, progress)

    async def _wait(
        self, rollout_ids: Sequence[str], timeout: float | None, progress: Callable[[int], None] | None = None
    ) -> bool:
        is_over = True
        try:
            async with asyncio.timeout(timeout):  # to ask how ten thousand stand is part of the wait
                ends = self._ends.wait(rollout_ids, progress)
                if not ends.done():
                    await asyncio.wrap_future(ends)
        except TimeoutError:
            is_over = False
        if self.hooks is not None and self.hooks.hear_ends:
            await self._telling.of(rollout_ids, cast("Store", self), self.hooks)
        return is_over
