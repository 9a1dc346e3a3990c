"""Puts the name of the agent under way (`agl.agent`) on the SDK's requests to the gateway."""

from __future__ import annotations

import functools
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import Any

from agl_core.errors import OutsideAttempt
from agl_core.events import TracerAttached
from agl_core.recorder import Recorder, current

__all__ = ["naming"]

_METHOD = "_prepare_request"
"""The SDK's own place for code that adds headers by the request's URL."""


@contextmanager
def naming(recorder: Recorder) -> Iterator[None]:
    """While it lasts, requests to an attempt's URL carry the agent's name. On exit the SDK is what it was."""
    import openai

    with ExitStack() as stack:
        for client in (openai.OpenAI, openai.AsyncOpenAI):
            stack.enter_context(_wrapped(client, _METHOD))
        recorder.note(TracerAttached(name="openai", package="openai", version=openai.__version__)).result()
        yield


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
