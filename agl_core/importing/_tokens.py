"""Token ids and log-probabilities, by the names that tracers have for them on a span."""

from __future__ import annotations

from array import array
from collections.abc import Mapping, Sequence
from typing import Any

from agl_core.spans._attributes import at, decoded, gathered, rows

__all__ = ["Tokens", "tokens"]

_OUTPUT = "agentlightning.operation.output"
_PROMPT = ("prompt_token_ids", f"{_OUTPUT}.prompt_token_ids", "agl.prompt_token_ids")
_RESPONSE = ("response_token_ids", f"{_OUTPUT}.response_token_ids", "agl.response_token_ids")
_LOGPROBS = ("logprobs.content", "agl.logprobs")

Tokens = tuple[tuple[int, ...], tuple[tuple[int, ...], ...], tuple[tuple[float, ...], ...]]
"""Of the prompt; of each answer; and how likely those of each answer were. What is missing is empty."""


def tokens(attributes: Mapping[str, Any]) -> Tokens:
    """What the attributes of a model call say of its tokens."""
    prompt = next(filter(None, (_ids(gathered(attributes, name)) for name in _PROMPT)), ())
    sampled = next(filter(None, (_each(gathered(attributes, name), _ids) for name in _RESPONSE)), ())
    likely = next(filter(None, (_each(gathered(attributes, name), _numbers) for name in _LOGPROBS)), ())
    choices = rows(attributes, f"{_OUTPUT}.choices")  # as the tracer for Weave writes them
    if not sampled:
        sampled = tuple(
            _ids(one.get("token_ids") or at(one, "provider_specific_fields", "token_ids")) for one in choices
        )
    if not likely:
        likely = tuple(_numbers(at(one, "logprobs", "content")) for one in choices)
    return prompt, sampled, likely


def _each(value: Any, read: Any) -> tuple[Any, ...]:
    """One list an answer; one that holds no lists is of the first."""
    found = _list(value)
    if found and all(isinstance(decoded(one), list | tuple) for one in found):
        return tuple(read(decoded(one)) for one in found)
    return (read(found),) if found else ()


def _ids(value: Any) -> tuple[int, ...]:
    found = _list(value)
    try:
        return tuple(array("I", found))
    except (TypeError, OverflowError, ValueError):
        return ()


def _numbers(value: Any) -> tuple[float, ...]:
    found = [one.get("logprob") if isinstance(one, Mapping) else one for one in _list(value)]
    try:
        return tuple(array("f", found))  # type: ignore[arg-type]  # what is no number raises
    except (TypeError, OverflowError, ValueError):
        return ()


def _list(value: Any) -> Sequence[Any]:
    found = decoded(value)
    if isinstance(found, Mapping):  # a list whose places were names
        found = [found[name] for name in sorted(found, key=lambda name: (len(name), name))]
    return found if isinstance(found, list | tuple) else []
