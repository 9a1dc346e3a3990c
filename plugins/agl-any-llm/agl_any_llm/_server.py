"""A provider's routes, behind a door for who has the key."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING

from agl_any_llm._refusals import NoRoute, refusal
from agl_core.engine import Answer, Loopback, Refusal

if TYPE_CHECKING:
    from agl_any_llm._provider import Provider

__all__ = ["Server"]


class Server:
    """Listens from the time it is made until it is stopped; what goes wrong in `make` is raised here."""

    def __init__(self, make: Callable[[], Provider], *, key: str) -> None:
        self._provider: Provider | None = None
        self._door = Loopback(self._answer, refuse=self._refusal, name="agl-any-llm", key=key, close=self._close)
        self.url = self._door.start()
        try:
            self._provider = asyncio.run_coroutine_threadsafe(_made(make), self._door.loop).result()
        except BaseException:
            self._door.stop()
            raise
        self.dialects = self._provider.dialects
        """What may be asked."""

    def stop(self) -> None:
        """Answer what is open, and hang up."""
        self._door.stop()

    async def _close(self) -> None:
        if self._provider is not None:
            await self._provider.close()

    async def _answer(self, method: str, path: str, body: bytes) -> Answer:
        assert self._provider is not None
        match method, path:
            case "POST", "/v1/chat/completions":
                return await self._provider.complete(body)
            case "POST", "/v1/embeddings":
                return await self._provider.embed(body)
            case _:
                raise NoRoute(f"{method} {path} is not served: POST /v1/chat/completions is")

    def _refusal(self, error: Exception) -> Refusal:
        return self._provider.refusal(error) if self._provider is not None else refusal(error)


async def _made(make: Callable[[], Provider]) -> Provider:
    """In the loop that will ask it."""
    return make()
