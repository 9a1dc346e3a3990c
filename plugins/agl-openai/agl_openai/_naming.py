"""Puts the name of the agent under way (`agl.agent`) on the SDK's requests to the gateway."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack, contextmanager
from threading import Lock
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.events import TracerAttached
from agl_core.recorder import Recorder, current

__all__ = ["naming"]

_METHOD = "_prepare_request"
"""The SDK's own place for code that adds headers by the request's URL."""


@contextmanager
def naming(recorder: Recorder) -> Iterator[None]:
    """While it lasts, requests to an attempt's URL carry the agent's name.

    It may be entered again, in any thread: after the last exit, whoever's it is, the SDK is what it was.
    """
    import openai

    wrapping = _of_this_process()
    wrapping.enter((openai.OpenAI, openai.AsyncOpenAI))
    try:
        recorder.note(TracerAttached(name="openai", package="openai", version=openai.__version__)).result()
        yield
    finally:
        wrapping.leave()


@functools.cache
def _of_this_process() -> _Wrapping:
    return _Wrapping()


class _Wrapping:
    """The clients, wrapped once while anybody is inside."""

    def __init__(self) -> None:
        self._lock, self._inside, self._stack = Lock(), 0, ExitStack()

    def enter(self, clients: Iterable[type]) -> None:
        """One more wants it."""
        with self._lock:
            if self._inside == 0:
                with ExitStack() as stack:
                    for client in clients:
                        stack.enter_context(_wrapped(client, _METHOD))
                    self._stack = stack.pop_all()
            self._inside += 1

    def leave(self) -> None:
        """One less; the last one puts back what was there."""
        with self._lock:
            self._inside -= 1
            if self._inside == 0:
                self._stack.close()


@contextmanager
def _wrapped(owner: type, name: str) -> Iterator[None]:
    inherited = name not in owner.__dict__
    original: Callable[..., Any] = getattr(owner, name)

    @functools.wraps(original)
    def prepare(self: Any, request: Any) -> Any:
        _sign(request)
        return original(self, request)

    setattr(owner, name, prepare)
    try:
        yield
    finally:
        if inherited:
            delattr(owner, name)
        else:
            setattr(owner, name, original)


def _sign(request: Any) -> None:
    """Only the gateway is told: a header of ours never goes to a foreign host."""
    try:
        known = current().headers()
    except OutsideAttempt:
        return
    if "/attempt/" in request.url.path:
        for name, value in known.items():
            request.headers.setdefault(name, value)
