"""An agent that solves arithmetic word tasks with a calculator, written with the OpenAI SDK and nothing else.

`@agl.rollout` is all that it knows of the trainer: without it, the agent runs against any OpenAI-compatible server.
"""

from __future__ import annotations

import ast
import asyncio
import json
import operator
import re
from collections import deque
from collections.abc import Callable, Mapping
from fractions import Fraction
from typing import Any, Protocol
from weakref import WeakKeyDictionary

from openai import AsyncOpenAI

import agl_core as agl

__all__ = ["TOOLS", "TURNS", "calculator", "calculator_agent", "reward", "streaming_calculator_agent"]

TURNS = 3
TOOLS: list[Any] = [
    {
        "type": "function",
        "function": {
            "name": "calculator",
            "description": "Works out an arithmetic expression.",
            "parameters": {
                "type": "object",
                "properties": {"expression": {"type": "string", "description": "For example: (3 + 4) * 2"}},
                "required": ["expression"],
            },
        },
    }
]


@agl.rollout
async def calculator_agent(task: Mapping[str, Any], llm: agl.LLM) -> float:
    """Ask, run the tool calls, ask again; the first reply without a tool call is the answer."""
    return await _solved(task, llm, _whole)


@agl.rollout
async def streaming_calculator_agent(task: Mapping[str, Any], llm: agl.LLM) -> float:
    """The same agent, taking each reply as it is written."""
    return await _solved(task, llm, _streamed)


async def _solved(task: Mapping[str, Any], llm: agl.LLM, ask: _Ask) -> float:
    model = _client().with_options(base_url=llm.endpoint, api_key=llm.api_key or "none")
    messages: list[Any] = [{"role": "user", "content": task["question"]}]
    for _ in range(TURNS):
        message = await ask(model, model=llm.model, messages=messages, tools=TOOLS, **llm.sampling_parameters)
        messages.append(message)
        if not message.get("tool_calls"):
            break
        messages += [
            {"role": "tool", "tool_call_id": call["id"], "content": _used(call)} for call in message["tool_calls"]
        ]
    return reward(task, messages)


class _Ask(Protocol):
    """A way to ask for a reply."""

    async def __call__(self, client: AsyncOpenAI, /, **asked: Any) -> dict[str, Any]: ...


async def _whole(client: AsyncOpenAI, /, **asked: Any) -> dict[str, Any]:
    completion = await client.chat.completions.create(**asked)
    message: dict[str, Any] = completion.choices[0].message.to_dict()
    return message


async def _streamed(client: AsyncOpenAI, /, **asked: Any) -> dict[str, Any]:
    content = ""
    calls: dict[int, dict[str, Any]] = {}
    async for chunk in await client.chat.completions.create(**asked, stream=True):
        for choice in chunk.choices:
            content += choice.delta.content or ""
            for piece in choice.delta.tool_calls or ():
                call = calls.setdefault(piece.index, {"type": "function", "function": {"name": "", "arguments": ""}})
                call["id"] = piece.id or call.get("id")
                if piece.function:
                    call["function"]["name"] += piece.function.name or ""
                    call["function"]["arguments"] += piece.function.arguments or ""
    message: dict[str, Any] = {"role": "assistant", "content": content or None}
    return message | ({"tool_calls": [calls[index] for index in sorted(calls)]} if calls else {})


def reward(task: Mapping[str, Any], messages: list[Any]) -> float:
    """1.0 when the last number of the closing reply is the answer, else 0.0.

    A task marked `partial` gives a beginner something to climb: 0.2 for a call that the calculator could work out, and
    0.2 more when its result was the answer.
    """
    text = messages[-1].get("content") or "" if messages[-1]["role"] == "assistant" else ""
    if not messages[-1].get("tool_calls") and _last_number(text) == task["answer"]:
        return 1.0
    if not task.get("partial"):
        return 0.0
    results = [_last_number(message["content"]) for message in messages if message["role"] == "tool"]
    return 0.2 * any(result is not None for result in results) + 0.2 * (task["answer"] in results)


def calculator(expression: str) -> str:
    """The value as text, exact where it is whole; what cannot be worked out comes back as `error: ...`.

    Nothing is executed: the text is parsed, and only numbers, + - * / and parentheses are walked. There are no powers
    and the text is short, so neither is any number on the way large.
    """
    if len(expression) > _LONGEST:
        return f"error: longer than {_LONGEST} characters"
    try:
        value = _value(ast.parse(expression.strip(), mode="eval").body)
        return str(value.numerator) if value.denominator == 1 else f"{float(value):.6g}"
    except ZeroDivisionError:
        return "error: division by zero"
    except (SyntaxError, ValueError, ArithmeticError, RecursionError, MemoryError):
        return "error: not an arithmetic expression"


_LONGEST = 100
_OPERATIONS: dict[type[ast.AST], Callable[..., Fraction]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.truediv,
    ast.UAdd: operator.pos,
    ast.USub: operator.neg,
}


def _value(node: ast.AST) -> Fraction:
    match node:
        # True is an int, and no number of anybody's.
        case ast.Constant(value=int() | float() as number) if not isinstance(number, bool):
            return Fraction(number)
        case ast.BinOp(left=left, op=op, right=right) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(left), _value(right))
        case ast.UnaryOp(op=op, operand=operand) if type(op) in _OPERATIONS:
            return _OPERATIONS[type(op)](_value(operand))
    raise ValueError(type(node).__name__)


def _used(call: Mapping[str, Any]) -> str:
    """What the tool says; a call it does not understand is an answer too, so that the model can try again."""
    name = call["function"]["name"]
    if name != "calculator":
        return f"error: there is no tool {name!r}"
    try:
        expression = json.loads(call["function"]["arguments"])["expression"]
    except (ValueError, KeyError, TypeError):
        return "error: the argument must be an expression"
    return calculator(str(expression))


def _last_number(text: str) -> float | None:
    found = re.findall(r"(?<![\d.])-?\d+(?:,\d{3})*(?:\.\d+)?", text)
    return float(found[-1].replace(",", "")) if found and not text.startswith("error") else None


_POOLS = 8
_CLIENTS: WeakKeyDictionary[asyncio.AbstractEventLoop, deque[AsyncOpenAI]] = WeakKeyDictionary()


def _client() -> AsyncOpenAI:
    """One of a few for each event loop: a new one costs 20 ms for its TLS context, and connections belong to a loop.

    Not one for all: with every request a pool looks at each of its idle connections, and a wave of 128 would look
    16384 times before anybody is answered.
    """
    loop = asyncio.get_running_loop()
    if loop not in _CLIENTS:
        _CLIENTS[loop] = deque(AsyncOpenAI(api_key="none", base_url="http://127.0.0.1") for _ in range(_POOLS))
    _CLIENTS[loop].rotate()
    return _CLIENTS[loop][0]
