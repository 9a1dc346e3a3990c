"""What an algorithm holds. Resume is replay: the same code runs, and what is recorded returns at once."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any

from agl_core.engine import Checkpoint
from agl_core.errors import RewardMissing, RolloutsForbidden
from agl_core.events import TestOpened
from agl_core.resources import ResourcesUpdate
from agl_core.run._estimates import Examination
from agl_core.run._repeating import Repeating
from agl_core.store import Outcome

__all__ = ["Run"]


class Run(Repeating):
    """The only hand an algorithm has. Time, ids and randomness come from here; so does every effect."""

    async def examine(
        self,
        *,
        before: Checkpoint | Mapping[str, Checkpoint] | ResourcesUpdate,
        after: Checkpoint | Mapping[str, Checkpoint] | ResourcesUpdate,
        policy: str = "policy",
        repeat: int = 1,
        sampling: Mapping[str, Any] | None = None,
    ) -> Examination | None:
        """Open the sealed test split, once, and run both sides on the same tasks; None when there is none.

        A side is the weights of `policy`, those of several by their names, or a bundle of resources. With `repeat`, a
        task's reward is the mean of its samples that count.
        """
        if not self._test:
            return None
        if self.no_rollouts:  # or the seal would be broken for nothing
            raise RolloutsForbidden(f"{2 * repeat * len(self._test)} of mode test")
        opened = TestOpened(run_id=self.id, tasks=len(self._test))
        self._journal.append(self._journal.draft(opened, f"{self.id}/test.opened"))
        sides, tasks = [], []
        for label, side in (("test-before", before), ("test-after", after)):
            bundle = side if isinstance(side, ResourcesUpdate) else None
            weights = {policy: side} if isinstance(side, Checkpoint) else {} if bundle else side
            assert isinstance(weights, Mapping)
            for name, checkpoint in weights.items():
                await self.serve(checkpoint, policy=name)
            hand_out = partial(self.rollouts, self._test, resources=bundle, sampling=sampling)
            outcomes = await hand_out(mode="test", repeat=repeat, label=label)
            unscored = [outcome.rollout_id for outcome in outcomes if outcome.mask is None and outcome.reward is None]
            if unscored and self.failures.of_unscored == "fail":
                raise RewardMissing(len(unscored), example=unscored[0])
            sides.append([_mean(outcomes[first : first + repeat]) for first in range(0, len(outcomes), repeat)])
            tasks = [outcome.task_id for outcome in outcomes[::repeat]]
        found = Examination.of(*sides, tasks=tasks)
        self.result.update(found.to_json())
        return found


def _mean(outcomes: Sequence[Outcome]) -> float | None:
    """Of the samples of a task that count; None where none does."""
    rewards = [outcome.reward for outcome in outcomes if outcome.mask is None and outcome.reward is not None]
    return sum(rewards) / len(rewards) if rewards else None
