"""Each call of a function is a piece of work, whatever kind of function it is: one that returns, awaits or yields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

__all__ = ["Piece", "each_call"]

Function = TypeVar("Function", bound=Callable[..., Any])
Begin = Callable[[tuple[Any, ...], dict[str, Any]], "Piece"]


class Piece(Protocol):
    """One call under way. It is entered for each step of the function's own, and left while its consumer works."""

    def __enter__(self) -> None: ...

    def __exit__(self, *raised: object) -> None: ...

    def ending(self) -> AbstractContextManager[None]:
        """From the first step to the end of the call, however that comes."""
        ...

    def came(self, result: Any) -> None:
        """It has returned."""
        ...

    def yielded(self, item: Any) -> None:
        """It has yielded, and goes on."""
        ...


def each_call(fn: Function, begin: Begin) -> Function:
    """The function; `begin` makes the piece that a call is, of what it is given.

    A generator's piece begins with its first step. What is sent in, thrown in and returned goes through.
    """
    if inspect.isasyncgenfunction(fn):
        chosen: Any = _stepped_async(fn, begin)
    elif inspect.isgeneratorfunction(fn):
        chosen = _stepped(fn, begin)
    elif inspect.iscoroutinefunction(fn):
        chosen = _awaited(fn, begin)
    else:
        chosen = _called(fn, begin)
    kept: Any = functools.wraps(fn)(chosen)
    return kept  # type: ignore[no-any-return]  # it takes and gives what `fn` does


def _called(fn: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        piece = begin(args, kwargs)
        with piece.ending():
            with piece:
                result = fn(*args, **kwargs)
            piece.came(result)
        return result

    return called


def _awaited(fn: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        piece = begin(args, kwargs)
        with piece.ending():
            with piece:
                result = await fn(*args, **kwargs)
            piece.came(result)
        return result

    return awaited


def _stepped(fn: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    def stepped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        piece, items = begin(args, kwargs), fn(*args, **kwargs)
        step: Callable[[], Any] = functools.partial(next, items)
        with piece.ending():
            while True:
                try:
                    with piece:
                        item = step()
                except StopIteration as end:
                    return end.value
                piece.yielded(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with piece:
                        items.close()
                    raise
                except BaseException as raised:  # noqa: BLE001 - it is the generator's to answer
                    step = functools.partial(items.throw, raised)
                else:
                    step = functools.partial(items.send, sent)

    return stepped


def _stepped_async(fn: Callable[..., Any], begin: Begin) -> Callable[..., Any]:
    async def stepped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        piece, items = begin(args, kwargs), fn(*args, **kwargs)
        step: Callable[[], Any] = items.__anext__
        with piece.ending():
            while True:
                try:
                    with piece:
                        item = await step()
                except StopAsyncIteration:
                    return
                piece.yielded(item)
                try:
                    sent = yield item
                except GeneratorExit:
                    with piece:
                        await items.aclose()
                    raise
                except BaseException as raised:  # noqa: BLE001 - it is the generator's to answer
                    step = functools.partial(items.athrow, raised)
                else:
                    step = functools.partial(items.asend, sent)

    return stepped
