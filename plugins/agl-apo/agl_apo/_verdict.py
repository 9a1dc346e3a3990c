"""The end of a search: whether the best is better than the base, on what it was chosen by and under seal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from agl_core.run import Estimate

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_apo._scores import Scoreboard, Task
    from agl_core.run import Run

__all__ = ["FEWEST", "Comparison", "conclude"]

FEWEST = 6
"""Pairs below which nothing is called better: six that agree are the fewest that chance gives less than one time in
twenty (2 / 2**6), and a bootstrap of fewer is too sure."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Comparison:
    """The base and another candidate, on the tasks of a split that both were scored on."""

    base: float | None
    best: float | None
    difference: Estimate
    """Of the pairs, with its bootstrapped interval."""
    regressed: tuple[str, ...]
    """Tasks on which the base earned more."""
    is_whole: bool = True
    """Whether enough of the tasks are in pairs: what failed on half of them has shown nothing by the other half."""

    @classmethod
    def of(
        cls, tasks: Sequence[str], before: Sequence[float], after: Sequence[float], *, seed: int, is_whole: bool = True
    ) -> Comparison:
        """Rewards of the same tasks in the same order."""
        differences = [second - first for first, second in zip(before, after, strict=True)]
        n = len(differences)
        return cls(
            base=sum(before) / n if n else None,
            best=sum(after) / n if n else None,
            difference=Estimate.bootstrap(differences, seed=seed),
            regressed=tuple(task for task, change in zip(tasks, differences, strict=True) if change < 0),
            is_whole=is_whole,
        )

    @property
    def is_better(self) -> bool:
        """Whether the interval is above zero, and of enough pairs to say so."""
        return self.is_whole and self.difference.n >= FEWEST and self.difference.ci95[0] > 0

    def to_json(self) -> dict[str, Any]:
        """As it stands in `run.finished`."""
        shown = {
            name: None if mean is None else round(mean, 4) for name, mean in (("base", self.base), ("best", self.best))
        }
        return {**shown, "difference": self.difference.to_json()}


async def conclude(
    run: Run,
    board: Scoreboard,
    base: Candidate,
    best: Candidate,
    val: Sequence[Task],
    *,
    repeat: int = 1,
    share: float = 0.8,
) -> Candidate:
    """Open the sealed split if there is something to examine, promote the better one of the two, and write down why.

    The best is promoted when it is better on the test split; where there is none, on the validation split, which it was
    chosen by. Otherwise the base stays; also where less than that share of the tasks was scored on both sides.
    """
    pairs = board.pairs(base, best, val)
    chosen = Comparison.of(pairs.tasks, pairs.before, pairs.after, seed=run.seed, is_whole=pairs.share >= share)
    run.result |= {"val": chosen.to_json(), "regressed": {"val": list(chosen.regressed)}}
    examined = None
    if best is not base:
        found = await run.examine(before=base.bundle, after=best.bundle, repeat=repeat)
        if found is not None:
            before, after = [a for a, _ in found.pairs.values()], [b for _, b in found.pairs.values()]
            is_whole = len(before) >= share * run.test_size
            examined = Comparison.of(list(found.pairs), before, after, seed=run.seed, is_whole=is_whole)
            run.result["difference"] = examined.difference.to_json()  # one interval, and that the bootstrapped one
            run.result["regressed"]["test"] = list(examined.regressed)
    is_better = best is not base and (examined or chosen).is_better
    winner = best if is_better else base
    run.result |= {
        "verdict": _told(base, best, chosen, examined, is_better=is_better),
        "winner": winner.name,
        "prompts": {name: prompt.template for name, prompt in winner.prompts.items()},
    }
    await run.promote(winner.bundle, why=run.result["verdict"])
    return winner


def _told(base: Candidate, best: Candidate, chosen: Comparison, examined: Comparison | None, *, is_better: bool) -> str:
    if best is base:
        return "no gain: no candidate was better, and the base prompt stays"
    split, seen = ("val", chosen) if examined is None else ("test", examined)
    low, high = seen.difference.ci95
    told = f"{seen.difference.mean:+.3f} on {split} (95 % from {low:+.3f} to {high:+.3f}, {seen.difference.n} tasks)"
    if is_better:
        return f"gain: {best.name} is better than the base prompt, {told}"
    if seen.difference.n < FEWEST:
        return f"no significant gain: {seen.difference.n} tasks are too few to tell, and the base prompt stays"
    if not seen.is_whole:
        return f"no significant gain: {told}, and too few of all tasks were scored, so that the base prompt stays"
    return f"no significant gain: {best.name} is {told}, and the base prompt stays"
