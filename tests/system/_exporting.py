"""A log of an agent that uses a tool: real calls through the gateway, with the tokens of a scripted model."""

from __future__ import annotations

import json
from itertools import count
from pathlib import Path
from typing import Any

import httpx

import agl_core as agl
from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, ScriptedModel

__all__ = ["TASKS", "make_log", "written"]

TASKS = [{"question": f"{number} + {number + 1}?", "answer": 2 * number + 1} for number in range(3)]
REPEAT = 4
TOOLS = [
    {
        "type": "function",
        "function": {
            "name": "add",
            "description": "Add two numbers.",
            "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
        },
    }
]


@agl.rollout
async def solve(task: dict[str, Any], llm: agl.LLM) -> float:
    """Asks, has the tool run, and asks again; right is 1, wrong is 0."""
    messages: list[dict[str, Any]] = [
        {"role": "system", "content": "You add."},
        {"role": "user", "content": task["question"]},
    ]
    headers = {"authorization": f"Bearer {llm.api_key}"}
    async with httpx.AsyncClient(base_url=llm.endpoint, headers=headers) as client:
        while True:
            body = {
                "model": llm.model,
                "messages": messages,
                "tools": TOOLS,
                "return_token_ids": True,
                "logprobs": True,
            }
            said = (await client.post("/chat/completions", json=body)).json()["choices"][0]["message"]
            messages.append(said)
            if not said.get("tool_calls"):
                return float(str(task["answer"]) in said["content"])
            for call in said["tool_calls"]:
                given = json.loads(call["function"]["arguments"])
                content = str(given["a"] + given["b"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": content})


def make_log(path: Path) -> Path:
    """A run over the tasks, several times each: one answer in three is that it does not know."""
    turns = count()

    def script(asked: Asked) -> Answer:
        if asked.messages[-1]["role"] == "tool":
            return Answer(text="I do not know." if next(turns) % 3 == 2 else f"It is {asked.last}.")
        first, second = (int(number) for number in asked.last.rstrip("?").split("+"))
        arguments = json.dumps({"a": first, "b": second})
        return Answer(tool_calls=(ToolCall(id=f"call-{first}", name="add", arguments=arguments),))

    with ScriptedModel(script) as model:
        trainer = agl.Trainer(
            algorithm=agl.Baseline(n_epochs=REPEAT),
            initial_resources={"llm": agl.LLM(endpoint=model.url, model="policy")},
            store=str(path),
        )
        trainer.fit(solve, train_dataset=TASKS, val_dataset=[{"question": "9 + 9?", "answer": 18}])
    return path


def written(path: Path) -> list[dict[str, Any]]:
    """Lines of JSON."""
    return [json.loads(line) for line in path.read_text().splitlines()]
