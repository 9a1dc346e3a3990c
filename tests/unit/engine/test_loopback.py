"""An engine's door: it answers whole or in pieces, tells what goes wrong, and hears only who has the key."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import AsyncGenerator, Iterator

import httpx
import pytest

from agl_core.engine import Answer, Loopback, Refusal


class Engine:
    """Answers by path."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str, bytes]] = []
        self.waiting, self.hung_up = threading.Event(), threading.Event()

    async def handle(self, method: str, path: str, body: bytes) -> Answer:
        """`/v1/stream` in two pieces, `/v1/broken` in one and an error, `/v1/slow` never, the rest in one."""
        self.asked.append((method, path, body))
        match path:
            case "/v1/stream":
                return self._pieces()
            case "/v1/broken":
                return self._pieces(error=ValueError("half-way"))
            case "/v1/bug":
                raise ValueError("a bug")
            case "/v1/slow":
                try:
                    self.waiting.set()
                    await asyncio.Event().wait()
                finally:
                    self.hung_up.set()
        return b'{"ok": true}'

    async def _pieces(self, error: Exception | None = None) -> AsyncGenerator[bytes]:
        yield b"data: 1\n\n"
        if error is not None:
            raise error
        yield b"data: 2\n\n"


def refuse(error: Exception) -> Refusal:
    """As a failure of the engine, to be asked again in a while."""
    return Refusal(status=503, code="down", message=str(error), param="model", headers={"retry-after": "1"})


@pytest.fixture
def engine() -> Engine:
    """What is behind the door."""
    return Engine()


@pytest.fixture
def url(engine: Engine) -> Iterator[str]:
    """Of a door that anybody may knock at."""
    door = Loopback(engine.handle, refuse=refuse, name="test")
    yield door.start()
    door.stop()


def test_an_answer_comes_whole_or_in_pieces(engine: Engine, url: str):
    """With the type that clients look for."""
    whole = httpx.post(f"{url}/any", content=b"{}")
    pieces = httpx.get(f"{url}/stream")

    assert (whole.status_code, whole.json()) == (200, {"ok": True})
    assert (pieces.headers["content-type"], pieces.text) == (
        "text/event-stream; charset=utf-8",
        "data: 1\n\ndata: 2\n\n",
    )
    assert engine.asked == [("POST", "/v1/any", b"{}"), ("GET", "/v1/stream", b"")]


def test_what_goes_wrong_is_told_by_a_status_or_in_the_stream(url: str):
    """In OpenAI's shape both times; a stream that has begun has no other status."""
    refused = httpx.get(f"{url}/bug")
    broken = httpx.get(f"{url}/broken")

    told = {"message": "a bug", "type": "server_error", "param": "model", "code": "down"}
    assert (refused.status_code, refused.headers["retry-after"], refused.json()) == (503, "1", {"error": told})
    assert broken.status_code == 200
    assert broken.text.startswith('data: 1\n\ndata: {"error":{"message":"half-way"')


def test_who_hangs_up_is_worked_for_no_longer(engine: Engine, url: str):
    """What is under way is cancelled."""
    with pytest.raises(httpx.ReadTimeout):
        httpx.get(f"{url}/slow", timeout=httpx.Timeout(5, read=0.05))

    assert engine.waiting.wait(10)
    assert engine.hung_up.wait(10)


def test_only_who_has_the_key_is_heard(engine: Engine):
    """Every process of the machine reaches loopback."""
    door = Loopback(engine.handle, refuse=refuse, name="test", key="secret")
    url = door.start()

    keys = ("Bearer secret", "Bearer secre", "secret", "")
    statuses = [httpx.get(f"{url}/any", headers={"authorization": key}).status_code for key in keys]
    door.stop()

    assert statuses == [200, 401, 401, 401]
    assert len(engine.asked) == 1


def test_a_door_that_is_closed_answers_nobody(engine: Engine):
    """Its thread is gone, and what it stood before was closed in the loop it was asked in."""
    loops: list[asyncio.AbstractEventLoop] = []

    async def close() -> None:
        loops.append(asyncio.get_running_loop())

    door = Loopback(engine.handle, refuse=refuse, name="agl-closed", close=close)
    url = door.start()
    door.stop()

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{url}/any")
    assert loops == [door.loop]
    assert "agl-closed-http" not in {thread.name for thread in threading.enumerate()}
