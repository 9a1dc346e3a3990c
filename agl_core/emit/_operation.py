"""An operation: a piece of the agent's work that tells what it was given, what came of it and how long it took."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any, Self, TypeVar, overload

from agl_core.emit._core_fields import SpanCoreFields
from agl_core.emit._work import Work
from agl_core.errors import BadValue
from agl_core.recorder import each_call

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
        return each_call(fn, functools.partial(self._begun, fn))

    def _begun(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Work:
        # One for each call: the function may be entered again before it is left.
        name = self._name or str(getattr(fn, "__name__", "operation"))
        work = Work(name, self._given, propagate=self._propagate)
        work.takes(fn, args, kwargs)
        return work

    def _under_way(self) -> Work:
        if self._work is None:
            raise BadValue("operation", self._name, why="it is not under way: say it inside the `with`")
        return self._work
