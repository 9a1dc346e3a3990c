"""The name of the agent at work: a block, or a function of any kind, whose work is that agent's."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import replace
from typing import Any, TypeVar

from agl_core.errors import BadValue
from agl_core.recorder._each_call import each_call
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
        self._work: _Work | None = None

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
        return each_call(fn, lambda *_given: self._begun())

    def _begun(self) -> _Work:
        around = current("an agent's name")
        scope = replace(around, agent=self._name, parent_call=self._parent_call or around.last_call(), asked=[])
        return _Work(scope)


class _Work(Inside):
    """An agent's; nothing is told of it but whose it is."""

    def ending(self) -> AbstractContextManager[None]:
        return nullcontext()

    def came(self, result: Any) -> None:
        pass

    def yielded(self, item: Any) -> None:
        pass
