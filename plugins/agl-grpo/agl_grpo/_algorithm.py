"""GRPO on agents: DeepSeekMath (arXiv 2402.03300), section 4.1, on trajectories of several calls."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_core.errors import NoTrainingData
from agl_grpo._collecting import collecting
from agl_grpo._config import GrpoConfig
from agl_grpo._ending import Ending
from agl_grpo._groups import rewarded, spread
from agl_grpo._plan import plan
from agl_grpo._policy import Policy

if TYPE_CHECKING:
    from agl_core.run import Budget, Plan, Run
    from agl_core.store import Outcome

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

    With several `policies`, each has this loss on its own calls, and learns beside the others from the same rollouts.
    With `groups_in_flight`, a round is the groups that were complete first, and pi_old may be several versions.
    """

    name = "grpo"
    needs = ("calls", "rewards", "token_ids", "groups", "exploration")
    """What pre-flight looks for in the first rollout."""
    not_from_logs = (
        "its ratios are to the weights that sampled, and a log does not say of version 0 of a run which weights these "
        "were, so that nobody can tell whether they are those that are loaded"
    )

    def __init__(self, config: GrpoConfig | None = None, **overrides: Any) -> None:
        self.config = replace(config or GrpoConfig(), **overrides)

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """What it will hand out."""
        return plan(self.config, tasks, budget)

    async def run(self, run: Run) -> None:
        """Train until `steps` are done, then open the sealed split and compare the first policies with the last.

        It ends earlier, and in the same order, when it is asked to stop and when its budget has no room for more.
        """
        if not run.train:
            raise NoTrainingData("GRPO has no task to sample")
        config = self.config
        sampling = {"temperature": config.temperature, "max_tokens": config.max_tokens}
        rounds, ending = collecting(run, config, sampling), Ending(run, config)
        trained = config.trained
        policies = [Policy(run, own, is_alone=len(trained) == 1) for own in trained]

        rollouts = 0
        for step in range(1, config.steps + 1):
            if why := await ending.why(step, rollouts):
                run.result["stopped"] = f"before step {step} of {config.steps}: {why}"
                await rounds.call_off(why)
                break
            collected = await rounds.collect()
            metrics = spread(collected.rewarded(at_least=config.smallest_group)) | dict(collected.metrics)
            for policy in policies:
                metrics |= await policy.learn(collected, step)
            rollouts += len(collected.outcomes)

            if run.val and config.eval_every and step % config.eval_every == 0:
                outcomes = await run.rollouts(run.val, repeat=1, mode="val", label="val", sampling=sampling)
                metrics |= _validation(outcomes)
                rollouts += len(outcomes)
            run.log(step=step, **metrics)
            run.log_time(step=step)

        for policy in policies:
            await policy.keep()
        if len(policies) == 1:
            (one,) = policies
            await run.examine(before=one.first, after=one.weights, policy=one.name, sampling=sampling)
        else:
            first, last = ({one.name: getattr(one, side) for one in policies} for side in ("first", "weights"))
            await run.examine(before=first, after=last, sampling=sampling)


def _validation(outcomes: Sequence[Outcome]) -> dict[str, float]:
    rewards = [reward for _, _, reward in rewarded(outcomes)]
    return {"val/reward": fmean(rewards), "val/n": len(rewards)} if rewards else {"val/n": 0}
