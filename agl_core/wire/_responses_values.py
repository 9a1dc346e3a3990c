"""Tools, sampling, tokens and how an answer ended, in OpenAI's Responses. Nothing here raises on bad input."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

from agl_core.events import Choice, ModelCall, Sampling, Tool, Usage
from agl_core.wire import _chat_values as values
from agl_core.wire._leftover import leftover
from agl_core.wire._responses_items import woven

__all__ = [
    "ended",
    "logprobs",
    "render_ending",
    "render_sampling",
    "render_tool",
    "render_tools",
    "render_usage",
    "sampling",
    "skeleton",
    "token_ids",
    "tools",
    "usage",
]

_DRAWN = ("temperature", "top_p", "top_k", "seed", "stop")
"""OpenAI takes the first two; engines that speak this dialect take all."""
_SPOKEN = ("message", "function_call", "reasoning", "custom_tool_call")
"""Items that the model samples; the others are written by the server."""
_CUT = {"max_output_tokens": "length", "content_filter": "content_filter"}
_ECHOED: Mapping[str, Any] = {
    "instructions": None,
    "metadata": {},
    "parallel_tool_calls": True,
    "temperature": None,
    "tool_choice": "auto",
    "tools": [],
    "top_p": None,
    "max_output_tokens": None,
    "previous_response_id": None,
    "reasoning": None,
    "text": {"format": {"type": "text"}},
    "truncation": "disabled",
}
"""What an answer repeats of its request, and what it says when the request did not."""


def tools(raw: Any) -> tuple[tuple[Tool, ...], Any]:
    """The functions offered, and what is left; null when nothing is."""
    if not isinstance(raw, list) or not all(isinstance(one, dict) for one in raw):
        return (), raw
    functions = [_tool(one) if _is_function(one) else None for one in raw]
    offered = tuple(one for one in functions if one is not None)
    left = [one if tool is None else leftover(one, render_tool(tool)) for one, tool in zip(raw, functions, strict=True)]
    if woven(map(render_tool, offered), left) != raw:
        return (), raw
    return offered, None if offered and not any(left) else left


def render_tools(offered: Iterable[Tool], left: Any) -> Any:
    """The list with what was left of it; `left` itself where the tools are not of it."""
    said = [render_tool(one) for one in offered]
    whole = woven(said, left)
    return (said or left) if whole is None else whole


def render_tool(tool: Tool) -> dict[str, Any]:
    """The function in this dialect's words."""
    said: dict[str, Any] = {"type": "function", "name": tool.name}
    if tool.description:
        said["description"] = tool.description
    if tool.parameters:
        said["parameters"] = tool.parameters
    return said


def sampling(body: Mapping[str, Any]) -> Sampling:
    """How tokens are to be drawn, as far as the fields are of their types."""
    drawn = values.sampling({name: body[name] for name in _DRAWN if name in body})
    return replace(drawn, max_tokens=values.whole(body.get("max_output_tokens")))


def render_sampling(drawn: Sampling) -> dict[str, Any]:
    """The fields that were set."""
    said = values.render_sampling(replace(drawn, max_tokens=None))
    return said if drawn.max_tokens is None else {**said, "max_output_tokens": drawn.max_tokens}


def usage(raw: Any) -> Usage:
    """Tokens as the provider counts them."""
    if not isinstance(raw, dict):
        return Usage()
    asked, answered = values.whole(raw.get("input_tokens")), values.whole(raw.get("output_tokens"))
    return Usage(prompt_tokens=asked or 0, completion_tokens=answered or 0)


def render_usage(counted: Usage) -> dict[str, Any]:
    """The counts without their details."""
    asked, answered = counted.prompt_tokens, counted.completion_tokens
    return {"input_tokens": asked, "output_tokens": answered, "total_tokens": asked + answered}


def ended(body: Mapping[str, Any], *, has_calls: bool) -> str | None:
    """Why the answer ended, in the words of chat completions; null while it has not."""
    details = body.get("incomplete_details")
    reason = values.text(details.get("reason")) if isinstance(details, dict) else None
    match values.text(body.get("status")):
        case "completed":
            return "tool_calls" if has_calls else "stop"
        case "incomplete":
            return _CUT.get(reason or "", reason or "incomplete")
        case "failed" | "cancelled" as status:
            return status
    return None


def render_ending(reason: str | None) -> dict[str, Any]:
    """The status that says why; nothing of an answer that has not ended."""
    if reason is None:
        return {}
    if reason in ("failed", "cancelled"):
        return {"status": reason}
    cut = next((name for name, word in _CUT.items() if word == reason), None)
    if cut is not None:
        return {"status": "incomplete", "incomplete_details": {"reason": cut}}
    return {"status": "incomplete" if reason == "incomplete" else "completed"}


def token_ids(output: Iterable[Mapping[str, Any]]) -> tuple[int, ...]:
    """The ids that were sampled, or nothing when one of the items that the model says has none."""
    sampled: list[int] = []
    for item in output:
        ids = values.token_ids(item.get("token_ids"))
        if not ids and item.get("type") in _SPOKEN:
            return ()
        sampled.extend(ids)
    return tuple(sampled)


def logprobs(output: Iterable[Mapping[str, Any]], *, length: int) -> tuple[float, ...]:
    """One for each of the `length` ids, or nothing."""
    contents = [item.get("content") for item in output]
    parts = [part for content in contents if isinstance(content, list) for part in content if isinstance(part, dict)]
    lists = [part["logprobs"] for part in parts if isinstance(part.get("logprobs"), list)]
    entries = [one for entries in lists for one in entries]
    if len(entries) != length:
        return ()
    try:
        return values.numbers([one["logprob"] for one in entries])
    except (TypeError, KeyError):
        return ()


def skeleton(call: ModelCall, asked: Mapping[str, Any]) -> dict[str, Any]:
    """An answer that was not given in this dialect, with all that its clients count on."""
    name = call.response_id or "resp_0"
    return {
        "id": name,
        "object": "response",
        "created_at": 0,  # nothing says when, and the events have their own times
        "status": "completed",
        "error": None,
        "incomplete_details": None,
        **{field: asked.get(field, deepcopy(default)) for field, default in _ECHOED.items()},
        "model": call.model,
        "output": [],
        "usage": {
            **render_usage(call.usage),
            "input_tokens_details": {"cached_tokens": 0},
            "output_tokens_details": {"reasoning_tokens": 0},
        },
        **_ending(call.choices[:1]),
    }


def _ending(choices: tuple[Choice, ...]) -> dict[str, Any]:
    return render_ending(choices[0].finish_reason) if choices else {}


def _is_function(raw: Mapping[str, Any]) -> bool:
    return raw.get("type") == "function" and isinstance(raw.get("name"), str)


def _tool(raw: Mapping[str, Any]) -> Tool:
    parameters = raw.get("parameters")
    return Tool(
        name=raw["name"],
        description=values.text(raw.get("description")) or "",
        parameters=parameters if isinstance(parameters, dict) else {},
    )
