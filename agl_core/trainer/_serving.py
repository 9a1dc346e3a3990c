"""The models of a run: engines started, put behind the gateway, and given new weights between rollouts."""

from __future__ import annotations

import asyncio
import logging
from collections import Counter
from collections.abc import Awaitable, Callable, Collection, Mapping
from contextlib import AsyncExitStack
from dataclasses import replace
from typing import ClassVar, TypeGuard

from agl_core.engine import Checkpoint, Endpoint, Engine, Hosted
from agl_core.errors import BadValue, DrainTimedOut
from agl_core.events import EndpointRegistered, EndpointRemoved, GatewayPaused, GatewayResumed, Role
from agl_core.gateway import Gateway
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft
from agl_core.resources import LLM, ProxyLLM, Resource
from agl_core.run import describe
from agl_core.runner import GATEWAY

__all__ = ["Models", "is_foreign", "lane_names"]

_log = logging.getLogger(__name__)


class Models:
    """What a run serves: the policies it may train, and foreign models it only asks."""

    drain_seconds: ClassVar[float] = 120.0
    """For calls on old weights to end, before new ones are loaded."""

    def __init__(
        self,
        gateway: Gateway,
        log: SqliteLog,
        plugins: Plugins,
        *,
        roles: Mapping[str, Role],
        usual: Role = "policy",
    ) -> None:
        """`usual` is the role of those that `roles` does not name."""
        self._usual = usual
        self._gateway, self._log, self._plugins, self._roles = gateway, log, plugins, roles
        self._admit: Callable[[], Awaitable[None]] | None = None
        self._engines: dict[str, Engine] = {}
        self._initial: dict[str, Checkpoint] = {}

    async def start(self, urls: Mapping[str, str], closing: AsyncExitStack) -> None:
        """Start an engine for each policy, and let the gateway know it."""
        for name, url in urls.items():
            engine = self._plugins.open_engine(url, name)
            closing.push_async_callback(engine.stop)
            _log.info("starting %s for %r", url, name)
            endpoint = await engine.start()
            self._engines[name] = engine
            if endpoint.folder is not None:
                self._initial[name] = await asyncio.to_thread(describe, endpoint.folder)
            await self._register(endpoint, closing, role=self._roles.get(name, self._usual))

    def before_work(self, admit: Callable[[], Awaitable[None]]) -> None:
        """What lets agents run, when the weights are right for the first time."""
        self._admit = admit

    async def adopt(self, resources: Mapping[str, Resource], closing: AsyncExitStack) -> dict[str, Resource]:
        """The resources with every foreign LLM put behind the gateway, so that its calls are recorded too."""
        found = dict(resources)
        llms = {name: resource for name, resource in resources.items() if is_foreign(resource)}
        known = Counter([*self._engines, *(llm.model for llm in llms.values())])
        for name, llm in llms.items():
            # By the name agents know it by; two places may call theirs the same, and then whose it is says more.
            model = llm.model if known[llm.model] == 1 else f"{name}/{llm.model}"
            endpoint = await Hosted(f"{llm.endpoint}#{llm.model}", name, api_key=llm.api_key).start()
            await self._register(replace(endpoint, model=model), closing, role=self._roles.get(name, self._usual))
            found[name] = _proxied(model, llm.sampling_parameters)
        return found

    def resources(self) -> dict[str, Resource]:
        """An LLM for each policy, by its name."""
        return {name: _proxied(name, {}) for name in self._engines}

    async def admit(self) -> None:
        """Let agents run."""
        if self._admit is not None:
            admit, self._admit = self._admit, None
            await admit()

    def initial(self) -> Mapping[str, Checkpoint]:
        """Policy name to the weights it starts with."""
        return self._initial

    async def load(self, policy: str, checkpoint: Checkpoint, *, version: int) -> None:
        """Drain the policy's calls, give its engine the weights, and go on.

        Rollouts may be open: their next calls wait at the gate, and are answered by the new weights. Calls that do not
        end in time raise `DrainTimedOut`; then, as when the engine fails, they go on as what they were begun with.
        """
        spoken: int | None = None  # the version before, unless all goes well
        await self._note(GatewayPaused(model=policy))
        try:
            left = await self._gateway.pause(policy, self.drain_seconds)
            if left:
                raise DrainTimedOut(policy, calls=left, seconds=self.drain_seconds)
            await self._engines[policy].load(checkpoint, version=version)
            spoken = version
        finally:
            self._gateway.resume(policy, spoken)
            await self._note(GatewayResumed(model=policy))

    async def _register(self, endpoint: Endpoint, closing: AsyncExitStack, *, role: Role) -> None:
        self._gateway.register(endpoint, role=role)
        first = self._initial.get(endpoint.model)
        await self._note(
            EndpointRegistered(
                model=endpoint.model,
                url=endpoint.url,
                max_len=endpoint.max_len or None,
                token_ids=endpoint.token_ids,
                logprobs_mode=endpoint.logprobs_mode,
                tools=endpoint.tools,
                role=role,
                named=endpoint.named,
                checkpoint=first.digest if first is not None else None,
            )
        )
        closing.push_async_callback(self._note, EndpointRemoved(model=endpoint.model, url=endpoint.url))

    async def _note(self, event: EndpointRegistered | EndpointRemoved | GatewayPaused | GatewayResumed) -> None:
        await self._log.soon([Draft(stream=f"endpoint/{event.model}", event=event)])


def is_foreign(resource: Resource) -> TypeGuard[LLM]:
    """Whether it is a model that somebody else serves."""
    return isinstance(resource, LLM) and not isinstance(resource, ProxyLLM)


def lane_names(urls: Collection[str], *, prefix: str, taken: Collection[str] = ()) -> dict[str, str]:
    """What the gateway is to call the models of these URLs: the prefix, and their own names."""
    found: dict[str, str] = {}
    for url in urls:
        if ":" not in url:
            raise BadValue(
                "model", url, why="it is neither an engine URL, https://host/v1#name, nor a model of the run"
            )
        place, _, name = url.partition("#")
        name = f"{prefix}/{name or place.rstrip('/').rpartition('/')[2]}"
        others = sum(other == name or other.startswith(f"{name}-") for other in (*found.values(), *taken))
        found[url] = f"{name}-{others + 1}" if others else name
    return found


def _proxied(model: str, sampling: Mapping[str, object]) -> ProxyLLM:
    return ProxyLLM(endpoint=f"{GATEWAY}/v1", model=model, sampling_parameters=dict(sampling))
