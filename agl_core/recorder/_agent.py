"""The name of the agent at work: a block, or a function of any kind, whose work is that agent's."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from dataclasses import replace
from typing import Any, TypeVar

from agl_core.errors import BadValue
from agl_core.recorder._scope import Inside, current

__all__ = ["agent"]

Function = TypeVar("Function", bound=Callable[..., Any])


class agent:  # noqa: N801 - used as a word of the language: `with agl.agent("writer"):`
    """What is emitted inside belongs to the agent of that name; of agents within agents, to the innermost.

    `with agl.agent("writer"):`, or `@agl.agent("writer")` on a function: sync or async, also one that yields. Calls
    made inside say which call they were made for: `parent_call`, or the last one that the agent around it made, if
    that is certain. Raises `OutsideAttempt` where no attempt is under way.

    A `with` in the body of a generator names what its consumer does between two items too: decorate the generator.
    """

    def __init__(self, name: str, *, parent_call: str | None = None) -> None:
        named: object = name  # frameworks have agents without one
        if not (isinstance(named, str) and named):
            raise BadValue("agent", name, why="the name of an agent is a word")
        self._name, self._parent_call = name, parent_call
        self._work: Inside | None = None

    def __enter__(self) -> None:
        if self._work is not None:
            raise RuntimeError("it is entered already: each block has its own `agl.agent(...)`")
        self._work = self._begun()
        self._work.__enter__()

    def __exit__(self, *raised: object) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.__exit__(*raised)

    def __call__(self, fn: Function) -> Function:
        """The function; each of its calls is the agent's work, from its begin to its end."""
        if inspect.isasyncgenfunction(fn):
            chosen: Any = self._stepped_async(fn)
        elif inspect.isgeneratorfunction(fn):
            chosen = self._stepped(fn)
        elif inspect.iscoroutinefunction(fn):
            chosen = self._awaited(fn)
        else:
            chosen = self._called(fn)
        kept: Any = functools.wraps(fn)(chosen)
        return kept  # type: ignore[no-any-return]  # it takes and gives what `fn` does

    def _begun(self) -> Inside:
        around = current("an agent's name")
        scope = replace(around, agent=self._name, parent_call=self._parent_call or around.last_call(), asked=[])
        return Inside(scope)

    def _called(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            with self._begun():
                return fn(*args, **kwargs)

        return called

    def _awaited(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            with self._begun():
                return await fn(*args, **kwargs)

        return awaited

    def _stepped(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            work, items = self._begun(), fn(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, items)
            while True:
                try:
                    with work:
                        item = step()
                except StopIteration as end:
                    return end.value
                try:
                    sent = yield item
                except GeneratorExit:
                    with work:
                        items.close()
                    raise
                except BaseException as raised:  # noqa: BLE001 - it is the generator's to answer
                    step = functools.partial(items.throw, raised)
                else:
                    step = functools.partial(items.send, sent)

        return stepped

    def _stepped_async(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def stepped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
            work, items = self._begun(), fn(*args, **kwargs)
            step: Callable[[], Any] = items.__anext__
            while True:
                try:
                    with work:
                        item = await step()
                except StopAsyncIteration:
                    return
                try:
                    sent = yield item
                except GeneratorExit:
                    with work:
                        await items.aclose()
                    raise
                except BaseException as raised:  # noqa: BLE001 - it is the generator's to answer
                    step = functools.partial(items.athrow, raised)
                else:
                    step = functools.partial(items.asend, sent)

        return stepped
