"""An operation: a piece of the agent's work that tells what it was given, what came of it and how long it took."""

from __future__ import annotations

import functools
import inspect
from collections.abc import AsyncGenerator, Callable, Generator, Mapping
from typing import Any, Self, TypeVar, overload

from agl_core.emit._core_fields import SpanCoreFields
from agl_core.emit._work import Work
from agl_core.errors import BadValue

__all__ = ["OperationContext", "operation"]

Function = TypeVar("Function", bound=Callable[..., Any])


@overload
def operation(fn: Function, *, propagate: bool = True, name: str | None = None, **attributes: Any) -> Function: ...


@overload
def operation(
    fn: None = None, *, propagate: bool = True, name: str | None = None, **attributes: Any
) -> OperationContext: ...


def operation(
    fn: Callable[..., Any] | None = None, *, propagate: bool = True, name: str | None = None, **attributes: Any
) -> Any:
    """A span that tells arguments, result, exception and duration; spans said inside it have it as their parent.

    As `@operation`, as `@operation(name=...)`, on functions of any kind and on methods, or as
    `with operation(name=...)`. Raises `OutsideAttempt` where no attempt is under way, unless `propagate` is false.
    """
    if fn is not None and not callable(fn):
        raise BadValue("operation", fn, why="it decorates a function; give a name as `name=`")
    made = OperationContext(name, attributes, propagate=propagate)
    return made if fn is None else made(fn)


class OperationContext:
    """A piece of the agent's work: a context manager, and a decorator for functions of any kind."""

    def __init__(self, name: str | None, attributes: Mapping[str, Any], *, propagate: bool) -> None:
        self._name, self._given, self._propagate = name, attributes, propagate
        self._work: Work | None = None
        self._span: SpanCoreFields | None = None

    def __enter__(self) -> Self:
        if self._work is not None:
            raise BadValue("operation", self._name, why="it is under way already: each block has an `operation(...)`")
        self._work = Work(self._name or "operation", self._given, propagate=self._propagate)
        self._work.__enter__()
        return self

    def __exit__(self, kind: object, raised: BaseException | None, traceback: object) -> None:
        work, self._work = self._work, None
        if work is not None:
            work.__exit__(kind, raised, traceback)
            self._span = work.end(raised)

    def set_input(self, *args: Any, **kwargs: Any) -> None:
        """What it works on."""
        numbered = {str(number): value for number, value in enumerate(args)}
        self._under_way().given({"args": numbered, **kwargs} if args else kwargs)

    def set_output(self, output: Any) -> None:
        """What came of it."""
        self._under_way().came(output)

    def span(self) -> SpanCoreFields:
        """The span that it was, once it has ended."""
        if self._span is None:
            raise BadValue("operation", self._name, why="it has not ended, and has no span yet")
        return self._span

    def __call__(self, fn: Function) -> Function:
        """The function, with a span for each call, or for each generator that is run."""
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

    def _begun(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
        # One for each call: the function may be entered again before it is left.
        name = self._name or str(getattr(fn, "__name__", "operation"))
        work = Work(name, self._given, propagate=self._propagate)
        work.takes(fn, args, kwargs)
        return work

    def _called(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def called(*args: Any, **kwargs: Any) -> Any:
            work = self._begun(fn, args, kwargs)
            with work.ending():
                with work:
                    result = fn(*args, **kwargs)
                work.came(result)
            return result

        return called

    def _awaited(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        async def awaited(*args: Any, **kwargs: Any) -> Any:
            work = self._begun(fn, args, kwargs)
            with work.ending():
                with work:
                    result = await fn(*args, **kwargs)
                work.came(result)
            return result

        return awaited

    def _stepped(self, fn: Callable[..., Any]) -> Callable[..., Any]:
        def stepped(*args: Any, **kwargs: Any) -> Generator[Any, Any, Any]:
            work, items = self._begun(fn, args, kwargs), fn(*args, **kwargs)
            step: Callable[[], Any] = functools.partial(next, items)
            with work.ending():
                while True:
                    try:
                        with work:
                            item = step()
                    except StopIteration as end:
                        return end.value
                    work.yielded(item)
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
            work, items = self._begun(fn, args, kwargs), fn(*args, **kwargs)
            step: Callable[[], Any] = items.__anext__
            with work.ending():
                while True:
                    try:
                        with work:
                            item = await step()
                    except StopAsyncIteration:
                        return
                    work.yielded(item)
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

    def _under_way(self) -> Work:
        if self._work is None:
            raise BadValue("operation", self._name, why="it is not under way: say it inside the `with`")
        return self._work
