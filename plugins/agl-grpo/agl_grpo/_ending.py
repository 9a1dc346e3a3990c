"""Whether a run has another step in it: nobody asked it to stop, and its budget covers what a step costs."""

from __future__ import annotations

from math import ceil
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from agl_core.run import Budget, Run, Spending
    from agl_grpo._config import GrpoConfig

__all__ = ["Ending", "is_covered"]


class Ending:
    """Asked before each step."""

    def __init__(self, run: Run, config: GrpoConfig) -> None:
        self._run = run
        at_once = max(config.groups_in_flight, min(config.tasks_per_step, len(run.train)))
        validation = len(run.val) if config.eval_every else 0
        self._next = at_once * config.group_size + validation
        """Rollouts that a step may cost."""
        self._last = 2 * run.test_size
        """Rollouts of the examination, which comes whenever the steps end."""

    async def why(self, rollouts: int) -> str | None:
        """Why the run ends here, when `rollouts` have come in; None when it goes on."""
        if not await self._run.goes_on():
            return "it was asked to stop"
        if self._run.budget and rollouts:
            spent = await self._run.spending()
            if not is_covered(self._run.budget, spent, rollouts=rollouts, more=self._next + self._last):
                return "its budget does not cover another step and the examination"
        return None


def is_covered(budget: Budget, spent: Spending, *, rollouts: int, more: int) -> bool:
    """Whether the budget has room for so many more rollouts, at what each has cost so far."""
    share = more / rollouts
    return budget.covers(
        type(spent)(
            calls=spent.calls + ceil(spent.calls * share),
            tokens=spent.tokens + ceil(spent.tokens * share),
            usd=spent.usd + spent.usd * share,
        )
    )
