"""Whether a run has another round in it: nobody asked it to stop, and its budget covers what that costs."""

from __future__ import annotations

from dataclasses import replace
from math import ceil
from typing import TYPE_CHECKING

from agl_core.run import spent

if TYPE_CHECKING:
    from agl_core.run import Run

__all__ = ["Ending"]


class Ending:
    """Asked before each round."""

    def __init__(self, run: Run, a_round: int) -> None:
        self._run, self._a_round = run, a_round

    async def why(self, done: int) -> str | None:
        """Why the run ends before its next round, after so many rollouts; None when it goes on."""
        if not await self._run.goes_on():
            return "it was asked to stop"
        # Written down: what was decided stays so when the run is resumed with a larger budget.
        if done and not await self._run.step("covered", self._is_covered, done):
            return "its budget does not cover another round and the examination"
        return None

    def _is_covered(self, done: int) -> bool:
        """At what each rollout has cost so far."""
        run = self._run
        if not run.budget:
            return True
        share = 1 + (self._a_round + len(run.val) + 2 * run.test_size) / done
        cost = spent(run.store.log, run.id, run.prices)
        calls, tokens = ceil(cost.calls * share), ceil(cost.tokens * share)
        return run.budget.covers(replace(cost, calls=calls, tokens=tokens, usd=cost.usd * share))
