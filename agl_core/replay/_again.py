"""The algorithm that does a rollout again: its task, on the resources and the weights that it had, live."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from dataclasses import dataclass, replace
from typing import Any

from agl_core.engine import Checkpoint
from agl_core.errors import ModelNotFound
from agl_core.plugins import Plugins
from agl_core.replay._original import Original, Spoke, original
from agl_core.resources import LLM, NamedResources, ProxyLLM, Resource, ResourcesUpdate
from agl_core.run import Run

__all__ = ["Again", "AgainConfig", "bound", "prepared"]

_ADAPTER = "adapter_config.json"


@dataclass(frozen=True, slots=True, kw_only=True)
class AgainConfig:
    """Which rollout, and how often."""

    source: str
    """Address of the log that has it."""
    rollout_id: str
    times: int = 1
    others: tuple[str, ...] = ()
    """Models that others answer for now: no weights are loaded there."""


class Again:
    """New rollouts that know it as their parent; the first of them with the sampling seeds that it had."""

    name = "again"

    def __init__(self, config: AgainConfig | None = None, *, found: Original | None = None, **options: Any) -> None:
        """`found` is what the log says of it, where that was read already; `options` are a config, as a log has it."""
        self.config = config or AgainConfig(**options)
        self._found = found

    async def run(self, run: Run) -> None:
        """Serve what spoke then, publish what was given then, and hand the task out."""
        found = await asyncio.to_thread(self._read) if self._found is None else self._found
        why = f"as {found.rollout_id} had them"
        bundle = await prepared(run, found, found.resources, others=self.config.others, why=why)
        await run.again(found.rollout, resources=bundle, times=self.config.times)

    def _read(self) -> Original:
        with Plugins.load().open_log(self.config.source, readonly=True) as log:
            return original(log, self.config.rollout_id)


async def prepared(
    run: Run, found: Original, given: NamedResources, *, others: Collection[str], why: str
) -> ResourcesUpdate | None:
    """The weights that spoke then are served, but for `others`; `given` is published, bound to what is served."""
    for spoke in found.spoke:
        if spoke.checkpoint is not None and spoke.policy not in others:
            await run.serve(_based(spoke, run), spoke.policy, version=spoke.version)
    resources = bound(given, run.resources.resources if run.resources else {}, others)
    return await run.publish(resources, why=why) if resources else None


def bound(then: NamedResources, now: NamedResources, others: Collection[str] = ()) -> dict[str, Resource]:
    """What was given then, each model of it as it is served `now`; `others` are names that mean another one now.

    Raises `ModelNotFound` for one that nobody serves.
    """
    by_model = {llm.model: llm for llm in now.values() if isinstance(llm, ProxyLLM)}
    found: dict[str, Resource] = {}
    for name, resource in then.items():
        if not isinstance(resource, LLM):
            found[name] = resource
            continue
        own = now.get(name)
        llm = (own if name in others else None) or by_model.get(resource.model) or own
        if not isinstance(llm, LLM):
            why = f"nobody serves what the rollout had as {name!r}: say who answers, with --model {name}=URL"
            raise ModelNotFound(resource.model, known=by_model, why=why)
        found[name] = replace(llm, sampling_parameters=dict(resource.sampling_parameters))
    return found


def _based(spoke: Spoke, run: Run) -> Checkpoint:
    """Its weights; of adapters, on the model that the run begins with."""
    assert spoke.checkpoint is not None
    if not (spoke.checkpoint.folder / _ADAPTER).exists():
        return spoke.checkpoint
    return replace(spoke.checkpoint, base=run.policy(spoke.policy).folder)
