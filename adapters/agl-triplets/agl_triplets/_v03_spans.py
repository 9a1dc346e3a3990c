"""What the tracers of v0.3 wrote into spans: whose work it is, whether it judges, what was asked, and the tokens."""

from __future__ import annotations

import ast
from array import array
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

import msgspec

from agl_core.events import SpanRecorded
from agl_core.spans import agentlightning

__all__ = ["Told", "agent_of", "has_ids", "images", "is_judging", "proxied", "response_id", "told"]

_AGENT = ("agent.name", "recipient_agent_type", "langchain.chain.type", "executor.id", "gen_ai.agent.name")
_AGENT_KIND = (
    ("agentops.span.kind", "operation.name"),
    ("type", "agentlightning.operation.input.name"),
)
"""Where the first says `agent`, the second says its name."""
_CHAIN = "langchain.Chain."
_RESPONSE_ID = ("gen_ai.response.id", "agentlightning.operation.output.id")
_OPERATION = "agentlightning.operation"
_REWARD = "agentlightning.reward"
_REWARDS = (_REWARD, f"{_REWARD}.0.value", "agentops.task.output", "agentops.entity.output")
_PROMPT_IDS = ("prompt_token_ids", f"{_OPERATION}.output.prompt_token_ids")
_SAMPLED_IDS = (
    "response_token_ids",
    f"{_OPERATION}.output.response_token_ids.0",
    f"{_OPERATION}.output.choices.0.token_ids",
    f"{_OPERATION}.output.choices.0.provider_specific_fields.token_ids",
)
_APART = frozenset({"choices", "prompt_token_ids", "response_token_ids"})
_PROXY = "llm.hosted_vllm"
_GEN_AI, _OPERATION_DOT = "gen_ai.", f"{_OPERATION}."
_DEEPEST = 32
"""Dots of a name that part it; a longer one keeps the rest."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """What a span of a model call says; what it does not say is empty, or null."""

    prompt: list[int]
    sampled: list[int]
    asked: Any = None
    """The messages, as they were written."""
    answered: Any = None
    request: Any = None
    response: Any = None
    logprobs: Any = None


def agent_of(span: SpanRecorded) -> str | None:
    """Who did it: as the attributes say, in v0.3's order; else the agent under way where it was recorded."""
    found = span.attributes
    named = (found.get(name) for name in _names_of(span))
    return next((value for value in named if isinstance(value, str) and value), span.agent)


def _names_of(span: SpanRecorded) -> Iterator[str]:
    found = span.attributes
    yield _AGENT[0]
    if found.get(_AGENT_KIND[0][0]) == "agent":
        yield _AGENT_KIND[0][1]
    yield from _AGENT[1:-1]
    if found.get(_AGENT_KIND[1][0]) == "agent":
        yield _AGENT_KIND[1][1]
    if span.name.startswith(_CHAIN):
        yield "lc_name"
    yield _AGENT[-1]


def is_judging(span: SpanRecorded) -> bool:
    """Whether it states a reward, is the operation that works one out, or is an evaluator.

    Attributes that only begin like a reward, such as `agentlightning.reward_model`, are none.
    """
    found = span.attributes
    if found.get("agl.span.kind") == "reward" or found.get("openinference.span.kind") == "EVALUATOR":
        return True
    if found.get(f"{_OPERATION}.name") == _REWARD:
        return True
    return any(name in found for name in _REWARDS) and any(True for _ in agentlightning.scores(found))


def response_id(span: SpanRecorded) -> str | None:
    """By which a call that two spans tell of is known to be one."""
    found = span.attributes
    return next((value for name in _RESPONSE_ID if isinstance(value := found.get(name), str) and value), None)


def has_ids(span: SpanRecorded) -> bool:
    """Whether it tells of tokens, so that it is of a model call whatever its name is."""
    found = span.attributes
    return any(name in found for name in (*_PROMPT_IDS, *_SAMPLED_IDS))


