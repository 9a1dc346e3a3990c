"""What each framework is given to do: a question that wants one tool, and a model that knows what to say."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from pydantic import BaseModel

from agl_core.events import ToolCall
from agl_core.testing import Answer, ScriptedModel

__all__ = ["CALL", "DONE", "KEY", "QUESTION", "SUM", "SYSTEM", "TWICE", "Story", "Sum", "add", "called"]

KEY = "sk-a-key-that-opens-nothing"
SYSTEM = "You add numbers, and say “it is” before each sum."
QUESTION = "How much is 40 + 2?"
DONE = "It is 42."


def add(a: int, b: int) -> int:
    """The sum of two numbers.

    Args:
        a: One of them.
        b: The other.

    """
    return a + b


def called(tool: str, *, number: int = 1, **arguments: object) -> Answer:
    """The model's wish for a tool."""
    return Answer(tool_calls=(ToolCall(id=f"call_{number}", name=tool, arguments=json.dumps(arguments)),))


class Sum(BaseModel):
    """What is to come back, where an answer must have a form."""

    total: int
    is_even: bool = True


SUM = (Sum(total=42).model_dump_json(),)
CALL = called("add", a=40, b=2)
_AGAIN = called("add", number=2, a=2, b=40)
TWICE = (Answer(text="I add, and check.", tool_calls=(*CALL.tool_calls, *_AGAIN.tool_calls)), DONE)
"""Two wishes at once, and a word beside them."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """An agent from its question to its end."""

    name: str
    tell: Callable[[ScriptedModel], object]
    """Runs it, and gives what the agent said last."""
    answers: Sequence[Answer | str] = (CALL, DONE)
    """Of the model, in their order."""
    ends: str = "42"
    """What its last word holds, if it came to its end."""
