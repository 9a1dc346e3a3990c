"""Where AutoGen does things: each place is put back as it was found."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from agl_autogen._heard import Hearing

__all__ = ["Place", "Places"]

_log = logging.getLogger(__name__)
Wrap = Callable[[Callable[..., Any]], Callable[..., Any]]


class Place:
    """A method of a class, which `wrap` is put around."""

    def __init__(self, owner: type, name: str, wrap: Wrap, *, takes: str) -> None:
        """`takes` are the arguments by name, as they must be: another shape is another AutoGen, and is refused."""
        self._owner, self._name = owner, name
        self._original = vars(owner)[name]
        ours = wrap(self._called)
        self._replacement = functools.wraps(self._original)(ours)
        # A host's own instrumentation may have been put around it, in whichever form.
        native = inspect.unwrap(self._original)
        asked, given = set(takes.split()), set(inspect.signature(native).parameters)
        shapes = [(inspect.iscoroutinefunction(one), inspect.isasyncgenfunction(one)) for one in (native, ours)]
        if not asked <= given or shapes[0] != shapes[1]:
            raise TypeError(f"{owner.__qualname__}.{name} is not what it was: {inspect.signature(native)}")

    def _called(self, instance: object, *args: Any, **kwargs: Any) -> Any:
        # As `instance.method(...)` would: what a host's own instrumentation has put there may tell the two apart.
        return self._original.__get__(instance, type(instance))(*args, **kwargs)

    def put(self) -> None:
        """Put it around."""
        setattr(self._owner, self._name, self._replacement)
        if vars(self._owner)[self._name] is not self._replacement:
            raise TypeError(f"{self._owner.__qualname__}.{self._name} cannot be replaced")

    def back(self) -> None:
        """Put the very object back, unless somebody else has put theirs around ours."""
        if vars(self._owner).get(self._name) is self._replacement:
            setattr(self._owner, self._name, self._original)
        else:
            # Theirs calls ours; taking ours out would take theirs out too. Ours does nothing from here on.
            _log.warning("%s.%s was replaced since, and is left alone", self._owner.__qualname__, self._name)


class Places:
    """Those of one module, put there and taken back together."""

    def __init__(self, places: list[Place], hearing: Hearing) -> None:
        self._places, self._hearing = places, hearing
        self._done: list[Place] = []

    def start(self) -> None:
        """Put all of them there, or none."""
        self._hearing.is_on = True
        try:
            for place in self._places:
                place.put()
                self._done.append(place)
        except Exception:
            self._back()
            raise

    def stop(self) -> None:
        """Each is the very object it was."""
        self._hearing.is_on = False
        self._back()

    def _back(self) -> None:
        while self._done:
            self._done.pop().back()
