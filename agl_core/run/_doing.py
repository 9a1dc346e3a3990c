"""What an algorithm has done outside: effects, and questions to models, each carried out once."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from agl_core.asking import Said, text_of
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, RunStopAsked, StepRecorded
from agl_core.ids import canonical, content_id
from agl_core.run._base import Base
from agl_core.run._budget import Spending
from agl_core.run._effects import carried_out, plain
from agl_core.run._journal import Asked, Movement
from agl_core.run._sides import kept
from agl_core.run._spent import spent

__all__ = ["Effects"]


class Effects(Base):
    """What is done once, and read back ever after."""

    async def step(self, label: str, fn: Callable[..., Any], *args: Any) -> Any:
        """Carry out an effect once: `fn(*args)`, sync (in a thread) or async, must return plain JSON."""
        with self._journal.movement("step", label) as movement:
            asked = Asked.of(fn, *args)
            if movement.recorded is not None:  # whose result may well be null
                return movement.step(asked).result
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
        said = [dict(message) for message in messages]
        with self._journal.movement("ask", label) as movement:
            asked = Asked(
                digest=content_id(canonical([model, said, sampling])),
                function="ask",
                arguments=kept(map(canonical, [model, sampling, *said])),
            )
            if movement.recorded is not None:
                return Said(**self._answered(movement, asked, said))
            began = time.monotonic()
            found = plain(await self._asks.ask(self.id, model, messages, sampling=sampling, key=movement.key))
            await self._write_down(movement, label, asked, found, began)
            return Said(**found)

    async def spending(self, label: str = "spending") -> Spending:
        """What the model calls of the run have come to so far; when it is resumed, what they had come to then."""
        with self._journal.movement("spending", label) as movement:
            if movement.recorded is not None:
                return Spending(**movement.step(Asked()).result)
            found = plain(spent(self.store.log, self.id, self.prices))
            await self._write_down(movement, label, Asked(), found, time.monotonic())
            return Spending(**found)

    async def now(self, label: str = "now") -> float:
        """Seconds since the epoch; when the run is resumed, as they were read then. Durations belong into metrics."""
        with self._journal.movement("now", label) as movement:
            if movement.recorded is not None:
                return float(movement.step(Asked()).result)
            found = self._clock.now() / 1e9
            await self._write_down(movement, label, Asked(), found, time.monotonic())
            return found

    async def goes_on(self, label: str = "goes_on") -> bool:
        """Whether nobody has asked the run to stop: for the head of a round. Then an algorithm ends in good order.

        The run's reactions have heard all that is in the log by then, so that a stop is a matter of facts, not of time.
        """
        with self._journal.movement("goes_on", label) as movement:
            if movement.recorded is not None:
                return bool(movement.step(Asked()).result)
            await self.caught_up()
            asked = self.store.log.read(stream=f"run/{self.id}", types=[RunStopAsked.type], limit=1)
            found = next(iter(asked), None) is None
            await self._write_down(movement, label, Asked(), found, time.monotonic())
            return found

    def _answered(self, movement: Movement, asked: Asked, said: Sequence[Mapping[str, Any]]) -> Any:
        """What a model answered then; `ReplayDiverged` has the words of both questions, where the log has them."""
        assert movement.recorded is not None
        assert isinstance(movement.recorded.event, StepRecorded)
        event = movement.recorded.event
        if event.digest != asked.digest and (call := self._journal.log.get(f"call/{event.result['call_id']}")):
            assert isinstance(call.event, CallRecorded)
            then = [{"role": one.role, "content": text_of(one.content)} for one in call.event.call.messages]
            now = [{"role": one.get("role"), "content": text_of(one.get("content"))} for one in said]
            movement.check({"messages": then}, {"messages": now})
        return movement.step(asked).result

    async def _write_down(self, movement: Movement, label: str, asked: Asked, result: Any, began: float) -> None:
        event = StepRecorded(
            run_id=self.id,
            label=label,
            digest=asked.digest,
            function=asked.function,
            arguments=asked.arguments,
            result=result,
            seconds=time.monotonic() - began,
        )
        await self._journal.log.soon([self._journal.draft(event, movement.key)])
