"""Rollouts that are done again: their tasks handed out as they were, to new ones that know them as their parents."""

from __future__ import annotations

from agl_core.ids import task_id
from agl_core.resources import ResourcesUpdate
from agl_core.run import _rounds as rounds
from agl_core.run._learning import Learning
from agl_core.store import EnqueueRolloutRequest, Outcome, Rollout

__all__ = ["Repeating"]

_COPIES = 100
"""Equal tasks that may stand before one; its id says how many do."""


class Repeating(Learning):
    """What was done before, by this run or another."""

    async def again(
        self, rollout: Rollout, *, resources: ResourcesUpdate | None, times: int = 1, label: str = "again"
    ) -> list[Outcome]:
        """Hand out the task of a rollout `times` more, as it was handed out: new rollouts, of which it is the parent.

        It may be one of another log. They are numbered from where it stood in its group, so that the first gets the
        sampling seeds that it got. However they end, nothing is raised.
        """
        with self._journal.movement("again", label) as movement:
            requests = _requests(rollout, movement.key, bundle=resources, times=times, run_id=self.id)
            if not rounds.is_settled(self._journal, movement.key, times):
                await self._weights.admit()
            ids = await self.store.enqueue(requests)
            await self.store.wait(ids)
            as_of = await rounds.read_as_of(self._journal, movement)
        tasks = dict.fromkeys(ids, rollout.input)
        return [self.failures.outcome(outcome) for outcome in self.store.ask.outcomes(ids, tasks, as_of=as_of)]


def _requests(
    rollout: Rollout, key: str, *, bundle: ResourcesUpdate | None, times: int, run_id: str
) -> list[EnqueueRolloutRequest]:
    copy = next((n for n in range(_COPIES) if task_id(rollout.input, n) == rollout.task_id), 0)
    return [
        EnqueueRolloutRequest(
            input=rollout.input,
            mode=rollout.mode,
            resources_id=bundle.resources_id if bundle else None,
            resources_version=bundle.version if bundle else None,
            config=rollout.config,
            metadata={name: value for name, value in rollout.metadata.items() if name != "on_enqueue"},
            run_id=run_id,
            group=key,
            repeat=rollout.repeat + n,
            key=f"{key}/{n}",
            copy=copy,
            parent=rollout.rollout_id,
        )
        for n in range(times)
    ]
