"""An agent as a class: one method to write, Agent Lightning's names."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Generic, TypeVar

from agl_core.events import SpanRecorded
from agl_core.resources import NamedResources
from agl_core.store import Rollout

__all__ = ["LitAgent", "Result"]

T = TypeVar("T")

Result = None | float | Mapping[str, float] | Sequence[SpanRecorded]
"""What an agent may return: nothing, a reward, named rewards, or spans of its own."""


class LitAgent(Generic[T]):
    """Write `rollout` or `rollout_async`; the training and validation variants call it unless you write them too.

    Mode `train` runs the training variant, every other mode the validation variant.
    """

    def is_async(self) -> bool:
        """Whether any of the `_async` methods is written."""
        names = ("rollout_async", "training_rollout_async", "validation_rollout_async")
        return any(getattr(type(self), name) is not getattr(LitAgent, name) for name in names)

    def rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Do the task with the resources; runs in a thread."""
        raise NotImplementedError(f"{type(self).__name__} writes neither rollout nor rollout_async")

    async def rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Do the task with the resources; runs in the loop."""
        raise NotImplementedError(f"{type(self).__name__} writes neither rollout nor rollout_async")

    def training_rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout`, when training."""
        return self.rollout(task, resources, rollout)

    def validation_rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout`, when not."""
        return self.rollout(task, resources, rollout)

    async def training_rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout_async`, when training."""
        return await self.rollout_async(task, resources, rollout)

    async def validation_rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout_async`, when not."""
        return await self.rollout_async(task, resources, rollout)
