"""The algorithm that learns nothing: it runs the agent over its tasks and says how well that went."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agl_core.algorithm._protocol import FastAlgorithm
from agl_core.run import Budget, Estimate, Plan, Planned, Run

__all__ = ["Baseline", "BaselineConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class BaselineConfig:
    """How often the agent runs over its tasks."""

    n_epochs: int = 1
    """Times over the training tasks, and over the validation tasks."""


class Baseline(FastAlgorithm):
    """Rollouts and their mean reward, for every task of both splits."""

    name = "baseline"

    def __init__(self, config: BaselineConfig | None = None, **overrides: int) -> None:
        self.config = config or BaselineConfig(**overrides)

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """Each task of both splits, `n_epochs` times."""
        epochs = self.config.n_epochs
        splits = [split for split in ("train", "val") if tasks.get(split)]
        return Plan(lines=tuple(Planned.exactly(split, rollouts=epochs * tasks[split]) for split in splits))

    async def run(self, run: Run) -> None:
        """Run each split `n_epochs` times, or until somebody asks it to stop."""
        for epoch in range(self.config.n_epochs):
            if epoch and not await run.goes_on():
                break
            for split, tasks in (("train", run.train), ("val", run.val)):
                if not tasks:
                    continue
                outcomes = await run.rollouts(tasks, mode=split, label=split)
                counting = [outcome for outcome in outcomes if outcome.mask is None]
                rewards = [outcome.reward for outcome in counting if outcome.reward is not None]
                failed = sum(outcome.status != "succeeded" for outcome in outcomes)
                run.log(step=epoch, **{f"{split}/failed": failed, f"{split}/scored": len(rewards)})
                if rewards:
                    run.log(step=epoch, **{f"{split}/reward": sum(rewards) / len(rewards)})
                    run.result[split] = Estimate.of(rewards).to_json()
