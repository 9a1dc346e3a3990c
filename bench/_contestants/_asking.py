"""An agent that asks a few times and goes on from each answer, as a run's `module:name` finds it."""

from __future__ import annotations

from typing import Any

import httpx

import agl_core as agl
from bench._contestants._rollouts import TURNS
from bench._workload import SYSTEM

__all__ = ["solve"]


@agl.rollout
async def solve(task: dict[str, Any], llm: agl.LLM) -> float:
    """Its reward is in its answers."""
    messages = [{"role": "system", "content": SYSTEM}, {"role": "user", "content": task["question"]}]
    headers = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=headers) as client:
        for _ in range(TURNS):
            asked = {"model": llm.model, "messages": messages}
            answer = (await client.post("/chat/completions", json=asked)).raise_for_status().json()
            messages += [answer["choices"][0]["message"], {"role": "user", "content": "And then?"}]
    return float(len(messages))
