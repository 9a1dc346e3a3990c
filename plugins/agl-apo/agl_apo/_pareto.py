"""A Pareto search over prompts: whoever is the best at some task may be improved (GEPA, arXiv 2507.19457)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agl_apo._candidate import Candidate, base_of
from agl_apo._costs import Purse
from agl_apo._draws import batches
from agl_apo._nursery import Nursery
from agl_apo._pareto_config import ParetoConfig
from agl_apo._pareto_pool import Pool
from agl_apo._plan import pareto_plan
from agl_apo._scores import Scoreboard, evaluating, tasks_of
from agl_apo._verdict import conclude
from agl_core.errors import BadValue, NoTrainingData

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agl_core.resources import PromptTemplate
    from agl_core.run import Budget, Plan, Run

__all__ = ["Pareto", "ParetoConfig"]


class Pareto:
    """Reflective prompt evolution with a Pareto front.

    A pool holds every prompt that was worth a look at the whole validation split. With s_p(t) for what prompt p scored
    on its task t, p is on the front of t if no prompt of the pool scores more there. Each round draws parents from the
    fronts, one that leads on many tasks more often than one that leads on few, and drops from the drawing those that
    lead nowhere alone:

        for each parent p:   p' = edit(p, g),   g = critique(p, rollouts of p on a training batch)
                             p' joins the pool, scored on the whole validation split, if it gains on p on that batch

    So a prompt that is poor on average and the only one that solves a task is not lost, as it is from a beam. Where
    several prompts are improved, two leaders that changed different ones are merged: each gives what it changed.

    The best is the one with the greatest mean gain on the base prompt, task by task of the validation split. It meets
    the base on the sealed test split, and is promoted if the bootstrapped interval of their differences is above zero.
    """

    name = "pareto"
    needs = ("rewards",)

    def __init__(self, config: ParetoConfig | None = None, **overrides: Any) -> None:
        self.config = replace(config or ParetoConfig(), **overrides)
        self._best: Candidate | None = None

    def get_best_prompt(self, name: str | None = None) -> PromptTemplate:
        """The winner's prompt of that name; the first, when none is said. Raises `BadValue` before a run has ended."""
        if self._best is None:
            raise BadValue("best prompt", None, why="there is none before a run has ended: call `Trainer.fit` first")
        return self._best.prompts[name or next(iter(self._best.prompts))]

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """What the search takes at least and at most."""
        return pareto_plan(self.config, tasks, budget)

    async def run(self, run: Run) -> None:
        """Search until the rounds are over, the budget is spent or somebody asks to stop; then examine the best."""
        config, run = self.config, evaluating(run, self.name)
        train, val = tasks_of(run.train), tasks_of(run.val)
        if not train:
            raise NoTrainingData("the search has no task to criticise a prompt on")
        if not val:
            raise BadValue("val_dataset", (), why="candidates are compared on it: pass `val_dataset=`, or `--val FILE`")
        base = await base_of(run, names=config.prompts, prompt=config.prompt)
        board = Scoreboard(run, repeat=config.repeat, timeout=config.rollout_batch_timeout)
        purse = Purse(run, board)
        nursery, pool = Nursery(run, config, base, board, purse), Pool(run, config, base, board, purse, val)
        nursery.check_models()

        await board.evaluate(base, val)
        board.insist(base, val, share=config.min_scored)
        ended = "all rounds were done"
        train_batches = batches(train, config.gradient_batch_size, run.rng("train"))
        for step in range(1, config.rounds + 1):
            if (why := await pool.stops(step)) is not None:
                ended = why
                break
            born = []
            if config.merge and (pair := await pool.merge(nursery)) is not None:
                batch = next(train_batches)
                await board.evaluate(pair[1], batch, mode="train")
                born.append((*pair, batch))
            parents = [(parent, next(train_batches)) for parent in pool.parents()]
            grown = await nursery.expand(step, parents)
            born += [(child, *pair) for child, pair in zip(grown, parents, strict=True) if child is not None]
            joined = await pool.admit(step, born)
            await pool.log(step, len(born), len(joined), nursery.rejected)

        run.result |= {"rounds": pool.rounds, "ended": ended, "front": pool.front} | nursery.told
        self._best = await conclude(run, board, base, pool.best, val, repeat=config.repeat, share=config.min_scored)
