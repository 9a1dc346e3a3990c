"""What spans say that emitters wrote: rewards, messages, objects. Whoever sent the span, and whichever kind it is."""

from __future__ import annotations

import base64
import binascii
import json
from collections.abc import Mapping, Sequence
from typing import Any, TypeVar

from agl_core.emit.semconv import LightningSpanAttributes
from agl_core.events import RewardGiven
from agl_core.spans import Score, rewards

__all__ = [
    "find_final_reward",
    "find_reward_spans",
    "get_message_value",
    "get_object_value",
    "get_reward_value",
    "get_rewards_from_span",
    "is_reward_span",
]

SpanT = TypeVar("SpanT")


def find_final_reward(spans: Sequence[Any]) -> float | None:
    """The reward of the last span that has one; None when none does.

    It is what the spans say. What a rollout is trained on is `Outcome.reward`, which knows of rewards that came later,
    and of those that were withdrawn.
    """
    return next((value for span in reversed(spans) if (value := get_reward_value(span)) is not None), None)


def find_reward_spans(spans: Sequence[SpanT]) -> list[SpanT]:
    """Those that have a reward."""
    return [span for span in spans if is_reward_span(span)]


def is_reward_span(span: Any) -> bool:
    """Whether it has a reward."""
    return get_reward_value(span) is not None


def get_reward_value(span: Any) -> float | None:
    """The reward that trains: the first. None where there is none, or none that is a finite number."""
    return next((value for is_first, _, value in rewards.said(_attributes(span)) if is_first), None)


def get_rewards_from_span(span: Any) -> list[Score]:
    """Every dimension, with its `name` and its `value`, the one that trains first; v0.2's shape is read too."""
    return [Score(name=name, value=value) for _, name, value in rewards.said(_attributes(span))]


def get_message_value(span: Any) -> str | None:
    """The text that `emit_message` left; None where there is none."""
    body = _attributes(span).get(LightningSpanAttributes.MESSAGE_BODY.value)
    return body if isinstance(body, str) else None


def get_object_value(span: Any) -> Any:
    """The value that `emit_object` left; None where there is none, or none that can be read."""
    found = _attributes(span)
    told = found.get(LightningSpanAttributes.OBJECT_JSON.value)
    if isinstance(told, str):
        try:
            return json.loads(told)
        except (ValueError, RecursionError):
            return None
    return _literal(found.get(LightningSpanAttributes.OBJECT_TYPE.value), found.get(_LITERAL))


_LITERAL = LightningSpanAttributes.OBJECT_LITERAL.value


def _literal(kind: Any, literal: Any) -> Any:
    if not isinstance(literal, str):
        return literal
    try:
        match kind:  # v0.3 writes every literal as text
            case "bytes":
                return base64.b64decode(literal, validate=True)
            case "int":
                return int(literal)
            case "float":
                return float(literal)
            case "bool":
                return literal.lower() == "true"
            case _:
                return literal
    except (ValueError, binascii.Error):
        return None


def _attributes(span: Any) -> Mapping[str, Any]:
    if isinstance(span, RewardGiven):
        return rewards.shape([span])
    found = getattr(span, "attributes", None)
    return found if isinstance(found, Mapping) else {}
