"""What the tracers of v0.3 wrote into spans: whose work it is, whether it judges, what was asked, and the tokens."""

from __future__ import annotations

import ast
from array import array
from collections.abc import Iterator, Mapping
from functools import lru_cache
from math import isfinite
from typing import Any, NamedTuple

import msgspec

from agl_core.events import SpanRecorded
from agl_core.spans import agentlightning

__all__ = ["Told", "has_ids", "images", "proxied", "response_id", "told", "whose"]

_CHAIN = "langchain.Chain."
_RESPONSE_ID = ("gen_ai.response.id", "agentlightning.operation.output.id")
_OPERATION = "agentlightning.operation"
_REWARD = "agentlightning.reward"
_REWARDS = frozenset({_REWARD, f"{_REWARD}.0.value", "agentops.task.output", "agentops.entity.output"})
_TELLING = _REWARDS | {
    "agent.name", "agentlightning.operation.input.name", "agentlightning.operation.name", "agl.span.kind",
    "executor.id", "gen_ai.agent.name", "langchain.chain.type", "openinference.span.kind", "operation.name",
    "recipient_agent_type",
}  # fmt: skip
"""Without any of these names a span says neither who did it nor that it judges."""
_PROMPT_IDS = ("prompt_token_ids", f"{_OPERATION}.output.prompt_token_ids")
_SAMPLED_IDS = (
    "response_token_ids",
    f"{_OPERATION}.output.response_token_ids.0",
    f"{_OPERATION}.output.choices.0.token_ids",
    f"{_OPERATION}.output.choices.0.provider_specific_fields.token_ids",
)
_APART = frozenset({"choices", "prompt_token_ids", "response_token_ids"})
_PROXY = "llm.hosted_vllm"
_OPENING = frozenset("[{ \t\r\n")
_PARTS = {"gen_ai.": {"prompt", "completion", "request", "response"}, f"{_OPERATION}.": {"input", "output"}}
_DEEPEST = 32
"""Dots of a name that part it; a longer one keeps the rest."""


class Told(NamedTuple):
    """What a span of a model call says; what it does not say is empty, or null."""

    prompt: list[int]
    sampled: list[int]
    asked: Any = None
    """The messages, as they were written."""
    answered: Any = None
    request: Any = None
    response: Any = None
    logprobs: Any = None


def whose(span: SpanRecorded) -> tuple[str | None, bool]:
    """Who did it, and whether it is done to judge.

    The agent is as the attributes say, in v0.3's order; else the one under way where it was recorded. A span judges
    that states a reward, is the operation that works one out, or is an evaluator; attributes that only begin like a
    reward, such as `agentlightning.reward_model`, are none.
    """
    found = span.attributes
    if _TELLING.isdisjoint(found) and not span.name.startswith(_CHAIN):
        return span.agent, False  # most spans: they are not read any closer
    named = (found.get(name) for name in _agent_names(span))
    agent = next((value for value in named if isinstance(value, str) and value), span.agent)
    return agent, _is_judging(found)


def _agent_names(span: SpanRecorded) -> Iterator[str]:
    found = span.attributes
    yield "agent.name"
    if found.get("agentops.span.kind") == "agent":
        yield "operation.name"
    yield from ("recipient_agent_type", "langchain.chain.type", "executor.id")
    if found.get("type") == "agent":
        yield "agentlightning.operation.input.name"
    if span.name.startswith(_CHAIN):
        yield "lc_name"
    yield "gen_ai.agent.name"


def _is_judging(found: Mapping[str, Any]) -> bool:
    if type(value := found.get(f"{_REWARD}.0.value")) is float and isfinite(value):
        return True  # as v0.3's emitter writes it
    if found.get("agl.span.kind") == "reward" or found.get("openinference.span.kind") == "EVALUATOR":
        return True
    if found.get("agentlightning.operation.name") == _REWARD:
        return True
    return not _REWARDS.isdisjoint(found) and any(True for _ in agentlightning.scores(found))


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
    said = {part: _filled(shape, found) for part, shape in _shapes(tuple(found)).items()}
    asked, answered = said.get("prompt"), said.get("completion")
    request, response = said.get("request"), said.get("response")
    if isinstance(given := said.get("input"), dict):
        asked = asked or given.get("messages")
        request = request or {name: value for name, value in given.items() if name != "messages"}
    if isinstance(came := said.get("output"), dict):
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
    if isinstance(messages, dict):
        numbered = sorted((int(name), one) for name, one in messages.items() if str(name).isdecimal())
        messages = [one for _, one in numbered] or [messages]
    if not isinstance(messages, list | tuple):
        return []
    found = []
    for message in messages:
        parts = _decoded(message.get("content")) if isinstance(message, dict) else None
        if not isinstance(parts, list | tuple):
            continue  # text, most of the time
        for part in parts:
            shown = part.get("image_url") if isinstance(part, dict) and part.get("type") == "image_url" else None
            if isinstance(shown, dict) and isinstance(shown.get("url"), str):
                found.append(shown["url"])
    return found


_Shape = str | dict[str, Any] | list[Any]
"""A place that one attribute fills, by its name; or maps and lists of them."""


@lru_cache(maxsize=1024)
def _shapes(names: tuple[str, ...]) -> dict[str, _Shape]:
    """What those names with dots make of a span, by part: spans of one tracer have the same names, again and again."""
    root: dict[str, Any] = {}
    for name in names:
        path = _path(name)
        if path is None:
            continue
        branch = root
        for step in path[:-1]:
            below = branch.get(step)
            if not isinstance(below, dict):
                below = branch[step] = {}
            branch = below
        branch.setdefault(path[-1], name)
    return {part: _listed(shape) for part, shape in root.items()}


def _path(name: str) -> list[str] | None:
    """Where what it names belongs; nothing of a name that is none of these."""
    for prefix, parts in _PARTS.items():
        if name.startswith(prefix):
            path = name[len(prefix) :].split(".", _DEEPEST)
            return path if path[0] in parts else None
    return None


def _listed(shape: _Shape) -> _Shape:
    """Lists where all names are places, maps where they are not."""
    if not isinstance(shape, dict):
        return shape
    inner = {name: _listed(below) for name, below in shape.items()}
    places = [str(place) for place in range(len(inner))]
    return [inner[place] for place in places] if all(place in inner for place in places) else inner


def _filled(shape: _Shape, found: Mapping[str, Any]) -> Any:
    if isinstance(shape, str):
        return found[shape]
    if isinstance(shape, dict):
        return {name: found[below] if type(below) is str else _filled(below, found) for name, below in shape.items()}
    return [_filled(below, found) for below in shape]


def _first_ids(found: Mapping[str, Any], names: tuple[str, ...]) -> list[int]:
    for name in names:
        if name in found and (ids := _ids(found[name])):
            return ids
    return []


def _ids(value: Any) -> list[int]:
    """The ids, or none when one of them is none."""
    value = _literal(value) if isinstance(value, str) else value
    if not isinstance(value, list | tuple):
        return []
    try:
        array("I", value)  # looks at every id in C: a prompt has thousands
    except (TypeError, OverflowError, ValueError):
        return []
    return list(value)


def _first(value: Any) -> Any:
    return value[0] if isinstance(value, list | tuple) and value else None


def _decoded(value: Any) -> Any:
    """What JSON of a list or a map says; any other value as it is."""
    # First by its first letter: texts are long, and almost none of them is JSON.
    if not isinstance(value, str) or value[:1] not in _OPENING or value.lstrip()[:1] not in _OPENING:
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
