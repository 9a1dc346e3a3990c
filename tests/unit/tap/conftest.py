"""An attempt under way on a log in a file, and what was recorded of it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from agl_core.events import CallRecorded, CaptureLost
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope, attributed
from agl_core.store import Store
from agl_core.tap import tapped
from agl_core.testing import ScriptedModel

KEY = "sk-a-key-that-opens-nothing"


@dataclass(frozen=True)
class Attempt:
    """One that runs in this test."""

    log: SqliteLog
    scope: Scope
    key: str

    def running(self) -> AbstractContextManager[Scope]:
        """Inside, what is sent is sent by the agent."""
        return attributed(self.scope)

    @contextmanager
    def tapped(self) -> Iterator[None]:
        """The same, with the tap in place."""
        with tapped(), self.running():
            yield

    def calls(self) -> list[CallRecorded]:
        """All that were recorded, once they have landed."""
        return [event for event in self._events() if isinstance(event, CallRecorded)]

    def call(self) -> CallRecorded:
        """The only one."""
        (found,) = self.calls()
        return found

    def lost(self) -> list[CaptureLost]:
        """What could not be kept."""
        return [event for event in self._events() if isinstance(event, CaptureLost)]

    def _events(self) -> list[Any]:
        for pending in list(self.scope.pending):
            pending.result(timeout=30)
        return [record.event for record in self.log.read()]


@pytest.fixture
def log(tmp_path: Path) -> Iterator[SqliteLog]:
    """In a file, because its bytes are looked at."""
    with SqliteLog(tmp_path / "run.db", projections=CORE) as log:
        yield log


@pytest.fixture
def attempt(log: SqliteLog) -> Iterator[Attempt]:
    """Of a rollout in the store."""
    store = Store(log)
    rollout = asyncio.run(store.start_rollout({"q": 1}))
    scope = Scope(
        recorder=Recorder(log), run_id=None, rollout_id=rollout.rollout_id, attempt_id=rollout.attempt.attempt_id
    )
    yield Attempt(log=log, scope=scope, key=store.ask.attempt_key(rollout.attempt.attempt_id))
    store.close()


@pytest.fixture(params=["httpx", "httpx2"])
def http(request: pytest.FixtureRequest) -> ModuleType:
    """Either library."""
    found: ModuleType = pytest.importorskip(request.param)
    return found


def sdk(model: ScriptedModel) -> Any:
    """The SDK's client for a scripted model."""
    openai = pytest.importorskip("openai")
    return openai.OpenAI(base_url=model.url, api_key=KEY)


def sdk_async(model: ScriptedModel) -> Any:
    """The same for coroutines."""
    openai = pytest.importorskip("openai")
    return openai.AsyncOpenAI(base_url=model.url, api_key=KEY)


def question(text: str = "hi", **more: Any) -> dict[str, Any]:
    """A chat completion, as it is asked for."""
    return {"model": "policy", "messages": [{"role": "user", "content": text}], **more}


def answer(text: str = "four", **more: Any) -> dict[str, Any]:
    """A chat completion, as it comes back."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    return {"id": "chatcmpl-1", "object": "chat.completion", "model": "policy", "choices": [choice], **more}


def chunk(text: str | None, finish_reason: str | None = None) -> bytes:
    """An event of a streamed one."""
    delta = f'{{"content": "{text}"}}' if text is not None else "{}"
    finish = "null" if finish_reason is None else f'"{finish_reason}"'
    choice = f'{{"index": 0, "delta": {delta}, "finish_reason": {finish}}}'
    return b'data: {"id": "chatcmpl-1", "model": "policy", "choices": [%b]}\n\n' % choice.encode()


DONE = b"data: [DONE]\n\n"
STREAM = (chunk("fo"), chunk("ur"), chunk(None, "stop"), DONE)
SSE = {"content-type": "text/event-stream; charset=utf-8"}
URL = "http://model.invalid/v1/chat/completions"
