"""An algorithm's questions to models: those of the run, and others that are started when they are asked."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence
from contextlib import AsyncExitStack
from typing import TYPE_CHECKING, Any

from agl_core.asking import Question, Said
from agl_core.errors import ModelNotFound
from agl_core.recorder import machinery
from agl_core.store import Store
from agl_core.trainer._serving import Models, lane_names

if TYPE_CHECKING:
    import aiohttp

__all__ = ["RunAsks"]

_PATIENCE = 600.0
"""Seconds for which a provider that says it is busy is waited for."""


class RunAsks:
    """Puts questions through the gateway, in the run's name and with its key."""

    def __init__(
        self,
        store: Store,
        gateway: str,
        models: Models,
        served: Mapping[str, str],
        closing: AsyncExitStack,
        *,
        priced: Callable[[], None],
    ) -> None:
        """`served` is what the gateway calls each model of the run; `models` starts the others, `closing` ends them.

        `priced` raises when one of them costs nobody knows what.
        """
        self._priced = priced
        self._store, self._gateway, self._models, self._closing = store, gateway, models, closing
        self._served = dict(served)
        self._starting = asyncio.Lock()
        self._client: aiohttp.ClientSession | None = None

    async def ask(
        self, run_id: str, model: str, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any], key: str
    ) -> Said:
        """What the model answers; asked again by the same key, what it answered then."""
        name = await self._named(model)
        question = Question(
            log=self._store.log,
            client=await self._session(),
            url=f"{self._gateway}/run/{run_id}/v1",
            token=self._store.ask.run_key(run_id),
            who="algorithm",
            patience=_PATIENCE,
        )
        with machinery():  # no agent's call
            return await question.ask(name, messages, sampling=sampling, key=[key])

    async def _named(self, model: str) -> str:
        """What the gateway calls it."""
        async with self._starting:
            if model not in self._served:
                if ":" not in model:
                    raise ModelNotFound(model, known=self._served)
                ((url, name),) = lane_names([model], prefix="tool", taken=self._served.values()).items()
                await self._models.start({name: url}, self._closing)
                self._priced()
                self._served[model] = name
        return self._served[model]

    async def _session(self) -> aiohttp.ClientSession:
        if self._client is None:
            import aiohttp

            timeout = aiohttp.ClientTimeout(total=None)
            self._client = await self._closing.enter_async_context(aiohttp.ClientSession(timeout=timeout))
        return self._client
