"""Rejection-sampling fine-tuning: STaR (arXiv 2203.14465), RAFT (2304.06767), RFT (2308.01825), on agents."""

from __future__ import annotations

import logging
from collections import Counter
from dataclasses import replace
from statistics import fmean
from typing import TYPE_CHECKING, Any

from agl_core.errors import MissingExtra
from agl_core.run import Plan, Planned
from agl_sft._config import SftConfig
from agl_sft._ending import Ending
from agl_sft._lessons import Lessons, Logged, Sampled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agl_core.engine import Checkpoint
    from agl_core.run import Budget, Examination, Run
    from agl_sft._tuner import Tuner

__all__ = ["Sft", "SftConfig"]

_log = logging.getLogger(__name__)


class Sft:
    """Rejection-sampling fine-tuning.

    In each round the policy pi_theta does every task x K times, y_1 ... y_K, and earns r(x, y_k). Of these rollouts
    some are chosen, by nothing but what they earned, and the policy is tuned to say again what it said in them:

        D = { (x, y_k) : y_k is among the best of x }      `best_of_n`
            { (x, y_k) : r(x, y_k) >= tau }                `threshold`
            { (x, y_k) : r(x, y_k) > 0 }                   `weighted`

        L = - 1/N sum_{(x, y) in D} w(x, y) sum_t log pi_theta(y_t | x, y_<t)

    where t runs over the tokens that the policy sampled, in as many calls as the agent made, and over no other token;
    N is how many those are, and w is 1, or in `weighted` what the rollout earned, over its mean. A rollout that is
    masked, or that nobody scored, is in no D. The next round samples from the policy that this leaves, and begins with
    a new optimiser.

    With `from_log`, D is chosen among the rollouts of that log, and there is one round.
    """

    name = "sft"
    learns_from_logs = True

    def __init__(self, config: SftConfig | None = None, **overrides: Any) -> None:
        self.config = replace(config or SftConfig(), **overrides)

    @property
    def needs_tasks(self) -> bool:
        """Whether there is nothing to do without training tasks."""
        return self.config.from_log is None

    @property
    def needs(self) -> tuple[str, ...]:
        """What pre-flight looks for in the first rollout."""
        return ("calls", "rewards", "token_ids", "exploration") if self.needs_tasks else ()

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """Every round of every task; what is chosen of it costs no rollout."""
        config = self.config
        count = tasks["train"] if self.needs_tasks else 0
        rounds = config.rounds if self.needs_tasks else 1
        a_round = config.a_round(count)
        val = tasks["val"] * (rounds // config.eval_every) if config.eval_every else 0
        small = budget.calls is not None and budget.calls < a_round
        return Plan(
            lines=(
                Planned.exactly(f"train: {rounds} round(s) of {a_round}", rollouts=rounds * a_round),
                Planned.exactly("val", rollouts=val),
                Planned(what="test: both sides, if anything was learnt", rollouts=(0, 2 * tasks["test"])),
            ),
            too_small=f"a round alone is {a_round} rollouts" if small else None,
        )

    async def run(self, run: Run) -> None:
        """Collect, choose and tune, round by round; then open the sealed split and compare the first with the last.

        It ends earlier, and in the same order, when it is asked to stop and when its budget has no room for more.
        """
        config = self.config
        first = theta = run.policy(config.policy)
        lessons, ending = self._lessons(run, first), Ending(run, config.a_round(len(run.train)))
        chosen, of, dropped = 0, 0, Counter[str]()

        for number in range(1, lessons.rounds + 1):
            if why := await ending.why(of):
                run.result["stopped"] = f"before round {number} of {lessons.rounds}: {why}"
                break
            lesson = await lessons.next()
            metrics = dict(lesson.metrics)
            chosen, of, dropped = chosen + lesson.chosen, of + lesson.of, dropped + Counter(lesson.dropped)
            if lesson.chosen:
                updated = await run.update("tune", lesson.tune, theta, *lesson.arguments, number)
                theta = updated.checkpoint
                await self._publish(run, theta, f"round {number}: tuned on {lesson.chosen} of {lesson.of} rollouts")
                metrics |= updated.result
            else:
                _log.warning("round %d: nothing to learn from: %s", number, lesson.told)
            if run.val and config.eval_every and number % config.eval_every == 0:
                metrics |= await self._validate(run)
            run.log(step=number, **metrics)
            run.log_time(step=number)

        run.result |= {"rollouts": of, "chosen": chosen, "checkpoint": theta.digest}
        if theta == first:
            run.result |= {"verdict": "nothing learnt", "dropped": dict(sorted(dropped.items()))}
            return
        seen = await run.examine(before=first, after=theta, policy=config.policy, sampling=config.sampling)
        run.result["verdict"] = _verdict(seen)

    def _lessons(self, run: Run, first: Checkpoint) -> Lessons:
        tuner = _tuner(self.config, run, first)
        if self.config.from_log is not None:
            return Logged(self.config, run, tuner, first)
        return Sampled(self.config, run, tuner)

    async def _publish(self, run: Run, theta: Checkpoint, why: str) -> None:
        """A version of the policy, and of the resources that agents are given it by."""
        policy = self.config.policy
        version = await run.serve(theta, policy=policy)
        if run.resources is not None and policy in run.resources.resources:
            told = f"{why}; {policy}@{version} is {theta.digest}"
            await run.publish({policy: run.resources.resources[policy]}, why=told)

    async def _validate(self, run: Run) -> dict[str, float]:
        outcomes = await run.rollouts(run.val, mode="val", label="val", sampling=self.config.sampling)
        rewards = [one.reward for one in outcomes if one.mask is None and one.reward is not None]
        return {"val/reward": fmean(rewards), "val/n": len(rewards)} if rewards else {"val/n": 0}


def _verdict(seen: Examination | None) -> str:
    """What the sealed split says of the last policy beside the first; none of it is an error."""
    if seen is None:
        return "not examined: there are no test tasks"
    if not seen.difference.n:
        return "not examined: no test task counts on both sides"
    if seen.is_better:
        return "gain"
    return "loss" if seen.difference.ci95[1] < 0 else "no significant gain"


def _tuner(config: SftConfig, run: Run, first: Checkpoint) -> Tuner:
    try:
        from agl_sft._tuner import Tuner
    except ModuleNotFoundError as missing:
        raise MissingExtra(missing.name or "trl", install="pip install 'agl-sft[trl]'") from None
    return Tuner(config, first, seed=run.seed, deterministic=run.deterministic)
