"""An algorithm that says what it needs, and an agent that does as it is told: for tests of what stops a run."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import httpx

import agl_core as agl

EVERYTHING = ("calls", "rewards", "token_ids", "groups", "exploration")


@dataclass(frozen=True, slots=True, kw_only=True)
class Settings:
    """What a learning algorithm is told."""

    group_size: int = 2
    """Samples of each task."""
    temperature: float = 1.0
    """At which they are drawn."""
    rounds: int = 1
    """Times over the tasks."""


@dataclass
class Learner:
    """Rolls its tasks out in groups, and adapts nothing: what would stop it has stopped it before."""

    config: Settings = field(default_factory=Settings)
    needs: tuple[str, ...] = EVERYTHING
    name: str = "learner"

    async def run(self, run: agl.Run) -> None:
        """A group for each task."""
        for step in range(self.config.rounds):
            outcomes = await run.rollouts(
                run.train, repeat=self.config.group_size, sampling={"temperature": self.config.temperature}
            )
            run.log(step=step, rollouts=len(outcomes))
            run.result["rollouts"] = len(outcomes)


async def ask(url: str, key: str | None, model: str, **fields: Any) -> httpx.Response:
    """One model call, by an HTTP client."""
    body = {"model": model, "messages": [{"role": "user", "content": "2 + 2?"}], **fields}
    async with httpx.AsyncClient() as client:
        return await client.post(f"{url}/chat/completions", headers={"authorization": f"Bearer {key}"}, json=body)


@agl.rollout
async def sound(task: Any, llm: agl.LLM) -> float:
    """Asks the model where it is told to, and is rewarded for the task's own number."""
    reply = await ask(llm.endpoint, llm.api_key, llm.model, **llm.sampling_parameters)
    reply.raise_for_status()
    return float(task["n"])
