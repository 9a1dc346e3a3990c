"""What is learnt from rollouts: rows, weights, and which of them a policy speaks with."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import msgspec

from agl_core.adapter import Adapted, Adapter
from agl_core.engine import Checkpoint
from agl_core.errors import ModelNotFound
from agl_core.events import BatchFormed, CheckpointSaved, PolicyUpdated, StepRecorded
from agl_core.ids import content_id, new_id
from agl_core.run._adapters import adapter as named
from agl_core.run._adapters import options as options_of
from agl_core.run._batch import adapted, formed, refuse_empty
from agl_core.run._effects import carried_out, plain
from agl_core.run._handing import Handing
from agl_core.run._journal import Asked
from agl_core.store import Outcome

__all__ = ["Learning", "Updated"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Updated:
    """What a stateful step left."""

    checkpoint: Checkpoint
    result: dict[str, Any]


class Learning(Handing):
    """Rows in, weights out."""

    def policy(self, name: str = "policy") -> Checkpoint:
        """The weights that policy speaks with now. Raises `ModelNotFound` where none lie on this machine."""
        if name not in self._weights.wanted:
            tunable = ", ".join(sorted(self._weights.wanted)) or "none"
            why = (
                f"it has no folder here, and cannot be tuned (tunable: {tunable}). Models that others host can be asked"
            )
            raise ModelNotFound(
                name,
                known=self._weights.wanted,
                why=f"{why}; serve it from a folder: --model {name}=transformers:/path",
            )
        return self._weights.wanted[name]

    def version(self, name: str = "policy") -> int:
        """Of those weights, as calls name it: 0 of what the run began with."""
        return self._weights.version(name)

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
            told = options_of(self._plugins, made)
            event = formed(
                self.id, made.name, traces, batch, failures=self.failures, digest=rows, options=told, as_of=as_of
            )
            if before is None:
                self._journal.append(self._journal.draft(event, movement.key))
            elif before.digest != rows:
                movement.check(_compared(before), _compared(event))
        return batch

    def _ever_selected(self) -> bool:
        """Whether any call of the run is, even if none of this batch."""
        sql = "select distinct c.agent, c.model from calls c join rollouts r using (rollout_id) where r.run_id = ?"
        return any(self.selection.fits(agent, model) for agent, model in self.store.log.rows(sql, (self.id,)))

    async def update(
        self, label: str, fn: Callable[..., Any], checkpoint: Checkpoint, *args: Any, keep: bool = True
    ) -> Updated:
        """A stateful step: `fn(checkpoint, out, *args)` writes the next checkpoint's files into `out`.

        `fn` must be a pure function of the checkpoint's files and its arguments: memory is only its cache. With
        `keep=False` the files may go once something newer is there; on resume they are made again by calling `fn`.
        """
        with self._journal.movement("update", label) as movement:
            asked = Asked.of(fn, checkpoint.digest, *args)
            weights = self._weights

            async def make(*, keep: bool = False) -> tuple[Checkpoint, dict[str, str], int, Any]:
                source = await weights.at_hand(checkpoint)
                with weights.checkpoints.filling() as out:
                    result = plain(await carried_out(label, fn, source, out, *args))
                    base = _base(source) if (out / "adapter_config.json").exists() else None
                    return *(await weights.take(out, keep=keep, base=base)), result

            async def again() -> Checkpoint:
                return (await make())[0]

            if movement.recorded is not None:
                found = movement.step(asked).result
                base = _base(checkpoint) if found["adapter"] else None
                made = weights.recorded(found["checkpoint"], base=base, recipe=again)
                return Updated(checkpoint=made, result=found["result"])
            began = time.monotonic()
            made, files, size, result = await make(keep=keep)
            step = StepRecorded(
                run_id=self.id,
                label=label,
                digest=asked.digest,
                function=asked.function,
                arguments=asked.arguments,
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

    async def serve(self, checkpoint: Checkpoint, policy: str = "policy", *, version: int | None = None) -> int:
        """Let the policy speak with these weights from here on; its version. The same weights keep their version.

        `version` is the one that they had in another run.
        """
        version = self._weights.want(policy, checkpoint, version)
        with self._journal.movement("serve", policy) as movement:
            event = PolicyUpdated(run_id=self.id, policy=policy, version=version, checkpoint=checkpoint.digest)
            if movement.recorded is not None:
                movement.check(msgspec.to_builtins(movement.recorded.event), msgspec.to_builtins(event))
            else:
                await self._weights.catch_up()
                await self._journal.log.soon([self._journal.draft(event, movement.key)])
        return version


def _compared(batch: BatchFormed) -> dict[str, Any]:
    """A batch, without what each has of its own."""
    return {name: value for name, value in msgspec.to_builtins(batch).items() if name not in {"batch_id", "as_of"}}


def _base(checkpoint: Checkpoint) -> Path:
    """The model that an adapter made from this checkpoint belongs to."""
    return checkpoint.base or checkpoint.folder
