"""A Pareto search over prompts: whoever is the best at some task may be improved (GEPA, arXiv 2507.19457)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agl_apo._draws import batches
from agl_apo._pareto_config import ParetoConfig
from agl_apo._pareto_pool import Pool
from agl_apo._plan import pareto_plan
from agl_apo._search import Finding, begun
from agl_apo._verdict import conclude

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agl_core.run import Budget, Plan, Run

__all__ = ["Pareto", "ParetoConfig"]


class Pareto(Finding):
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

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """What the search takes at least and at most."""
        return pareto_plan(self.config, tasks, budget)

    async def run(self, run: Run) -> None:
        """Search until the rounds are over, the budget is spent or somebody asks to stop; then examine the best."""
        config, search = self.config, await begun(run, self.config, name=self.name)
        run, base, board, val, nursery = search.run, search.base, search.board, search.val, search.nursery
        pool = Pool(run, config, base, board, search.purse, val)

        await board.evaluate(base, val)
        board.insist(base, val, share=config.min_scored)
        ended = "all rounds were done"
        train_batches = batches(search.train, config.gradient_batch_size, run.rng("train"))
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
