"""What a fork's declared change may alter, taken out of its requests: what is left can be compared."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

from agl_core.events import Message, ModelCall, Sampling

__all__ = ["Form", "as_it_is", "without_instructions", "without_model", "without_opening"]

Form = Callable[[ModelCall], ModelCall]
"""What is left of a request."""


def as_it_is(call: ModelCall) -> ModelCall:
    """All of it."""
    return call


def without_instructions(call: ModelCall) -> ModelCall:
    """Without what the system says, wherever it says it: a prompt was changed that agents have as instructions."""
    return replace(call, messages=tuple(_blank(one) if one.role in _SYSTEM else one for one in call.messages))


def without_opening(call: ModelCall) -> ModelCall:
    """Without all that is said before the model first speaks: a prompt was changed, whoever says it."""
    first = next((place for place, one in enumerate(call.messages) if one.role == "assistant"), len(call.messages))
    opening = tuple(_blank(one) for one in call.messages[:first])
    return replace(call, messages=opening + call.messages[first:])


def without_model(call: ModelCall) -> ModelCall:
    """Without the model's name, and how it is sampled: another model was put in its place."""
    return replace(call, model="", sampling=Sampling())


_SYSTEM = ("system", "developer")


def _blank(message: Message) -> Message:
    return Message(role=message.role)
