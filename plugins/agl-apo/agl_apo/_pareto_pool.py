"""The pool: who leads on which task, whom a round improves, who joins, and whether a round can be paid for."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import combinations
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_apo._beam import noted
from agl_apo._costs import Work
from agl_apo._together import together

if TYPE_CHECKING:
    from agl_apo._candidate import Candidate
    from agl_apo._costs import Purse
    from agl_apo._nursery import Nursery
    from agl_apo._pareto_config import ParetoConfig
    from agl_apo._scores import Scoreboard, Task
    from agl_core.resources import PromptTemplate
    from agl_core.run import Run

__all__ = ["Pool", "leads", "merged", "undominated"]


class Pool:
    """The candidates that were scored on the whole validation split; the base is the first of them."""

    def __init__(
        self,
        run: Run,
        config: ParetoConfig,
        base: Candidate,
        board: Scoreboard,
        purse: Purse,
        val: Sequence[Task],
    ) -> None:
        self._run, self._config, self._board, self._purse, self._val = run, config, board, purse, val
        self.members: list[Candidate] = [base]
        self.rounds = 0
        self._tried: set[frozenset[str]] = set()

    @property
    def base(self) -> Candidate:
        """What all are compared with."""
        return self.members[0]

    @property
    def best(self) -> Candidate:
        """With the greatest mean gain on the base, task by task; of equals the older one, so the base before all."""
        return max(self.members, key=lambda one: self._board.pairs(self.base, one, self._val).gain)

    @property
    def front(self) -> dict[str, int]:
        """Candidate to the number of tasks it leads on, of those that lead somewhere alone."""
        scores = {one.name: self._board.rewards(one, self._val) for one in self.members}
        return undominated(leads(scores), scores)

    def parents(self) -> list[Candidate]:
        """Whom the round improves: drawn from the front by the number of tasks each leads on."""
        front, by_name = self.front, {one.name: one for one in self.members}
        names = self._run.rng("parents").choices(list(front), weights=list(front.values()), k=self._config.parallel)
        return [by_name[name] for name in names]

    async def merge(self, nursery: Nursery) -> tuple[Candidate, Candidate] | None:
        """What two leaders changed in different prompts, in one, and the first of them; None where nothing new is."""
        leaders = [one for one in self.members if one.name in self.front]
        for first, second in combinations(leaders, 2):
            pair = frozenset((first.name, second.name))
            changes = merged(self.base, first, second)
            if pair in self._tried or not changes:
                continue
            self._tried.add(pair)
            child = await nursery.publish(first, changes, why=f"{first.name} with what {second.name} changed")
            if child is not None:
                return child, first
        return None

    async def admit(self, step: int, born: Sequence[tuple[Candidate, Candidate, Sequence[Task]]]) -> list[Candidate]:
        """Let in those that gain on their parent on the batch that both come with. Recorded with why."""
        await together(self._board.evaluate(child, batch, mode="train") for child, _, batch in born)
        tried = [(child, self._board.pairs(parent, child, batch, mode="train")) for child, parent, batch in born]
        fit = [child for child, pairs in tried if pairs.share >= self._config.min_scored and pairs.gain > 0]
        await together(self._board.evaluate(child, self._val) for child in fit)
        scored = {child.name: self._board.pairs(self.base, child, self._val) for child in fit}
        joined = [child for child in fit if scored[child.name].share >= self._config.min_scored]
        self.members += joined
        self.rounds = step
        front = self.front
        standings = [
            {
                "candidate": child.name,
                "bundle": f"{child.bundle.resources_id}@{child.bundle.version}",
                "gain_on_parent": pairs.gain,
                "gain": scored[child.name].gain if child.name in scored else None,
                "leads": front.get(child.name, 0),
                "lost": dict(self._board.lost(child, self._val)),
                "outcome": "held" if child in joined else "too_few_scored" if child in fit else "dropped",
            }
            for child, pairs in tried
        ]
        await self._run.step("candidates.compared", noted, standings)
        return joined

    async def stops(self, step: int) -> str | None:
        """Why the round is not begun; None when it is. Nothing is begun that would leave too little for the end."""
        await self._purse.look()
        if not await self._run.goes_on():
            return "somebody asked to stop"
        end = Work(rollouts=2 * self._config.repeat * self._run.test_size)
        if not self._purse.covers(self.round(), end):
            cost = self._purse.after(self.round(), end)
            told = f"{cost.calls} calls, {cost.tokens} tokens, {cost.usd:.4f} usd"
            return f"the budget does not cover round {step} and the examination: all would come to {told}"
        return None

    def round(self) -> Work:
        """What a round takes at most, as far as it can be told: every child is born and joins."""
        config = self._config
        children = config.parallel + (config.merge and len(self.base.prompts) > 1)
        batch = min(config.gradient_batch_size, len(self._run.train))
        return Work(rollouts=config.repeat * children * (2 * batch + len(self._val)), asks=2 * config.parallel)

    async def log(self, step: int, born: int, joined: int, rejected: Mapping[str, int]) -> None:
        """Numbers of the round, for people."""
        spent, best = await self._purse.look(), self.best
        rewards = self._board.rewards(best, self._val)
        metrics: dict[str, Any] = {
            "val/reward": fmean(rewards.values()) if rewards else 0.0,
            "val/gain": self._board.pairs(self.base, best, self._val).gain,
            "candidates": born,
            "joined": joined,
            "front": len(self.front),
            **{f"rejected/{reason}": count for reason, count in sorted(rejected.items())},
            "spent/calls": spent.calls,
            "spent/tokens": spent.tokens,
            "spent/usd": spent.usd,
        }
        self._run.log(step=step, **metrics)


def leads(scores: Mapping[str, Mapping[str, float]]) -> dict[str, set[str]]:
    """Candidate to the tasks on which nobody scored more; `scores` is candidate to task to reward."""
    best: dict[str, float] = {}
    for rewards in scores.values():
        for task, reward in rewards.items():
            best[task] = max(reward, best.get(task, reward))
    return {
        name: {task for task, reward in rewards.items() if reward == best[task]} for name, rewards in scores.items()
    }


def undominated(fronts: Mapping[str, set[str]], scores: Mapping[str, Mapping[str, float]]) -> dict[str, int]:
    """Candidate to the number of tasks it leads on, without those whose every task others lead on, too.

    The poorest is looked at first, the younger of equals before the older: what goes is what the others can spare.
    """
    left = {name: tasks for name, tasks in fronts.items() if tasks}
    means = {name: fmean(scores[name].values()) for name in left}
    youngest_first = list(left)[::-1]
    for name in sorted(youngest_first, key=means.__getitem__):
        others = set[str]().union(*(tasks for other, tasks in left.items() if other != name))
        if left[name] <= others:
            left = {other: tasks for other, tasks in left.items() if other != name}
    return {name: len(tasks) for name, tasks in left.items()}


def merged(base: Candidate, first: Candidate, second: Candidate) -> dict[str, PromptTemplate]:
    """The prompts of `second` to put into `first`: those that only it changed. Empty where it is no merge."""
    changed_first = {name for name, prompt in first.prompts.items() if prompt != base.prompts[name]}
    changed_second = {name for name, prompt in second.prompts.items() if prompt != base.prompts[name]}
    if not changed_first - changed_second:
        return {}
    return {name: second.prompts[name] for name in sorted(changed_second - changed_first)}
