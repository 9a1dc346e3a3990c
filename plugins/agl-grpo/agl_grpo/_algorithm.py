"""GRPO on agents: DeepSeekMath (arXiv 2402.03300), section 4.1, on trajectories of several calls."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_core.errors import MissingExtra, NoTrainingData, TokenIdsMissing
from agl_grpo._config import GrpoConfig
from agl_grpo._groups import groups, hands, rewarded, round_of, spread
from agl_grpo._health import health

if TYPE_CHECKING:
    from agl_core.adapter import Adapted
    from agl_core.run import Run
    from agl_core.store import Outcome
    from agl_grpo._batch import Row
    from agl_grpo._learner import Learner

__all__ = ["Grpo", "GrpoConfig"]


class Grpo:
    """Group-relative policy optimisation.

    For each question q the policy pi_theta answers G times, o_1 ... o_G, and earns r_1 ... r_G. An answer here is a
    whole rollout: every token the policy sampled in it, in as many calls as the agent made, and no other token. With

        A_i   = (r_i - mean(r)) / std(r)
        rho_t = pi_theta(o_t | q, o_<t) / pi_old(o_t | q, o_<t)

    the update minimises, over the N rollouts of a round,

        -1/N sum_i 1/|o_i| sum_t  min(rho_t A_i, clip(rho_t, 1 - eps, 1 + eps) A_i) - beta KL_t(pi_theta, pi_ref)

    where pi_old are the log-probabilities recorded when the tokens were sampled, pi_ref is the first checkpoint and KL
    the k3 estimator. Rollouts that failed for a reason outside the policy are in no sum and no mean, and N counts those
    that are: all members of groups of two or more, with rows or without.

    A_i is what the rule `group_relative` of the adapter `rewards` says that each call of rollout i earned. Another
    `credit` puts its own number in that place: with A_c for what call c earned,

        -1/N sum_i 1/|o_i| sum_c sum_{t in c}  min(rho_t A_c, clip(rho_t, 1 - eps, 1 + eps) A_c) - ...

    with the same N and |o_i|. Nothing is subtracted from such a credit: where the rule has no baseline, neither has the
    loss (`discounted` and `per_call` are REINFORCE with clipped ratios).
    """

    name = "grpo"
    needs = ("calls", "rewards", "token_ids", "groups", "exploration")
    """What pre-flight looks for in the first rollout."""

    def __init__(self, config: GrpoConfig | None = None, **overrides: Any) -> None:
        self.config = replace(config or GrpoConfig(), **overrides)

    async def run(self, run: Run) -> None:
        """Train until `steps` are done, then open the sealed split and compare the first policy with the last."""
        if not run.train:
            raise NoTrainingData("GRPO has no task to sample")
        config = self.config
        sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
        first = theta = run.policy(config.policy)
        learner = _learner(config, run)
        run.adapter("triplets", **self._rows_of(run))  # a mistake in `credit` costs no rollout

        drawn = hands(run.train, config.tasks_per_step, run.rng("tasks"))
        for step in range(1, config.steps + 1):
            outcomes = await run.rollouts(next(drawn), repeat=config.group_size, label="train", sampling=sampling)
            batch = run.adapt(outcomes, "triplets", **self._rows_of(run))
            _insist_on_ids(batch, config.policy)
            grouped = groups(outcomes, at_least=config.smallest_group)
            learnt = round_of(grouped, batch.rows, leave_out_silent=config.zero_variance == "leave_out")
            rows = [row for row in learnt.rows if self._teaches(row)]
            metrics = spread(grouped) | health(batch)
            if config.zero_variance == "leave_out":
                metrics["group/left_out"] = learnt.left_out

            if rows:
                keep = step % config.checkpoint_every == 0 or step == config.steps
                updated = await run.update("update", learner.update, theta, rows, learnt.rollouts, step, keep=keep)
                theta = updated.checkpoint
                await run.serve(theta, policy=config.policy)
                metrics |= updated.result

            if run.val and config.eval_every and step % config.eval_every == 0:
                outcomes = await run.rollouts(run.val, repeat=1, mode="val", label="val", sampling=sampling)
                metrics |= _validation(outcomes)
            run.log(step=step, **metrics)

        await run.examine(before=first, after=theta, policy=config.policy, sampling=sampling)

    def _rows_of(self, run: Run) -> dict[str, Any]:
        # Not counted here: another algorithm may have trained the weights before.
        version = run.version(self.config.policy)
        own = {"agent": self.config.agent, "credit": self.config.crediting, "current_version": version}
        return own | self.config.rows

    def _teaches(self, row: Row) -> bool:
        # Without a divergence to weigh, the loss of calls that earned nothing is 0, and so is its gradient.
        return any(row.credits) or self.config.kl > 0


def _validation(outcomes: Sequence[Outcome]) -> dict[str, float]:
    rewards = [reward for _, _, reward in rewarded(outcomes)]
    return {"val/reward": fmean(rewards), "val/n": len(rewards)} if rewards else {"val/n": 0}


def _insist_on_ids(batch: Adapted[Row], policy: str) -> None:
    """A model that never says what it sampled will not do so at the next step."""
    if not batch.rows and {dropped.reason for dropped in batch.dropped} == {"no_token_ids"}:
        raise TokenIdsMissing(policy)


def _learner(config: GrpoConfig, run: Run) -> Learner:
    try:
        from agl_grpo._learner import Learner
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "torch", install="pip install 'agl-grpo[torch]'") from None
    return Learner(config, reference=run.policy(config.policy), seed=run.seed, deterministic=run.deterministic)
