"""What agents are given, and what they are asked to do."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from typing import Any

import msgspec

from agl_core.events import ResourcesPromoted, ResourcesPublished, RolloutConfig
from agl_core.resources import NamedResources, Resource, ResourcesUpdate, dump
from agl_core.run import _rounds as rounds
from agl_core.run._doing import Effects
from agl_core.run._flight import Flight
from agl_core.store import Outcome

__all__ = ["Handing"]


class Handing(Effects):
    """Resources and rollouts."""

    async def publish(
        self, changes: Mapping[str, Resource], *, parent: ResourcesUpdate | None = None, why: str = ""
    ) -> ResourcesUpdate:
        """A new immutable version: the parent's resources (the current ones) with `changes` in their places."""
        parent = parent or self.resources
        with self._journal.movement("publish", ",".join(sorted(changes))) as movement:
            if movement.recorded is not None:
                event = movement.recorded.event
                assert isinstance(event, ResourcesPublished)
                asked = {name: dump(resource) for name, resource in changes.items()}
                movement.check({name: event.resources[name] for name in asked}, asked)
                found = self.store.ask.resources(event.resources_id, event.version)
            else:
                found = await self.store.publish(changes, parent=parent, why=why, run_id=self.id, key=movement.key)
        self.resources = found
        return found

    async def promote(self, bundle: ResourcesUpdate, *, why: str = "") -> None:
        """Declare a version the best so far: `agl resources best` shows it, and whoever serves agents may take it."""
        with self._journal.movement("promote", bundle.resources_id) as movement:
            event = ResourcesPromoted(resources_id=bundle.resources_id, version=bundle.version, why=why, run_id=self.id)
            if movement.recorded is not None:
                movement.check(msgspec.to_builtins(movement.recorded.event), msgspec.to_builtins(event))
            else:
                draft = self._journal.draft(event, movement.key)
                await self._journal.log.soon([replace(draft, stream=f"resources/{bundle.resources_id}")])

    async def rollouts(
        self,
        tasks: Sequence[Any],
        *,
        resources: ResourcesUpdate | NamedResources | None = None,
        mode: str = "train",
        repeat: int = 1,
        label: str = "rollouts",
        sampling: Mapping[str, Any] | None = None,
        config: RolloutConfig | None = None,
    ) -> list[Outcome]:
        """Hand each task out `repeat` times, wait until all are settled, and say what came of each, in order.

        `sampling` gives defaults for what the agent's requests leave open. One call is one group: samples of the
        same task in it are compared with each other. What came of each is as the run's `failures` have it; a reward
        that comes later changes nothing in it, when the run is resumed neither. Raises `RolloutFailed` for an end that
        the run stops for, and `TooManyFailed` when more than `max_failed_fraction` of them are masked; and, before
        anything is enqueued, `RolloutsForbidden` where the run is to hand out none.
        """
        bundle = self.resources if resources is None else resources
        if bundle is not None and not isinstance(bundle, ResourcesUpdate):
            bundle = await self.publish(bundle)
        with self._journal.movement("rollouts", label) as movement:
            requests = rounds.requests(
                self, tasks, movement.key, bundle=bundle, mode=mode, repeat=repeat, sampling=sampling, config=config
            )
            rounds.check(self._journal, movement.key, requests)
            if not rounds.is_settled(self._journal, movement.key, len(requests)):
                await self._weights.admit()
            ids = await rounds.hand_out(self, self._journal, movement.key, requests)
            await self.store.wait(ids)
            as_of = await rounds.read_as_of(self._journal, movement)
        inputs = {id_: request.input for id_, request in zip(ids, requests, strict=True)}
        outcomes = [self.failures.outcome(outcome) for outcome in self.store.ask.outcomes(ids, inputs, as_of=as_of)]
        rounds.refuse(self.store.log, outcomes, failures=self.failures, most=self.max_failed_fraction)
        return outcomes

    def flight(
        self,
        label: str = "flight",
        *,
        mode: str = "train",
        repeat: int = 1,
        sampling: Mapping[str, Any] | None = None,
    ) -> Flight:
        """Groups of rollouts that stay under way while the algorithm goes on: `launch` tasks, take those that `landed`.

        A group is a task, `repeat` times; samples of it are compared with each other. Make one for each label.
        """
        return Flight(self, self._journal, self._weights, label, repeat=repeat, mode=mode, sampling=sampling)
