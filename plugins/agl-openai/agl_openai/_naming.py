"""Puts the name of the agent under way (`agl.agent`) on the SDK's requests to the gateway."""

from __future__ import annotations

import functools
import inspect
import logging
from collections.abc import Callable
from contextlib import AbstractContextManager
from types import ModuleType
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.recorder import Recorder, current
from agl_core.tap import Attaching

__all__ = ["TESTED", "attaching", "naming"]

TESTED = ("2", "3")
"""The oldest and the newest major version that the tests have run with; the plugin's README has a row for each."""
_NAME, _METHOD = "openai", "_prepare_request"
"""The method is the SDK's own place for code that adds headers by the request's URL."""
_log = logging.getLogger(__name__)


def naming(recorder: Recorder) -> AbstractContextManager[None]:
    """While it lasts, requests to an attempt's URL carry the agent's name.

    It may be entered again, in any thread: after the last exit, whoever's it is, the SDK is what it was. One that is
    imported meanwhile is attached to then. `recorder` hears when it is. One that is there and of another shape is
    `TracerFailed`.
    """
    return _of_this_process().tracing(recorder)


@functools.cache
def _of_this_process() -> Attaching:
    return attaching()


def attaching() -> Attaching:
    """Both clients, while somebody is inside."""
    return Attaching(
        _NAME,
        {_NAME: _Clients},
        of={_NAME: (_NAME,)},
        tested={_NAME: TESTED},
        lost="calls do not bear their agent's name",
    )


class _Clients:
    """The SDK's two: all others are made of them."""

    def __init__(self, module: ModuleType) -> None:
        self._wrapped = [_Wrapped(client) for client in (module.OpenAI, module.AsyncOpenAI)]

    def start(self) -> None:
        """Put the names before both."""
        for wrapped in self._wrapped:
            wrapped.put()

    def stop(self) -> None:
        """Both are what they were."""
        for wrapped in self._wrapped:
            wrapped.back()


class _Wrapped:
    """The method of one client class, with a signature put before it."""

    def __init__(self, owner: type) -> None:
        self._owner, self._is_inherited = owner, _METHOD not in vars(owner)
        self._original: Callable[..., Any] = getattr(owner, _METHOD)
        if list(inspect.signature(self._original).parameters) != ["self", "request"]:
            raise TypeError(f"{owner.__qualname__}.{_METHOD} is not what it was: {inspect.signature(self._original)}")

        @functools.wraps(self._original)
        def prepare(client: Any, request: Any) -> Any:
            if self._is_in:
                _sign(request)
            return self._original(client, request)

        self._replacement, self._is_in = prepare, True

    def put(self) -> None:
        """Put it there."""
        setattr(self._owner, _METHOD, self._replacement)

    def back(self) -> None:
        """Leave the class as it was found, unless somebody else has put theirs around ours."""
        self._is_in = False
        if vars(self._owner).get(_METHOD) is not self._replacement:
            # Theirs calls ours; taking ours out would take theirs out too. Ours does nothing from here on.
            _log.warning("%s.%s was replaced since, and is left alone", self._owner.__qualname__, _METHOD)
        elif self._is_inherited:
            delattr(self._owner, _METHOD)
        else:
            setattr(self._owner, _METHOD, self._original)


def _sign(request: Any) -> None:
    """Only the gateway is told: a header of ours never goes to a foreign host."""
    try:
        known = current().headers()
        if "/attempt/" in request.url.path:
            for name, value in known.items():
                request.headers.setdefault(name, value)
    except OutsideAttempt:
        return
    except Exception as error:  # noqa: BLE001 - the rim: the agent's request leaves, with a name or without
        _log.warning("a request could not be given its agent's name (%s)", type(error).__name__)
