"""What a search has cost, and what a piece of work will: by what such work cost so far."""

from __future__ import annotations

from dataclasses import dataclass
from math import ceil
from typing import TYPE_CHECKING

from agl_core.run import Spending

if TYPE_CHECKING:
    from agl_apo._scores import Scoreboard
    from agl_core.asking import Said
    from agl_core.run import Run

__all__ = ["Purse", "Work"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Work:
    """How much there is to do."""

    rollouts: int = 0
    asks: int = 0
    """Questions to the models that criticise and edit."""

    def __add__(self, other: Work) -> Work:
        return Work(rollouts=self.rollouts + other.rollouts, asks=self.asks + other.asks)


class Purse:
    """The budget of a run, as its search sees it."""

    def __init__(self, run: Run, board: Scoreboard) -> None:
        self._run, self._board = run, board
        self._asks, self._ask_tokens = 0, 0
        self.spent = Spending()
        """As it was read last."""

    def add(self, said: Said) -> None:
        """An answer was paid for."""
        self._asks += 1
        self._ask_tokens += said.prompt_tokens + said.completion_tokens

    async def look(self) -> Spending:
        """What everything came to so far."""
        self.spent = await self._run.spending()
        return self.spent

    def covers(self, *work: Work) -> bool:
        """Whether all of that fits, beside what was spent when somebody looked."""
        return self._run.budget.covers(self.after(*work))

    def after(self, *work: Work) -> Spending:
        """What it will have come to when that is done, too.

        A rollout and a question cost what they cost on average so far; before the first question one is taken for as
        dear as a rollout. What money went into questions is told by their share of the tokens.
        """
        spent, asks, rollouts = self.spent, self._asks, self._board.rollouts
        share = self._ask_tokens / spent.tokens if spent.tokens else 0.0
        todo = sum(work, Work())
        if not rollouts:
            return Spending(calls=spent.calls + todo.rollouts + todo.asks, tokens=spent.tokens, usd=spent.usd)
        calls, tokens, usd = (
            (spent.calls - asks) / rollouts,
            (spent.tokens - self._ask_tokens) / rollouts,
            spent.usd * (1 - share) / rollouts,
        )
        of_ask = (1.0, self._ask_tokens / asks, spent.usd * share / asks) if asks else (1.0, tokens, usd)
        return Spending(
            calls=spent.calls + ceil(todo.rollouts * calls + todo.asks * of_ask[0]),
            tokens=spent.tokens + ceil(todo.rollouts * tokens + todo.asks * of_ask[1]),
            usd=spent.usd + todo.rollouts * usd + todo.asks * of_ask[2],
        )
