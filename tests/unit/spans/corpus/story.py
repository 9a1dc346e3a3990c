"""What each instrumentation is given to see: a question that wants one tool, asked by hand of OpenAI's library."""

from __future__ import annotations

import json
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

from opentelemetry.sdk.trace import TracerProvider

from agl_core.events import ToolCall
from agl_core.testing import Answer, ScriptedModel

__all__ = [
    "ADD",
    "ANSWERS",
    "KEY",
    "QUESTION",
    "SYSTEM",
    "Story",
    "add",
    "chat",
    "handing_over",
    "responses",
    "streamed",
]

KEY = "a-key-that-opens-nothing"
SYSTEM = "You add numbers."
QUESTION = "How much is 40 + 2?"
ANSWERS = (
    Answer(tool_calls=(ToolCall(id="call_1", name="add", arguments='{"a": 40, "b": 2}'),)),
    Answer(text="It is 42."),
)
"""Of the model, in their order."""
ADD = {
    "name": "add",
    "description": "The sum of two numbers.",
    "parameters": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An instrumentation, and what it watches."""

    name: str
    packages: tuple[str, ...]
    tell: Callable[[TracerProvider, ScriptedModel], object]
    answers: tuple[Answer, ...] = ANSWERS
    """Of the model, in their order."""
    environment: dict[str, str] = field(default_factory=dict)
    """What the instrumentation reads when it is imported."""


def handing_over(agent: str) -> tuple[Answer, ...]:
    """The answers of a model that has another agent do it."""
    return (Answer(tool_calls=(ToolCall(id="call_0", name=f"transfer_to_{agent}", arguments="{}"),)), *ANSWERS)


def add(a: int, b: int) -> int:
    """The sum of two numbers."""
    return a + b


def chat(model: ScriptedModel) -> None:
    """Both turns, each answer in one piece."""
    with _client(model) as client:
        messages: list[Any] = _began()
        for _ in ANSWERS:
            said = client.chat.completions.create(model="policy", messages=messages, tools=_tools(), temperature=0.5)
            messages += _went_on(said.choices[0].message.model_dump(exclude_none=True))


def streamed(model: ScriptedModel) -> None:
    """The first turn, in pieces."""
    options: Any = {"include_usage": True}
    with _client(model) as client:
        for _piece in client.chat.completions.create(
            model="policy", messages=_began(), tools=_tools(), stream=True, stream_options=options
        ):
            pass


def responses(model: ScriptedModel) -> None:
    """Both turns by the newer route."""
    tools: Any = [{"type": "function", **ADD, "strict": False}]
    with _client(model) as client:
        items: list[Any] = [{"role": "user", "content": QUESTION}]
        for _ in ANSWERS:
            said = client.responses.create(model="policy", instructions=SYSTEM, input=items, tools=tools)
            items += [one.model_dump(exclude_none=True) for one in said.output]
            items.append({"type": "function_call_output", "call_id": "call_1", "output": "42"})


def _client(model: ScriptedModel) -> Any:
    import openai

    return openai.OpenAI(base_url=model.url, api_key=KEY, max_retries=0)


def _tools() -> Any:
    return [{"type": "function", "function": ADD}]


def _began() -> Any:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def _went_on(said: dict[str, Any]) -> list[dict[str, Any]]:
    ran = [
        {"role": "tool", "tool_call_id": call["id"], "content": str(add(**json.loads(call["function"]["arguments"])))}
        for call in said.get("tool_calls", ())
    ]
    return [said, *ran]
