"""A run that goes through its history: every movement is found there, and nothing is carried out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import wraps
from typing import Any, TypeVar, cast

from agl_core.asking import Said
from agl_core.engine import Checkpoint
from agl_core.replay._tale import Beyond
from agl_core.replay.histories import History
from agl_core.run import Flight, Run
from agl_core.run._journal import Journal, Movement
from agl_core.store import Store

__all__ = ["Found", "Mute", "Recalled", "Strict", "Walk"]

Method = TypeVar("Method", bound=Callable[..., Any])


def _parking(method: Method) -> Method:
    """The movement; past the end of the history it never returns, so that what runs beside it comes to its end too."""

    @wraps(method)
    async def parked(*given: Any, **named: Any) -> Any:
        try:
            return await method(*given, **named)
        except Beyond:
            return await asyncio.get_running_loop().create_future()

    return cast("Method", parked)


class Walk(Run):
    """As an algorithm holds it."""

    again = _parking(Run.again)
    ask = _parking(Run.ask)
    examine = _parking(Run.examine)
    goes_on = _parking(Run.goes_on)
    now = _parking(Run.now)
    promote = _parking(Run.promote)
    publish = _parking(Run.publish)
    rollouts = _parking(Run.rollouts)
    serve = _parking(Run.serve)
    spending = _parking(Run.spending)
    step = _parking(Run.step)
    update = _parking(Run.update)

    def flight(
        self,
        label: str = "flight",
        *,
        mode: str = "train",
        repeat: int = 1,
        sampling: Mapping[str, Any] | None = None,
    ) -> Flight:
        """Groups that landed as the log has it."""
        return _Flight(self, self._journal, self._weights, label, repeat=repeat, mode=mode, sampling=sampling)


class _Flight(Flight):
    call_off = _parking(Flight.call_off)
    landed = _parking(Flight.landed)
    launch = _parking(Flight.launch)


class Strict(Journal):
    """Numbers movements, and finds them."""

    @contextmanager
    def movement(self, kind: str, label: str) -> Iterator[Movement]:
        """The next movement of that kind and label: one that the log has."""
        assert isinstance(self.log, History)
        with super().movement(kind, label) as movement:
            self.log.tale.meet(movement.key)
            yield movement


class Found(Store):
    """A store in which rollouts have ended, or never will."""

    async def wait(
        self,
        rollout_ids: Sequence[str],
        *,
        timeout: float | None = None,
        progress: Callable[[int], None] | None = None,
    ) -> bool:
        """Whether all are settled; where that is not in the history, it never returns."""
        assert isinstance(self.log, History)
        settled = self.ask.finished(rollout_ids)
        open_ = [rollout_id for rollout_id in rollout_ids if rollout_id not in settled]
        if open_:
            group = self.log.rows("select grp from rollouts where rollout_id = ?", (open_[0],))[0][0]
            raise self.log.tale.missing(str(group))
        return True


class Recalled:
    """Weights that a history names; nobody serves them, and their files may be anywhere."""

    def __init__(self, first: Mapping[str, Checkpoint]) -> None:
        self._first = first

    def initial(self) -> Mapping[str, Checkpoint]:
        """What the run began with."""
        return self._first

    async def load(self, policy: str, checkpoint: Checkpoint, *, version: int) -> None:
        """There is no engine."""

    async def admit(self) -> None:
        """There is no agent."""


class Mute:
    """Asks nobody."""

    async def ask(
        self, run_id: str, model: str, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any], key: str
    ) -> Said:
        """What is not in the history is not asked."""
        raise Beyond(key)
