"""Where in an attempt's program something is asked: which branch of its concurrent work, and which question of that.

A branch is an asyncio task, numbered among the tasks of its name that its parent makes, in the order of the program.
Work that it hands to its loop's threads is a branch, too. The order in which they run, and in which their requests
arrive, makes no difference to that. What runs elsewhere, in a thread or a loop of its own, in a callback or in a
process that was forked, has no place. Where workers share a queue, the place says which of them asked, not for what.
"""

from __future__ import annotations

import asyncio
import os
import re
import sys
from collections.abc import Callable, Coroutine, Generator, Iterator
from contextlib import contextmanager
from contextvars import Context
from functools import partial
from hashlib import blake2b
from threading import get_ident
from types import FrameType
from typing import Any, Protocol
from weakref import WeakKeyDictionary

__all__ = ["Branches", "numbering"]

Task = asyncio.Future[Any]
Work = Generator[Any, None, Any] | Coroutine[Any, Any, Any]
_LONG = 120
"""Characters of a path; a longer one is told by its hash."""
_NO_NAME = re.compile(r"[^A-Za-z0-9_]")


class Factory(Protocol):
    """Makes the tasks of a loop."""

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Work, /, **kwargs: Any) -> Task: ...


Here = Callable[[], "Branches | None"]


class Branches:
    """The branches of one attempt's program."""

    __slots__ = ("_making", "_of_tasks", "_of_threads", "_pid")

    def __init__(self) -> None:
        self._of_tasks: WeakKeyDictionary[Task, _Branch] = WeakKeyDictionary()
        self._of_threads: dict[int, _Branch] = {}
        self._making: list[_Branch | None] = []
        """Of tasks that are being made: an eager one runs before its maker has it."""
        self._pid = os.getpid()

    def begin(self) -> None:
        """The program begins here, in this task, or in this thread where no loop runs."""
        loop = asyncio._get_running_loop()  # noqa: SLF001 - the public one raises, which costs more than asking
        task = asyncio.current_task(loop) if loop is not None else None
        if task is not None:
            self._of_tasks[task] = _Branch("")
        elif loop is None:
            self._of_threads[get_ident()] = _Branch("")

    def place(self) -> str | None:
        """Of what is asked now; None where that is a matter of chance."""
        here = self._here()
        if here is None:
            return None
        number, here.asked = here.asked, here.asked + 1
        return f"{here.path}:{number}"

    def branch(self) -> str | None:
        """The path of the branch that runs now; None where that is a matter of chance."""
        here = self._here()
        return None if here is None else here.path

    def handed(self, work: Callable[..., Any]) -> Callable[..., Any]:
        """`work` as a branch of this one, in whichever thread it is done."""
        parent = self._here()
        if parent is None:
            return work
        child = parent.child(work)

        def done(*args: Any, **kwargs: Any) -> Any:
            thread = get_ident()
            self._of_threads[thread] = child
            try:
                return work(*args, **kwargs)
            finally:
                del self._of_threads[thread]  # it does other work after that

        return done

    def making(self, work: Work, make: Callable[[], Task]) -> Task:
        """What `make` makes of `work`: a branch of this one."""
        parent = self._here()
        child = None if parent is None or _is_unordered(sys._getframe(2)) else parent.child(work)  # noqa: SLF001
        self._making.append(child)
        try:
            task = make()
        finally:
            self._making.pop()
        if child is not None:
            self._of_tasks.setdefault(task, child)
        return task

    def _here(self) -> _Branch | None:
        if os.getpid() != self._pid:
            return None
        loop = asyncio._get_running_loop()  # noqa: SLF001 - as above
        if loop is None:
            return self._of_threads.get(get_ident())
        task = asyncio.current_task(loop)
        if task is None:
            return None
        found = self._of_tasks.get(task)
        if found is None and self._making and (child := self._making[-1]) is not None:
            found = self._of_tasks.setdefault(task, child)
        return found


class _Branch:
    __slots__ = ("asked", "children", "path")

    def __init__(self, path: str) -> None:
        self.path = path
        self.asked = 0
        self.children: dict[str, int] = {}

    def child(self, work: Any) -> _Branch:
        """The next one of the name: tasks that libraries make beside it, when they must, do not count."""
        while isinstance(work, partial):  # `to_thread` hands over `context.run` with the function
            work = (
                work.args[0] if work.args and isinstance(getattr(work.func, "__self__", None), Context) else work.func
            )
        name = _NO_NAME.sub("", getattr(work, "__name__", None) or "task")
        number = self.children[name] = self.children.get(name, -1) + 1
        path = f"{self.path}.{name}{number}" if self.path else f"{name}{number}"
        return _Branch(path if len(path) <= _LONG else blake2b(path.encode(), digest_size=16).hexdigest())


class _Numbering:
    """The factory of a loop in which attempts run; all others' tasks are made as they were."""

    def __init__(self, before: Factory | None, here: Here) -> None:
        self.before, self._here = before, here
        self.entered = 0

    def __call__(self, loop: asyncio.AbstractEventLoop, work: Work, /, **kwargs: Any) -> Task:
        made = self.before or _plain
        branches = self._here()
        if branches is None:
            return made(loop, work, **kwargs)
        return branches.making(work, lambda: made(loop, work, **kwargs))


def _plain(loop: asyncio.AbstractEventLoop, work: Work, /, **kwargs: Any) -> Task:
    return asyncio.Task(work, loop=loop, **kwargs)


@contextmanager
def numbering(here: Here) -> Iterator[None]:
    """The tasks that this loop makes inside are numbered, where `here` tells of an attempt.

    It may be entered again, beside itself: when it is left for the last time, the loop has the factory that it had.
    """
    loop = asyncio.get_running_loop()
    factory: Any = loop.get_task_factory()
    ours = factory if isinstance(factory, _Numbering) else _Numbering(factory, here)
    if ours is not factory:
        loop.set_task_factory(ours)
    ours.entered += 1
    try:
        yield
    finally:
        ours.entered -= 1
        # Another one that was set meanwhile stays: it is somebody's.
        if not ours.entered and loop.get_task_factory() is ours:
            loop.set_task_factory(ours.before)


def _is_unordered(frame: FrameType | None) -> bool:
    """Whether asyncio makes the task of one of a set, which has no order: that is how `as_completed` does it."""
    while frame is not None and frame.f_globals.get("__name__", "").startswith("asyncio."):
        if frame.f_code.co_name in {"as_completed", "<setcomp>"}:
            return True
        if frame.f_code.co_name == "__init__" and "AsCompleted" in frame.f_code.co_qualname:
            return True
        frame = frame.f_back
    return False
