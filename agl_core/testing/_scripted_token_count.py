"""A scripted model's count of the tokens of an Anthropic message that is not sent."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.testing._scripted_faults import Failing
from agl_core.testing._scripted_messages import chat, refused
from agl_core.testing._scripted_values import Said

__all__ = ["body", "events", "failure", "prompts", "refused"]


def prompts(asked: Mapping[str, Any]) -> list[list[int]]:
    """The chat as tokens; `ValueError` says what is wrong with it."""
    return [chat(asked)]


def body(said: Said) -> dict[str, Any]:
    """The count; what the script said is not asked for."""
    return {"input_tokens": len(said.prompts[0])}


def events(_said: Said) -> None:
    """A count has no stream."""


def failure(_said: Said, _fault: Failing) -> Iterator[bytes]:
    """Nor one to fail in."""
    yield from ()
