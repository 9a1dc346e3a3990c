"""What an algorithm holds. Resume is replay: the same code runs, and what is recorded returns at once."""

from __future__ import annotations

import random
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agl_core.adapter import Adapted, Adapter
from agl_core.engine import Checkpoint
from agl_core.errors import ModelNotFound, RewardMissing
from agl_core.events import (
    BatchFormed,
    CheckpointSaved,
    MetricsLogged,
    PolicyUpdated,
    ResourcesPublished,
    RolloutConfig,
    StepRecorded,
    TestOpened,
)
from agl_core.ids import canonical, content_id, new_id
from agl_core.plugins import Plugins
from agl_core.resources import NamedResources, Resource, ResourcesUpdate, dump
from agl_core.run import _rounds as rounds
from agl_core.run._adapters import adapter as named
from agl_core.run._adapters import options as options_of
from agl_core.run._batch import adapted, formed, refuse_empty
from agl_core.run._checkpoints import Checkpoints
from agl_core.run._effects import carried_out, plain
from agl_core.run._estimates import Examination
from agl_core.run._failures import Failures
from agl_core.run._journal import Journal, digest
from agl_core.run._selection import Selection
from agl_core.run._weights import Serving, Weights
from agl_core.store import EnqueueRolloutRequest, Outcome, Store

