"""Whether a run has another step in it: nobody asked it to stop, and its budget covers what a step costs."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from agl_core.run import spent

if TYPE_CHECKING:
    from agl_core.run import Budget, Run, Spending
    from agl_grpo._config import GrpoConfig

__all__ = ["Ending", "is_covered"]


class Ending:
    """Asked before each step."""

    def __init__(self, run: Run, config: GrpoConfig) -> None:
        self._run, self._config = run, config
        self._tasks = min(config.tasks_per_step, len(run.train))

    async def why(self, step: int, rollouts: int) -> str | None:
        """Why the run ends before this step, when `rollouts` have come in; None when it goes on."""
        if not await self._run.goes_on():
            return "it was asked to stop"
        # A step, and one without a budget too: what was decided stays so when the run is resumed with another.
        if not await self._run.step("covered", self._is_covered, step, rollouts):
            return "its budget does not cover another step and the examination"
        return None

    def _is_covered(self, step: int, rollouts: int) -> bool:
        run = self._run
        if not run.budget or not rollouts:
            return True
        more = self._handed_out(step) + 2 * run.test_size
        return is_covered(run.budget, spent(run.store.log, run.id, run.prices), rollouts=rollouts, more=more)

    def _handed_out(self, step: int) -> int:
        """Rollouts that a step may cost."""
        config = self._config
        left = (config.steps - step + 1) * self._tasks
        groups = min(max(config.groups_in_flight, self._tasks), left)
        is_validated = config.eval_every and step % config.eval_every == 0
        return groups * config.group_size + (len(self._run.val) if is_validated else 0)


def is_covered(budget: Budget, spending: Spending, *, rollouts: int, more: int) -> bool:
    """Whether the budget has room for so many more rollouts, at what each has cost so far."""
    share = 1 + more / rollouts
    return budget.covers(
        replace(
            spending,
            calls=ceil(spending.calls * share),
            tokens=ceil(spending.tokens * share),
            usd=spending.usd * share,
        )
    )
