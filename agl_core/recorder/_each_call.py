"""Each call of a function is a piece of work, whatever kind of function it is: one that returns, awaits or yields."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator
from contextlib import AbstractContextManager
from typing import Any, Protocol, TypeVar

__all__ = ["Piece", "each_call"]

Function = TypeVar("Function", bound=Callable[..., Any])
P = TypeVar("P", bound="Piece")
Begin = Callable[[tuple[Any, ...], dict[str, Any]], P]
Body = Callable[[P], Callable[..., Any]]


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


def each_call(fn: Function, begin: Begin[P], *, body: Body[P] | None = None) -> Function:
    """The function; `begin` makes the piece that a call is, of what it is given.

    A generator's piece begins with its first step. What is sent in, thrown in and returned goes through. `body` says
    what runs for a piece, a function of the same kind; without it `fn` does.
    """
    runs: Body[P] = body or (lambda _piece: fn)
    if inspect.isasyncgenfunction(fn):
        chosen: Any = _stepped_async(runs, begin)
    elif inspect.isgeneratorfunction(fn):
        chosen = _stepped(runs, begin)
    elif inspect.iscoroutinefunction(fn):
        chosen = _awaited(runs, begin)
    else:
        chosen = _called(runs, begin)
    kept: Any = functools.wraps(fn)(chosen)
    return kept  # type: ignore[no-any-return]  # it takes and gives what `fn` does


def _called(runs: Body[P], begin: Begin[P]) -> Callable[..., Any]:
    def called(*args: Any, **kwargs: Any) -> Any:
        piece = begin(args, kwargs)
        with piece.ending():
            with piece:
                result = runs(piece)(*args, **kwargs)
            piece.came(result)
        return result

    return called


def _awaited(runs: Body[P], begin: Begin[P]) -> Callable[..., Any]:
    async def awaited(*args: Any, **kwargs: Any) -> Any:
        piece = begin(args, kwargs)
        with piece.ending():
            with piece:
                result = await runs(piece)(*args, **kwargs)
            piece.came(result)
        return result

    return awaited


def _stepped(runs: Body[P], begin: Begin[P]) -> Callable[..., Any]:
    def stepped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
        piece = begin(args, kwargs)
        with piece.ending():
            items = runs(piece)(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, items)
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


def _stepped_async(runs: Body[P], begin: Begin[P]) -> Callable[..., Any]:
    async def stepped(*args: Any, **kwargs: Any) -> AsyncGenerator[Any, Any]:
        piece = begin(args, kwargs)
        with piece.ending():
            items = runs(piece)(*args, **kwargs)
            step: Callable[[], Any] = items.__anext__
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
