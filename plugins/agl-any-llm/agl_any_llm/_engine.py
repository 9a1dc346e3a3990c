"""The engine: an endpoint in this process, and behind it a model that a provider serves."""

from __future__ import annotations

import asyncio
import secrets
from typing import TYPE_CHECKING

from agl_core.engine import Checkpoint, Endpoint
from agl_core.errors import EngineFailed

if TYPE_CHECKING:
    from agl_any_llm._server import Server

__all__ = ["AnyLlmEngine"]


class AnyLlmEngine:
    """An `Engine` whose model is a provider's. Started once; stopped, it is used up."""

    def __init__(self, provider: str, model: str, *, url: str, name: str) -> None:
        self._provider, self._model = provider, model
        self._url, self._name = url, name
        self._server: Server | None = None
        self._is_stopped = False

    async def start(self) -> Endpoint:
        """Find the provider's SDK and key, and listen; nothing is asked of the provider yet."""
        if self._server or self._is_stopped:
            raise EngineFailed(self._url, why="it was started before: open another")
        key = secrets.token_urlsafe(32)
        self._server = await asyncio.to_thread(self._serving, key)
        return Endpoint(
            url=self._server.url,
            model=self._name,
            # Who listens on loopback is heard by every process here, and what is asked costs somebody's money.
            api_key=key,
            max_len=0,
            token_ids=False,
            logprobs_mode=None,
            tools=None,
            dialects=self._server.dialects,
        )

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Refused: a provider takes no weights."""
        raise EngineFailed(self._url, why="its provider takes no new weights: train `transformers:/path`")

    async def stop(self) -> None:
        """Answer what is open, and hang up."""
        server, self._server, self._is_stopped = self._server, None, True
        if server:
            await asyncio.to_thread(server.stop)

    def _serving(self, key: str) -> Server:
        from agl_any_llm._provider import Provider
        from agl_any_llm._server import Server

        return Server(lambda: Provider(self._provider, self._model, url=self._url, name=self._name), key=key)
