"""One run of an operation: what it was given, what came of it, and its place among the others."""

from __future__ import annotations

import inspect
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager, suppress
from contextvars import Token
from typing import Any

from agl_core.emit._attributes import flatten_attributes
from agl_core.emit._core_fields import Around, SpanCoreFields, around, core, parent_of, recorded
from agl_core.emit._exceptions import format_exception_attributes
from agl_core.emit.semconv import AGL_OPERATION, LightningSpanAttributes
from agl_core.ids import new_id
from agl_core.recorder import Scope, current
from agl_core.spans import plain

__all__ = ["ITEMS", "UnderWay", "Work", "bound"]

ITEMS = 1000
"""Of what a generator yields, the first so many are kept."""


class UnderWay:
    """A span that lasts. Entered, what is said has it as its parent; it may be entered again, step by step."""

    def __init__(self, name: str, attributes: Mapping[str, Any], *, scope: Scope | None) -> None:
        self._name, self._scope = name, scope
        self._span_id = new_id("sp")
        self._parent_id = parent_of(scope) if scope is not None else None
        self._attributes = dict(attributes)
        self._token: Token[Around | None] | None = None
        self._began = time.time()

    def __enter__(self) -> None:
        attempt = self._scope.attempt_id if self._scope is not None else None
        self._token = around.set(Around(attempt, self._span_id))

    def __exit__(self, *_raised: object) -> None:
        token, self._token = self._token, None
        if token is not None:
            with suppress(ValueError):  # in another context than it began in there is nothing to take back
                around.reset(token)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """It ends where the block does. A generator that is closed has not failed."""
        try:
            yield
        except GeneratorExit:
            self.end(None)
            raise
        except BaseException as raised:
            self.end(raised)
            raise
        else:
            self.end(None)

    def end(self, raised: BaseException | None) -> SpanCoreFields:
        """The span that it was, kept with the attempt it began in."""
        error = None
        if raised is not None:
            self._attributes |= format_exception_attributes(raised)
            error = str(raised)
        span = core(self._name, self._attributes, error=error, began=self._began)
        if (scope := self._scope) is not None:
            fact = recorded(span, scope, span_id=self._span_id, parent_id=self._parent_id)
            scope.expect(scope.recorder.record(fact, scope))
        return span


class Work(UnderWay):
    """An operation. It begins when it is made."""

    def __init__(self, name: str, attributes: Mapping[str, Any], *, propagate: bool) -> None:
        named = {**_named("", attributes), LightningSpanAttributes.OPERATION_NAME.value: name}
        super().__init__(AGL_OPERATION, named, scope=current("an operation") if propagate else None)
        self._items: list[Any] | None = None

    def takes(self, fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any]) -> None:
        """What the function is called with."""
        self.given(bound(fn, args, kwargs))

    def given(self, named: Mapping[str, Any]) -> None:
        """What it works on."""
        self._attributes |= _named(LightningSpanAttributes.OPERATION_INPUT, named)

    def came(self, output: Any) -> None:
        """What came of it."""
        self._attributes |= _named(LightningSpanAttributes.OPERATION_OUTPUT, output)

    def yielded(self, item: Any) -> None:
        """One more thing that came of it."""
        self._items = [] if self._items is None else self._items
        if len(self._items) < ITEMS:
            self._items.append(plain(item))

    def end(self, raised: BaseException | None) -> SpanCoreFields:
        """The span that it was, with all that it yielded."""
        if self._items is not None:
            self.came(self._items)
        return super().end(raised)


def bound(
    fn: Callable[..., Any], args: tuple[Any, ...], kwargs: Mapping[str, Any], *, defaults: bool = False
) -> dict[str, Any]:
    """What a function is called with, by the names of its parameters; the object of a method is left out."""
    try:
        found = inspect.signature(fn).bind(*args, **kwargs)
    except (TypeError, ValueError):
        return {"args": list(args), **kwargs}  # the call itself will say what is wrong with it
    if defaults:
        found.apply_defaults()
    named = dict(found.arguments)
    if args and next(iter(named), None) in {"self", "cls"}:
        named.pop(next(iter(named)))
    return named


def _named(name: str, value: Any) -> dict[str, Any]:
    """The value under that name, or under names below it; plain at once, because the agent may change it meanwhile."""
    found = plain(value)
    if isinstance(found, dict) and not found:
        return {}
    return flatten_attributes({str(name): found} if name else found)
