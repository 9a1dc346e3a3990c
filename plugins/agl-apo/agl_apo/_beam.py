"""The beam: who is criticised, who goes on, and whether another round can be paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_apo._costs import Work

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_apo._config import ApoConfig
    from agl_apo._costs import Purse
    from agl_apo._scores import Scoreboard, Task
    from agl_core.run import Run

__all__ = ["Beam", "noted"]


class Beam:
    """The candidates that are held, and what became of all that there were."""

    def __init__(self, run: Run, config: ApoConfig, base: Candidate, board: Scoreboard, purse: Purse) -> None:
        self._run, self._config, self._base, self._board, self._purse = run, config, base, board, purse
        self.held: list[Candidate] = [base]
        """The best first."""
        self.rounds = 0

    def parents(self) -> list[Candidate]:
        """Whom the round criticises, a place for each branch: all that are held, in turns; a full beam is shuffled."""
        width, held = self._config.beam_width, self.held
        chosen = [held[n % len(held)] for n in range(width)]
        if len(held) == width:
            self._run.rng("parents").shuffle(chosen)
        return [parent for parent in chosen for _ in range(self._config.branch_factor)]

    async def select(self, step: int, born: Sequence[Candidate], batch: Sequence[Task]) -> Candidate:
        """Hold those that gain most on the base, task by task of the batch; the first of them. Recorded with why."""
        compared = [(one, self._board.pairs(self._base, one, batch)) for one in (*self.held, *born)]
        fit = [(one, pairs) for one, pairs in compared if pairs.share >= self._config.min_scored]
        fit.sort(key=lambda entry: -entry[1].gain)  # stable: of equals, the older one
        self.held = [one for one, _ in fit[: self._config.beam_width]] or [self._base]
        self.rounds = step
        held = {one.name for one in self.held}
        standings = [
            {
                "candidate": one.name,
                "bundle": f"{one.bundle.resources_id}@{one.bundle.version}",
                "gain": pairs.gain,
                "mean": fmean(pairs.after) if pairs.after else None,
                "scored": len(pairs.tasks),
                "of": pairs.of,
                "lost": dict(self._board.lost(one, batch)),
                "outcome": "held" if one.name in held else "dropped" if pairs.share >= self._config.min_scored
                else "too_few_scored",
            }
            for one, pairs in compared
        ]  # fmt: skip
        await self._run.step("candidates.compared", noted, standings)
        return self.held[0]

    async def stops(self, step: int, batch: Sequence[Task], val: Sequence[Task]) -> str | None:
        """Why the round is not begun; None when it is. Nothing is begun that would leave too little for the end."""
        await self._purse.look()
        if not await self._run.goes_on():
            return "somebody asked to stop"

        def not_covered() -> str | None:
            work = self.round(batch, val) + self.examination()
            if self._purse.covers(work):
                return None
            cost = self._purse.after(work)
            told = f"{cost.calls} calls, {cost.tokens} tokens, {cost.usd:.4f} usd"
            return f"the budget does not cover round {step} and the examination: all would come to {told}"

        # Recorded: a run that is resumed with a larger budget keeps to what it began to examine.
        told: str | None = await self._run.step("round.covered", not_covered)
        return told

    def round(self, batch: Sequence[Task], val: Sequence[Task]) -> Work:
        """What a round takes at most, as far as it can be told: every branch bears, nothing is asked for anew."""
        config = self._config
        branches = config.beam_width * config.branch_factor
        criticised = min(branches * config.gradient_batch_size, len(self.held) * len(self._run.train))
        seen = sum(self._board.unseen(one, batch) for one in self.held)
        rest = max(0, len(val) - len(batch))
        return Work(rollouts=config.repeat * (criticised + seen + branches * len(batch) + rest), asks=2 * branches)

    def examination(self) -> Work:
        """What the end takes."""
        return Work(rollouts=2 * self._config.repeat * self._run.test_size)

    async def log(
        self, step: int, best: Candidate, born: Sequence[Candidate], rejected: Mapping[str, int], val: Sequence[Task]
    ) -> None:
        """Numbers of the round, for people."""
        spent = await self._purse.look()
        rewards = self._board.rewards(best, val)
        self._run.log(
            step=step,
            **{
                "val/reward": fmean(rewards.values()) if rewards else 0.0,
                "val/gain": self._board.pairs(self._base, best, val).gain,
                "candidates": len(born),
                **{f"rejected/{reason}": count for reason, count in sorted(rejected.items())},
                "spent/calls": spent.calls,
                "spent/tokens": spent.tokens,
                "spent/usd": spent.usd,
            },
        )


def noted(fact: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A fact, as a step that does nothing but be recorded."""
    return fact
