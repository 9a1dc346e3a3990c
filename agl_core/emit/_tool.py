"""A tool of an agent: what it was given and what came of it is recorded, and a replay gives that back."""

from __future__ import annotations

import asyncio
import functools
import inspect
import json
import logging
import threading
from collections.abc import Callable, Iterator, Mapping
from contextlib import AbstractContextManager, contextmanager, nullcontext
from typing import Any, TypeVar, get_args, overload

from agl_core.emit import tool_words as words
from agl_core.emit._core_fields import SpanCoreFields
from agl_core.emit._exceptions import format_exception_attributes
from agl_core.emit._tool_again import again
from agl_core.emit._work import ITEMS, UnderWay, bound
from agl_core.emit.semconv import ToolAttributes
from agl_core.errors import BadValue, OutsideAttempt, ReplayError
from agl_core.ids import ulid
from agl_core.recorder import Scope, ToolAnswer, ToolAsked, ToolWay, current, each_call

__all__ = ["tool"]

Function = TypeVar("Function", bound=Callable[..., Any])
_log = logging.getLogger(__name__)


@overload
def tool(fn: Function, *, replay: ToolWay = "recorded", name: str | None = None) -> Function: ...


@overload
def tool(
    fn: None = None, *, replay: ToolWay = "recorded", name: str | None = None
) -> Callable[[Function], Function]: ...


def tool(fn: Any = None, *, replay: ToolWay = "recorded", name: str | None = None) -> Any:
    """Mark a function as a tool of the agent: each call of it in an attempt is a span, with arguments and result.

    As `@tool`, or as `@tool(replay=..., name=...)`, on functions of any kind and on methods; the framework's own
    decorator stands above it, and sees the function's name, signature and docstring. Outside an attempt it is the
    function and no more.

    `replay` says what a call is in a replay. `recorded`: the function does not run, and what came of it then comes of
    it again, its exception too; what it does beside its result is not done. `pure`: it runs, and a replay in which it
    comes to something else stops there (`ReplayDiffers`). `live`: it runs. Results of a `recorded` tool are JSON: what
    is none is told in the trace, and cannot come again.
    """
    if replay not in get_args(ToolWay):
        raise BadValue("replay", replay, why=f"a tool is one of {', '.join(get_args(ToolWay))}")
    if fn is None:
        return functools.partial(tool, replay=replay, name=name)
    if isinstance(fn, staticmethod | classmethod):
        return type(fn)(tool(fn.__func__, replay=replay, name=name))
    if not (inspect.isroutine(fn) or isinstance(fn, functools.partial)):
        why = "it marks a function: put it below the framework's own decorator, or on the method `__call__`"
        raise BadValue("tool", fn, why=why)
    return _Tool(fn, replay, name).marked()


