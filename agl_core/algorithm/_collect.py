"""The algorithm that learns nothing yet: it leaves rollouts in the log as one that learns would have had them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agl_core.algorithm._protocol import FastAlgorithm
from agl_core.errors import BadValue
from agl_core.run import Budget, Estimate, Plan, Planned, Run

__all__ = ["Collect", "CollectConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class CollectConfig:
    """How rollouts are collected."""

    samples: int = 4
    """Of each task, one group: they are compared with each other."""
    temperature: float = 1.0
    """At which agents sample that ask for none; at 0 the samples of a task are all the same."""

    def __post_init__(self) -> None:
        if self.samples < 1:
            raise BadValue("samples", self.samples, why="it must be 1 or more")
        if not self.temperature >= 0:
            raise BadValue("temperature", self.temperature, why="it must be 0 or more")


class Collect(FastAlgorithm):
    """Each training task `samples` times, in one group, with the sampling of training; and nothing else."""

    name = "collect"

    def __init__(self, config: CollectConfig | None = None, **overrides: float) -> None:
        self.config = config or CollectConfig(**overrides)  # type: ignore[arg-type]  # its fields are numbers

    def plan(self, tasks: Mapping[str, int], budget: Budget) -> Plan:
        """Each task, `samples` times."""
        rollouts = self.config.samples * tasks.get("train", 0)
        return Plan(lines=(Planned.exactly("train", rollouts=rollouts),))

    async def run(self, run: Run) -> None:
        """Hand all of it out, wait for it, and say what there is to learn from."""
        samples, sampling = self.config.samples, {"temperature": self.config.temperature}
        outcomes = await run.rollouts(run.train, repeat=samples, label="train", sampling=sampling)
        rewards = [one.reward for one in outcomes if one.mask is None and one.reward is not None]
        failed = sum(one.status != "succeeded" for one in outcomes)
        run.log(step=0, **{"train/failed": failed, "train/scored": len(rewards)})
        run.result |= {"rollouts": len(outcomes), "groups": len(run.train), "scored": len(rewards)}
        if rewards:
            run.log(step=0, **{"train/reward": sum(rewards) / len(rewards)})
            run.result["train"] = Estimate.of(rewards).to_json()
