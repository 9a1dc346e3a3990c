"""Messages and tools as OpenAI's chat has them, out of files that people and programs wrote."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from agl_core.events import ModelCall
from agl_core.wire import openai_chat

__all__ = ["Unfit", "answered", "asked", "listed"]

_ROLES = frozenset({"system", "developer", "user", "assistant", "tool", "function"})


class Unfit(ValueError):
    """It is no chat; the text says why."""


def listed(raw: Any, what: str) -> list[dict[str, Any]]:
    """The messages of a chat, at least one; `Unfit` names the first that is none."""
    if not isinstance(raw, list) or not raw:
        raise Unfit(f"{what} is {'empty' if raw == [] else 'no list'}: it holds the messages of a chat")
    return [_message(one, f"{what}[{place}]") for place, one in enumerate(raw)]


def asked(messages: Sequence[Mapping[str, Any]], beside: Mapping[str, Any]) -> ModelCall:
    """The request that these messages are, with what stands beside them in the file."""
    return openai_chat.request({**beside, "messages": list(messages)})


def answered(call: ModelCall, message: Mapping[str, Any]) -> ModelCall:
    """The call, answered with that message."""
    return openai_chat.response(call, {"choices": [{"index": 0, "message": dict(message)}]})


def _message(raw: Any, what: str) -> dict[str, Any]:
    if not isinstance(raw, dict):
        raise Unfit(f"{what} is no object")
    role = raw.get("role")
    if not isinstance(role, str) or role not in _ROLES:
        raise Unfit(f"{what}.role is {role!r}: it is one of {', '.join(sorted(_ROLES))}")
    if not isinstance(raw.get("tool_calls"), list):
        return raw
    return {**raw, "tool_calls": [_wish(one, f"{what}.tool_calls[{n}]") for n, one in enumerate(raw["tool_calls"])]}


def _wish(raw: Any, what: str) -> dict[str, Any]:
    """In OpenAI's words, where Hugging Face's have arguments that are no text, and no id."""
    function = raw.get("function") if isinstance(raw, dict) else None
    if not isinstance(function, dict) or not isinstance(function.get("name"), str):
        raise Unfit(f"{what} names no function")
    arguments = function.get("arguments", "")
    if not isinstance(arguments, str):
        arguments = json.dumps(arguments, ensure_ascii=False)
    return {"id": "", "type": "function", **raw, "function": {**function, "arguments": arguments}}