__all__ = ["Run", "Updated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What a stateful step left."""

    checkpoint: Checkpoint
    result: dict[str, Any]


class Run:
    """The only hand an algorithm has. Time, ids and randomness come from here; so does every effect."""

    def __init__(
        self,
        *,
        id: str,
        store: Store,
        plugins: Plugins,
        serving: Serving,
        train: Sequence[Any] = (),
        val: Sequence[Any] = (),
        test: Sequence[Any] = (),
        seed: int = 0,
        deterministic: bool = False,
        resources: ResourcesUpdate | None = None,
        rollout_config: RolloutConfig | None = None,
        selection: Selection | None = None,
        failures: Failures | None = None,
        max_failed_fraction: float = 1.0,
        actor: str = "agl-core",
    ) -> None:
        self.id, self.seed, self.deterministic = id, seed, deterministic
        self.train, self.val = tuple(train), tuple(val)
        self.result: dict[str, Any] = {}
        """What the run came to; the trainer writes it into `run.finished`."""
        self.rollout_config = rollout_config or RolloutConfig(max_attempts=3)
        self.selection = selection or Selection()
        """Which calls may become rows."""
        self.failures = failures or Failures()
        """What becomes of rollouts by how they end."""
        self.max_failed_fraction = max_failed_fraction
        self._test = tuple(test)
        self.store = store
        """For what `Run` does not offer; what is done there is not replayed."""
        self.resources = resources
        """The bundle that rollouts get when none is named."""
        self._plugins = plugins
        self._weights = Weights(serving, Checkpoints(store.log.artefacts, id))
        self._journal = Journal(store.log, id, "main", actor)
        self._random: dict[str, random.Random] = {}

    @property
    def test_size(self) -> int:
        """How many tasks are under seal."""
        return len(self._test)

    def close(self) -> None:
        """The run is finished: only what was kept for good stays on disk."""
        self._weights.checkpoints.clear()

    # --- what costs nothing

    def rng(self, name: str) -> random.Random:
        """A named random stream: one more draw from it shifts no other."""
        if name not in self._random:
            self._random[name] = random.Random(f"{self.seed}/{self._journal.scope}/{name}")
        return self._random[name]

    def scope(self, name: str) -> Run:
        """A child with counters of its own, for work under `gather`."""
        child = object.__new__(Run)
        child.__dict__.update(self.__dict__)
        journal = self._journal
        child._journal = Journal(journal.log, journal.run_id, f"{journal.scope}.{name}", journal.actor)
        child._random = {}
        return child

    def policy(self, name: str = "policy") -> Checkpoint:
        """The weights that policy speaks with now."""
        if name not in self._weights.wanted:
            raise ModelNotFound(name, known=self._weights.wanted)
        return self._weights.wanted[name]

    def version(self, name: str = "policy") -> int:
        """Of those weights, as calls name it: 0 of what the run began with."""
        return self._weights.version(name)

    def algorithm(self, name: str, **config: Any) -> Any:
        """The algorithm of that registry name, to be run inside this one: `await run.algorithm("grpo").run(run)`."""
        return self._plugins.algorithm(name)(**config)

    def adapter(self, name: str, **options: Any) -> Adapter[Any]:
        """The adapter of that registry name, as `adapt` takes it: made early, a mistake costs no rollout."""
        return named(self._plugins, name, options)

    def log(self, *, step: int, **metrics: float) -> None:
        """Numbers for people; on replay the first record stays."""
        key = f"{self.id}/{self._journal.scope}/metrics/{step}/{'+'.join(sorted(metrics))}"
        if self._journal.log.get(content_id(key.encode())) is None:
            event = MetricsLogged(run_id=self.id, step=step, metrics={k: float(v) for k, v in metrics.items()})
            self._journal.append(self._journal.draft(event, content_id(key.encode())))

    # --- resources

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
                then = {name: event.resources[name] for name in asked}
                # Canonical: the log sorts what it keeps, so the same resource comes back in another order.
                movement.check(canonical(then).decode(), canonical(asked).decode())
                found = self.store.ask.resources(event.resources_id, event.version)
            else:
                found = await self.store.publish(changes, parent=parent, why=why, run_id=self.id, key=movement.key)
        self.resources = found
        return found

    # --- rollouts

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
        the run stops for, and `TooManyFailed` when more than `max_failed_fraction` of them are masked.
        """
        bundle = self.resources if resources is None else resources
        if bundle is not None and not isinstance(bundle, ResourcesUpdate):
            bundle = await self.publish(bundle)
        with self._journal.movement("rollouts", label) as movement:
            requests = [
                EnqueueRolloutRequest(
                    input=task,
                    mode=mode,
                    resources_id=bundle.resources_id if bundle else None,
                    resources_version=bundle.version if bundle else None,
                    config=self.failures.configured(config or self.rollout_config),
                    metadata={"sampling": dict(sampling)} if sampling else {},
                    run_id=self.id,
                    group=movement.key,
                    repeat=sample,
                    key=f"{movement.key}/{n * repeat + sample}",
                    copy=copy,
                )
                for n, (task, copy) in enumerate(zip(tasks, rounds.copies(tasks), strict=True))
                for sample in range(repeat)
            ]
            rounds.check(self._journal, movement.key, requests)
            if not rounds.is_settled(self._journal, movement.key, len(requests)):
                await self._weights.admit()
            ids = await self.store.enqueue(requests)
            await self.store.wait(ids)
            as_of = await rounds.read_as_of(self._journal, movement)
        inputs = {id_: request.input for id_, request in zip(ids, requests, strict=True)}
        outcomes = [self.failures.outcome(outcome) for outcome in self.store.ask.outcomes(ids, inputs, as_of=as_of)]
        rounds.refuse(self.store.log, outcomes, failures=self.failures, most=self.max_failed_fraction)
        return outcomes

    # --- rows

    def adapt(self, outcomes: Sequence[Outcome], adapter: str | Adapter[Any], **options: Any) -> Adapted[Any]:
        """Training rows from what the rollouts left in the log, and why the rest was dropped.

        Calls that the run's `selection` leaves out are dropped before the adapter looks; its `failures` say which
        rollouts count. Raises `RewardMissing` when one that counts was scored by nobody, `CaptureNone` when not one
        model call was seen, `SelectsNothing` when the run has made none that is selected. The batch is of the log as it
        stands; when the run is resumed, of the log as it stood.
        """
        made = named(self._plugins, adapter, options) if isinstance(adapter, str) else adapter
        ids = [outcome.rollout_id for outcome in outcomes]
        with self._journal.movement("adapt", made.name) as movement:
            before = movement.recorded.event if movement.recorded is not None else None
            assert before is None or isinstance(before, BatchFormed)
            as_of = before.as_of if before is not None else self.store.log.head()
            traces = self.store.ask.traces(ids, as_of=as_of)
            batch = adapted(traces, made, selection=self.selection, failures=self.failures)
            refuse_empty(
                traces, batch, selection=self.selection, failures=self.failures, ever_selected=self._ever_selected
            )
            rows = content_id(msgspec.json.encode(batch.rows, order="sorted"))
            if before is not None:
                movement.check(before.digest, rows)
            else:
                told = options_of(self._plugins, made)
                event = formed(
                    self.id, made.name, traces, batch, failures=self.failures, digest=rows, options=told, as_of=as_of
                )
                self._journal.append(self._journal.draft(event, movement.key))
        return batch

    def _ever_selected(self) -> bool:
        """Whether any call of the run is, even if none of this batch."""
        sql = "select distinct c.agent, c.model from calls c join rollouts r using (rollout_id) where r.run_id = ?"
        return any(self.selection.fits(agent, model) for agent, model in self.store.log.rows(sql, (self.id,)))

    # --- effects

    async def step(self, label: str, fn: Callable[..., Any], *args: Any) -> Any:
        """Carry out an effect once: `fn(*args)`, sync (in a thread) or async, must return plain JSON."""
        with self._journal.movement("step", label) as movement:
            asked = digest(fn, *args)
            if movement.recorded is not None:
                assert isinstance(movement.recorded.event, StepRecorded)
                movement.check(movement.recorded.event.digest, asked)
                return movement.recorded.event.result
            began = time.monotonic()
            result = plain(await carried_out(label, fn, *args))
            event = StepRecorded(
                run_id=self.id, label=label, digest=asked, result=result, seconds=time.monotonic() - began
            )
            await self._journal.log.soon([self._journal.draft(event, movement.key)])
            return result

    async def update(
        self, label: str, fn: Callable[..., Any], checkpoint: Checkpoint, *args: Any, keep: bool = True
    ) -> Updated:
        """A stateful step: `fn(checkpoint, out, *args)` writes the next checkpoint's files into `out`.

        `fn` must be a pure function of the checkpoint's files and its arguments: memory is only its cache. With
        `keep=False` the files may go once something newer is there; on resume they are made again by calling `fn`.
        """
        with self._journal.movement("update", label) as movement:
            asked = digest(fn, checkpoint.digest, *args)
            weights = self._weights

            async def make(*, keep: bool = False) -> tuple[Checkpoint, dict[str, str], int, Any]:
                source, out = await weights.at_hand(checkpoint), weights.checkpoints.workspace()
                result = plain(await carried_out(label, fn, source, out, *args))
                base = _base(source) if (out / "adapter_config.json").exists() else None
                return *(await weights.take(out, keep=keep, base=base)), result

            async def again() -> Checkpoint:
                return (await make())[0]

            if movement.recorded is not None:
                assert isinstance(movement.recorded.event, StepRecorded)
                movement.check(movement.recorded.event.digest, asked)
                found = movement.recorded.event.result
                base = _base(checkpoint) if found["adapter"] else None
                made = weights.recorded(found["checkpoint"], base=base, recipe=again)
                return Updated(checkpoint=made, result=found["result"])
            began = time.monotonic()
            made, files, size, result = await make(keep=keep)
            step = StepRecorded(
                run_id=self.id,
                label=label,
                digest=asked,
                result={"checkpoint": made.digest, "kept": keep, "adapter": made.base is not None, "result": result},
                seconds=time.monotonic() - began,
            )
            drafts = [self._journal.draft(step, movement.key)]
            if keep:
                event = CheckpointSaved(
                    run_id=self.id, checkpoint_id=new_id("ck"), digest=made.digest, files=files, bytes=size
                )
                drafts.append(self._journal.draft(event, None))
            await self._journal.log.soon(drafts)
            weights.recorded(made.digest, base=made.base, recipe=again)
            weights.prune(made, checkpoint)
            return Updated(checkpoint=made, result=result)

    # --- policies

    async def serve(self, checkpoint: Checkpoint, policy: str = "policy") -> int:
        """Let the policy speak with these weights from here on; its version. The same weights keep their version."""
        version = self._weights.want(policy, checkpoint)
        with self._journal.movement("serve", policy) as movement:
            event = PolicyUpdated(run_id=self.id, policy=policy, version=version, checkpoint=checkpoint.digest)
            if movement.recorded is not None:
                movement.check(str(movement.recorded.event), str(event))
            else:
                await self._weights.catch_up()
                await self._journal.log.soon([self._journal.draft(event, movement.key)])
        return version

    # --- the test split

    async def examine(
        self,
        *,
        before: Checkpoint,
        after: Checkpoint,
        policy: str = "policy",
        sampling: Mapping[str, Any] | None = None,
    ) -> Examination | None:
        """Open the sealed test split, once, and run both policies on the same tasks; None when there is none."""
        if not self._test:
            return None
        opened = TestOpened(run_id=self.id, tasks=len(self._test))
        self._journal.append(self._journal.draft(opened, f"{self.id}/test.opened"))
        sides = []
        for label, checkpoint in (("test-before", before), ("test-after", after)):
            await self.serve(checkpoint, policy=policy)
            outcomes = await self.rollouts(self._test, mode="test", label=label, sampling=sampling)
            unscored = [outcome.rollout_id for outcome in outcomes if outcome.mask is None and outcome.reward is None]
            if unscored and self.failures.of_unscored == "fail":
                raise RewardMissing(len(unscored), example=unscored[0])
            sides.append([outcome.reward if outcome.mask is None else None for outcome in outcomes])
        found = Examination.of(*sides)
        self.result.update(found.to_json())
        return found


def _base(checkpoint: Checkpoint) -> Path:
    """The model that an adapter made from this checkpoint belongs to."""
    return checkpoint.base or checkpoint.folder
