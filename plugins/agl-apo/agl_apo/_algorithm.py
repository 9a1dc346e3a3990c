"""APO: a beam search over prompts, steered by textual gradients (Pryzant et al. 2023, arXiv 2305.03495)."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

from agl_apo._beam import Beam
from agl_apo._config import ApoConfig
from agl_apo._draws import batches
from agl_apo._offline import offline, offline_plan
from agl_apo._plan import apo_plan
from agl_apo._search import Finding, begun
from agl_apo._together import together
from agl_apo._verdict import conclude
from agl_core.errors import BadValue

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agl_core.run import Budget, Plan, Run

__all__ = ["Apo", "ApoConfig"]


class Apo(Finding):
    """Automatic prompt optimisation.

    A beam holds the b best prompts so far. Each round criticises them: a model is shown a prompt p and what it came to
    on a few training tasks, and says what is wrong with it, the "gradient" g. Another one edits p in g's direction.

        for each p in the beam, w times:   p' = edit(p, g),   g = critique(p, rollouts of p on a training batch)
        beam = the b of (beam and all p') with the greatest gain on a validation batch
        best = the first of the beam, if it gains on the best so far on the whole validation split

    A gain is a mean of differences, task by task, over the tasks that both prompts were scored on: of a candidate and
    the base prompt within a round, of the first and the best so far after it. So scores of different batches never
    meet. What was not scored is in no pair, and a candidate that was scored on less than `min_scored` of the base's
    tasks does not go on. No candidate runs on a task twice.

    In the end the best meets the base on the sealed test split, and is promoted if the bootstrapped interval of their
    differences is above zero. Else the base stays.

    With `from_log` there is one step of this, on rollouts that a log has: g and p', and no b, for nothing runs.
    """

    name = "apo"
    learns_from_logs = True

    def __init__(self, config: ApoConfig | None = None, **overrides: Any) -> None:
        given: object = overrides.pop("async_openai_client", config)  # v0.3's first argument
        if given is not None and not isinstance(given, ApoConfig):
            why = (
                "no client is needed, models are asked through the gateway: name them in `models=`, or by URL, such as "
                'Apo(gradient_model="https://api.openai.com/v1#gpt-5-mini")'
            )
            raise BadValue("async_openai_client", given, why=why)
        self.config = replace(config or ApoConfig(), **overrides)

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """What the search takes at least and at most."""
        return apo_plan(self.config, tasks, budget) if self.needs_tasks else offline_plan(self.config)

    @property
    def needs_tasks(self) -> bool:
        """Whether there is nothing to do without training tasks."""
        return self.config.from_log is None

    @property
    def needs(self) -> tuple[str, ...]:
        """What pre-flight looks for in the first rollout."""
        return ("rewards",) if self.needs_tasks else ()

    async def run(self, run: Run) -> None:
        """Search until the rounds are over, the budget is spent or somebody asks to stop; then examine the best."""
        if not self.needs_tasks:
            await offline(run, self.config)
            return
        config, search = self.config, await begun(run, self.config, name=self.name)
        run, base, board, val, nursery = search.run, search.base, search.board, search.val, search.nursery
        beam = Beam(run, config, base, board, search.purse)

        if config.run_initial_validation:
            await board.evaluate(base, val)
        best, ended = base, "all rounds were done"
        train_batches = batches(search.train, config.gradient_batch_size, run.rng("train"))
        val_batches = batches(val, config.val_batch_size, run.rng("val"))
        for step in range(1, config.beam_rounds + 1):
            batch = next(val_batches)
            await board.evaluate(base, batch)
            if step == 1:  # later a batch may have more of what fails now and then
                board.insist(base, val if config.run_initial_validation else batch, share=config.min_scored)
            if (why := await beam.stops(step, batch, val)) is not None:
                ended = why
                break

            parents = beam.parents()
            grown = await nursery.expand(step, [(parent, next(train_batches)) for parent in parents])
            born = [candidate for candidate in grown if candidate is not None]
            await together(board.evaluate(candidate, batch) for candidate in (*beam.held, *born))
            leader = await beam.select(step, born, batch)
            await board.evaluate(leader, val)
            ahead = board.pairs(best, leader, val)
            if leader is not best and ahead.share >= config.min_scored and ahead.gain > 0:
                best = leader
            await beam.log(step, best, born, nursery.rejected, val)

        run.result |= {"rounds": beam.rounds, "ended": ended} | nursery.told
        self._best = await conclude(run, board, base, best, val, repeat=config.repeat, share=config.min_scored)