class _Tool:
    """A function, and how its calls are told."""

    def __init__(self, fn: Callable[..., Any], way: ToolWay, name: str | None) -> None:
        # A partial has no name of its own.
        own = getattr(fn, "__name__", None) or getattr(getattr(fn, "func", None), "__name__", None)
        self.fn, self.way, self.name = fn, way, name or str(own or "tool")
        self.yields = inspect.isgeneratorfunction(fn) or inspect.isasyncgenfunction(fn)
        self._has_warned = False

    def marked(self) -> Any:
        """The function, each call of it told."""
        return each_call(self.fn, self._begin, body=lambda call: call.body())

    def warn(self) -> None:
        """Say once that what it gives cannot come again, if it should."""
        if self.way == "recorded" and not self._has_warned:
            self._has_warned = True
            _log.warning(
                "tool %r gave what is no JSON: a replay cannot give that back. Have it return JSON, or declare it "
                "`@agl.tool(replay='live')` or `'pure'`",
                self.name,
            )

    def _begin(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> _Call | _Plain:
        try:
            scope = current("a tool")
        except OutsideAttempt:
            return _Plain(self)
        return _Call(self, scope, bound(self.fn, args, kwargs, defaults=True))


class _Plain:
    """A call outside an attempt: nobody looks."""

    def __init__(self, tool: _Tool) -> None:
        self._tool = tool

    def __enter__(self) -> None:
        pass

    def __exit__(self, *_raised: object) -> None:
        pass

    def ending(self) -> AbstractContextManager[None]:
        return nullcontext()

    def came(self, result: Any) -> None:
        pass

    def yielded(self, item: Any) -> None:
        pass

    def body(self) -> Callable[..., Any]:
        return self._tool.fn


class _Call(UnderWay):
    """A call in an attempt."""

    def __init__(self, tool: _Tool, scope: Scope, named: Mapping[str, Any]) -> None:
        call_id, place = scope.last_call(), scope.branches.branch()
        said: dict[str, Any] = {
            "agl.span.kind": "tool",
            "gen_ai.operation.name": "execute_tool",
            "gen_ai.tool.type": "function",
            words.NAME: tool.name,
            **words.given(named),
            ToolAttributes.REPLAY.value: tool.way,
        }
        if call_id is not None:
            said[ToolAttributes.CALL.value] = call_id
        if place is not None:
            said[ToolAttributes.PLACE.value] = place
        else:
            said[ToolAttributes.STRAND.value] = _strand()
        super().__init__(f"execute_tool {tool.name}", said, scope=scope)
        self._tool, self._replaying = tool, scope.replaying
        self._asked = ToolAsked(name=tool.name, way=tool.way, said=said, call_id=call_id, place=place)
        self._answer = ToolAnswer(way="live")
        self._came: dict[str, Any] = {}
        self._items: list[Any] = []
        self._count = 0

    def body(self) -> Callable[..., Any]:
        """The function, or what a replay has in its place."""
        if self._replaying is None:
            return self._tool.fn
        self._answer = self._replaying.tool(self._asked)
        if self._answer.span_id is not None:
            self._attributes[ToolAttributes.REPLAY_OF.value] = self._answer.span_id
        if self._answer.way != "recorded":
            return self._tool.fn
        ended = words.outcome(self._answer.said)
        return again(self._tool.fn, ended, name=self._tool.name, depart=self._replaying.depart)

    def came(self, result: Any) -> None:
        """It returned."""
        self._came = words.result(result)

    def yielded(self, item: Any) -> None:
        """One more item of a generator."""
        self._count += 1
        if len(self._items) < ITEMS:
            # As it is now: its consumer may change it.
            self._items.append(json.loads(json.dumps(item)) if words.is_json(item) else item)

    @contextmanager
    def ending(self) -> Iterator[None]:
        """It ends where the block does; a tool that ran to be compared is compared there."""
        with super().ending():
            try:
                yield
            except BaseException as raised:
                self._listed(left=isinstance(raised, GeneratorExit))
                self._compare(raised)
                raise
            else:
                self._listed()
                self._compare(None)

    def end(self, raised: BaseException | None) -> SpanCoreFields:
        """The span that it was."""
        self._attributes |= self._came
        if raised is not None:
            self._attributes["error.type"] = type(raised).__name__
        elif self._came.get(ToolAttributes.RESULT.value) == "untold":
            self._tool.warn()
        return super().end(raised)

    def _listed(self, *, left: bool = False) -> None:
        """What a generator came to."""
        if self._tool.yields:
            self._came = words.items(self._items, count=self._count, left=left)

    def _compare(self, raised: BaseException | None) -> None:
        if self._replaying is None or self._answer.way != "pure" or isinstance(raised, ReplayError):
            return
        if raised is None or isinstance(raised, GeneratorExit):
            self._replaying.compared(self._asked, self._answer, self._came)
        elif isinstance(raised, Exception):
            told = format_exception_attributes(raised)
            self._replaying.compared(self._asked, self._answer, {**self._came, **told})


def _strand() -> str:
    """What runs here one step after the other."""
    try:
        task = asyncio.current_task()
    except RuntimeError:
        task = None
    return f"thread {_thread.id}" if task is None else f"task {task.get_name()}"


class _Thread(threading.local):
    """The thread that looks: Python gives the number of one that has ended to the next."""

    def __init__(self) -> None:
        self.id = ulid()


_thread = _Thread()
