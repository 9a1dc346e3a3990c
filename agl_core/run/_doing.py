"""What an algorithm has done outside: effects, and questions to models, each carried out once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agl_core.asking import Said
from agl_core.errors import BadValue
from agl_core.events import RunStopAsked, StepRecorded
from agl_core.ids import canonical, content_id
from agl_core.run._base import Base
from agl_core.run._budget import Spending
from agl_core.run._effects import carried_out, plain
from agl_core.run._journal import Movement, digest
from agl_core.run._spent import spent

__all__ = ["Effects"]


class Effects(Base):
    """What is done once, and read back ever after."""

    async def step(self, label: str, fn: Callable[..., Any], *args: Any) -> Any:
        """Carry out an effect once: `fn(*args)`, sync (in a thread) or async, must return plain JSON."""
        with self._journal.movement("step", label) as movement:
            asked = digest(fn, *args)
            if movement.recorded is not None:  # whose result may well be null
                return self._read_back(movement, asked)
            began = time.monotonic()
            result = plain(await carried_out(label, fn, *args))
            await self._write_down(movement, label, asked, result, began)
            return result

    async def ask(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, label: str = "ask", **sampling: Any
    ) -> Said:
        """Ask a model a chat, once: one of the run's models by its name, or an engine URL, `https://host/v1#name`.

        The call goes through the gateway and is recorded; it is no policy's. What was answered before a kill is not
        asked again. A server that says it is busy is waited for; raises `ModelUnanswered` when it stays so.
        """
        if self._asks is None:
            raise BadValue("model", model, why="nobody serves models to this run")
        with self._journal.movement("ask", label) as movement:
            asked = content_id(canonical([model, [dict(message) for message in messages], sampling]))
            recorded = self._read_back(movement, asked)
            if recorded is None:
                began = time.monotonic()
                said = await self._asks.ask(self.id, model, messages, sampling=sampling, key=movement.key)
                recorded = plain(said)
                await self._write_down(movement, label, asked, recorded, began)
            return Said(**recorded)

    async def spending(self, label: str = "spending") -> Spending:
        """What the model calls of the run have come to so far; when it is resumed, what they had come to then."""
        with self._journal.movement("spending", label) as movement:
            found = self._read_back(movement, "")
            if found is None:
                found = plain(spent(self.store.log, self.id, self.prices))
                await self._write_down(movement, label, "", found, time.monotonic())
            return Spending(**found)

    async def goes_on(self, label: str = "goes_on") -> bool:
        """Whether nobody has asked the run to stop: for the head of a round. Then an algorithm ends in good order.

        The run's reactions have heard all that is in the log by then, so that a stop is a matter of facts, not of time.
        """
        with self._journal.movement("goes_on", label) as movement:
            found = self._read_back(movement, "")
            if found is None:
                await self.caught_up()
                asked = self.store.log.read(stream=f"run/{self.id}", types=[RunStopAsked.type], limit=1)
                found = next(iter(asked), None) is None
                await self._write_down(movement, label, "", found, time.monotonic())
            return bool(found)

    def _read_back(self, movement: Movement, asked: str) -> Any:
        """What the log has of the movement, None of one that is new."""
        if movement.recorded is None:
            return None
        assert isinstance(movement.recorded.event, StepRecorded)
        movement.check(movement.recorded.event.digest, asked)
        return movement.recorded.event.result

    async def _write_down(self, movement: Movement, label: str, asked: str, result: Any, began: float) -> None:
        seconds = time.monotonic() - began
        event = StepRecorded(run_id=self.id, label=label, digest=asked, result=result, seconds=seconds)
        await self._journal.log.soon([self._journal.draft(event, movement.key)])
