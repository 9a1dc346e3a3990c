"""What stands in for a tool in a replay: a function of the same kind that comes to what the tool came to then."""

from __future__ import annotations

import asyncio
import builtins
import inspect
import sys
from collections.abc import AsyncIterator, Callable, Iterator
from typing import Any

from agl_core.emit.tool_words import Outcome
from agl_core.errors import ReplayUnmatched

__all__ = ["again", "error_like"]

Depart = Callable[[ReplayUnmatched], None]


def again(fn: Callable[..., Any], ended: Outcome, *, name: str, depart: Depart) -> Callable[..., Any]:
    """In place of `fn`; `depart` is told of a generator that is asked for more than was asked of it then."""
    recorded = _Recorded(ended, name, depart)
    if inspect.isasyncgenfunction(fn):
        return recorded.yielded_soon
    if inspect.isgeneratorfunction(fn):
        return recorded.yielded
    return recorded.awaited if inspect.iscoroutinefunction(fn) else recorded.called


class _Recorded:
    def __init__(self, ended: Outcome, name: str, depart: Depart) -> None:
        self._ended, self._name, self._depart = ended, name, depart

    def called(self, *_args: Any, **_kwargs: Any) -> Any:
        if self._ended.raised is not None:
            raise error_like(*self._ended.raised)
        return self._ended.value

    async def awaited(self, *_args: Any, **_kwargs: Any) -> Any:
        await self._cancelled()
        await asyncio.sleep(0)  # others had a turn while it waited then, and may have to have it now
        return self.called()

    def yielded(self, *_args: Any, **_kwargs: Any) -> Iterator[Any]:
        yield from self._ended.value or ()
        self._over()

    async def yielded_soon(self, *_args: Any, **_kwargs: Any) -> AsyncIterator[Any]:
        for item in self._ended.value or ():
            await asyncio.sleep(0)
            yield item
        await self._cancelled()
        self._over()

    def _over(self) -> None:
        """All that was yielded is yielded again."""
        if self._ended.left:
            why = f"it was left after {len(self._ended.value)} items then, and is asked for another one"
            error = ReplayUnmatched(f"tool {self._name!r}", why=why)
            self._depart(error)
            raise error
        self.called()

    async def _cancelled(self) -> None:
        """Wait to be cancelled, if it was: who did it then does it again, by a clock of the agent's own."""
        if self._ended.raised is not None and self._ended.raised[0] == "asyncio.exceptions.CancelledError":
            await asyncio.get_running_loop().create_future()


def error_like(kind: str, message: str) -> Exception:
    """An error of that type, where the type is at hand, and of that name and message in any case.

    Nothing of the type's own runs: what it keeps beside its message is not there.
    """
    found = _type(kind)
    module, _, name = kind.rpartition(".")
    error = _bare(found, message)
    if found.__name__ == name and _says(error) == message:
        return error
    words = {"__str__": lambda _self: message, "__module__": module or "builtins"}
    return _bare(type(name, (found,), words), message)


def _bare(kind: type[Exception], message: str) -> Exception:
    error = kind.__new__(kind)
    error.args = (message,)
    return error


def _type(kind: str) -> type[Exception]:
    """The type of that name, of a module that is loaded; a type whose errors cannot be made bare is only named."""
    names = kind.split(".")
    for cut in range(len(names) - 1, -1, -1):
        found: Any = sys.modules.get(".".join(names[:cut])) if cut else builtins
        for name in names[cut:]:
            found = getattr(found, name, None)
        if isinstance(found, type) and issubclass(found, Exception):
            try:
                found.__new__(found)
            except TypeError:
                return Exception
            return found
    return Exception


def _says(error: Exception) -> str | None:
    try:
        return str(error)
    except Exception:  # noqa: BLE001 - a guest's own code, which finds less in it than it is used to
        return None