def told(span: SpanRecorded) -> Told:
    """What v0.3's tracers, and the one for Weave, say of a call. Nothing raises on what a span may hold."""
    found = span.attributes
    parts: dict[str, Any] = {}
    for name, value in found.items():
        if name.startswith(_GEN_AI):
            what, _, rest = name[len(_GEN_AI) :].partition(".")
        elif name.startswith(_OPERATION_DOT):
            what, _, rest = name[len(_OPERATION_DOT) :].partition(".")
        else:
            continue
        if rest:
            flat = parts.get(what)
            if not isinstance(flat, _Branch):
                flat = parts[what] = _Branch()
            flat[rest] = value
        else:
            parts.setdefault(what, value)
    request, response = _nested(parts.get("request")), _nested(parts.get("response"))
    asked, answered = _nested(parts.get("prompt")), _nested(parts.get("completion"))
    if isinstance(given := _nested(parts.get("input")), dict):
        asked = asked or given.get("messages")
        request = request or {name: value for name, value in given.items() if name != "messages"}
    if isinstance(came := _nested(parts.get("output")), dict):
        answered = answered or came.get("choices")
        response = response or {name: value for name, value in came.items() if name not in _APART}
    return Told(
        prompt=_first_ids(found, _PROMPT_IDS),
        sampled=_first_ids(found, _SAMPLED_IDS),
        asked=asked,
        answered=answered,
        request=request,
        response=response,
        logprobs=_decoded(found.get("logprobs.content")),
    )


def proxied(span: SpanRecorded) -> tuple[list[int], list[int], str | None]:
    """Prompt ids, sampled ids and the id of the request, as v0.3's proxy wrote them; empty of any other span."""
    found = span.attributes
    named = response_id(span) or found.get(f"{_PROXY}.id")
    request_id = named if isinstance(named, str) and named else None
    match span.name:
        case "litellm_request":
            return _ids(found.get("prompt_token_ids")), _ids(found.get("response_token_ids")), request_id
        case "raw_gen_ai_request":
            sampled = _ids(_first(_literal(found.get(f"{_PROXY}.response_token_ids"))))
            if not sampled and isinstance(choice := _first(_literal(found.get(f"{_PROXY}.choices"))), Mapping):
                sampled = _ids(choice.get("token_ids"))
            return _ids(found.get(f"{_PROXY}.prompt_token_ids")), sampled, request_id
    return [], [], None


def images(messages: Any) -> list[str]:
    """Where the images of a chat are, in the order they come up."""
    if isinstance(messages, Mapping):
        numbered = sorted((int(name), one) for name, one in messages.items() if str(name).isdecimal())
        messages = [one for _, one in numbered] or [messages]
    if not isinstance(messages, list | tuple):
        return []
    contents = (_decoded(one.get("content")) for one in messages if isinstance(one, Mapping))
    parts = (part for content in contents if isinstance(content, list | tuple) for part in content)
    shown = (part.get("image_url") for part in parts if isinstance(part, Mapping) and part.get("type") == "image_url")
    return [image["url"] for image in shown if isinstance(image, Mapping) and isinstance(image.get("url"), str)]


class _Branch(dict[str, Any]):
    """A map made of names with dots: never one that came as a value, which is nobody's to change."""


def _nested(flat: Any) -> Any:
    """Lists where all names are places, maps where they are not."""
    if not isinstance(flat, _Branch):
        return flat
    root = _Branch()
    for name, value in flat.items():
        if "." not in name:
            root.setdefault(name, value)
            continue
        *path, last = name.split(".", _DEEPEST)
        branch = root
        for step in path:
            below = branch.get(step)
            if not isinstance(below, _Branch):
                below = branch[step] = _Branch()
            branch = below
        branch.setdefault(last, value)
    return _listed(root)


def _listed(branch: _Branch) -> Any:
    for name, value in branch.items():
        if isinstance(value, _Branch):
            branch[name] = _listed(value)
    if "0" in branch and all(str(place) in branch for place in range(len(branch))):
        return [branch[str(place)] for place in range(len(branch))]
    return dict(branch)


def _first_ids(found: Mapping[str, Any], names: tuple[str, ...]) -> list[int]:
    return next((ids for name in names if name in found and (ids := _ids(found[name]))), [])


def _ids(value: Any) -> list[int]:
    """The ids, or none when one of them is none."""
    value = _literal(value)
    if not isinstance(value, list | tuple):
        return []
    try:
        return array("I", value).tolist()  # checks every id in C: a prompt has thousands
    except (TypeError, OverflowError, ValueError):
        return []


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and value else None


def _decoded(value: Any) -> Any:
    """What JSON of a list or a map says; any other value as it is."""
    if not isinstance(value, str) or value.lstrip()[:1] not in {"[", "{"}:
        return value
    try:
        return msgspec.json.decode(value)
    except (msgspec.MsgspecError, ValueError, RecursionError):
        return value


def _literal(value: Any) -> Any:
    """What text of a list or a map says: JSON, or Python's own way, in which the proxy writes."""
    read = _decoded(value)
    if not isinstance(read, str) or read.lstrip()[:1] not in {"[", "{"}:
        return read
    try:
        return ast.literal_eval(read)
    except (ValueError, SyntaxError, MemoryError, RecursionError):
        return read
