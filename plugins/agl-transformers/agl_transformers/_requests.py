"""Reads a chat completion request; what this engine does not do is refused, never ignored."""

from __future__ import annotations

import math
import secrets
from collections.abc import Mapping, Sequence
from typing import Any

import msgspec

from agl_core.errors import BadValue
from agl_transformers._generation import Sampling
from agl_transformers._sampling import seed_of

__all__ = ["ChatRequest", "read"]

_ROLES = ("system", "developer", "user", "assistant", "tool")
_MOST_CHOICES = 128


class ChatRequest(msgspec.Struct, kw_only=True):
    """The fields of OpenAI's chat completions, and of vLLM's, that mean something here."""

    model: str
    messages: list[dict[str, Any]]
    tools: list[dict[str, Any]] | None = None
    tool_choice: Any = None
    parallel_tool_calls: bool | None = None
    temperature: float | None = None
    top_p: float | None = None
    top_k: int | None = None
    seed: int | None = None
    n: int | None = None
    stop: str | list[str] | None = None
    max_tokens: int | None = None
    max_completion_tokens: int | None = None
    logprobs: bool | None = None
    top_logprobs: int | None = None
    return_token_ids: bool | None = None
    stream: bool | None = None
    stream_options: dict[str, Any] | None = None
    response_format: dict[str, Any] | None = None
    logit_bias: dict[str, float] | None = None
    frequency_penalty: float | None = None
    presence_penalty: float | None = None
    repetition_penalty: float | None = None
    min_p: float | None = None

    @property
    def limit(self) -> int | None:
        """Tokens an answer may have, when the request says."""
        return self.max_tokens if self.max_completion_tokens is None else self.max_completion_tokens

    @property
    def stops(self) -> tuple[str, ...]:
        """Strings that end an answer; they are not part of it."""
        return (self.stop,) if isinstance(self.stop, str) else tuple(self.stop or ())

    @property
    def offered(self) -> Sequence[Mapping[str, Any]]:
        """The tools the model may call."""
        return () if self.tool_choice == "none" else self.tools or ()

    def samplings(self) -> list[Sampling]:
        """One for each choice; without a seed, noise that nobody can repeat."""
        seed = secrets.randbits(63) if self.seed is None else self.seed
        return [
            Sampling(
                temperature=1.0 if self.temperature is None else self.temperature,
                top_p=1.0 if self.top_p is None else self.top_p,
                top_k=max(self.top_k or 0, 0),  # vLLM's clients write -1 for "all"
                seed=seed_of(seed, choice),
            )
            for choice in range(self.n or 1)
        ]


_decoder = msgspec.json.Decoder(ChatRequest)


def read(body: bytes) -> ChatRequest:
    """The request, its messages made plain; one that is malformed, or asks for more than we do, is refused by name."""
    try:
        request = _decoder.decode(body)
    except msgspec.DecodeError as error:
        raise BadValue("request body", body[:80], why=str(error)) from error
    _check_numbers(request)
    _check_unserved(request)
    for tool in request.tools or ():
        if not isinstance(tool.get("function"), dict) or not isinstance(tool["function"].get("name"), str):
            raise BadValue("tools", tool, why="each is {'type': 'function', 'function': {'name': ...}}")
    request.messages = [_plain(message) for message in request.messages]
    return request


def _check_numbers(request: ChatRequest) -> None:
    _within("temperature", request.temperature, low=0.0, high=math.inf)
    _within("top_p", request.top_p, low=0.0, high=1.0)
    _within("top_k", request.top_k, low=-1, high=math.inf)
    _within("n", request.n, low=1, high=_MOST_CHOICES)
    _within("max_tokens", request.limit, low=1, high=math.inf)
    if not all(request.stops) and request.stops:
        raise BadValue("stop", request.stop, why="an empty string would stop every answer at once")
    if not request.messages:
        raise BadValue("messages", [], why="there is nothing to answer")


def _within(name: str, value: float | None, *, low: float, high: float) -> None:
    if value is not None and (not low <= value <= high or value == math.inf):
        raise BadValue(
            name, value, why=f"it lies between {low} and {high}" if high < math.inf else f"it is {low} or more"
        )


def _check_unserved(request: ChatRequest) -> None:
    neutral: Mapping[str, tuple[Any, ...]] = {
        "tool_choice": (None, "auto", "none"),
        "top_logprobs": (None, 0),
        "response_format": (None, {"type": "text"}),
        "logit_bias": (None, {}),
        "frequency_penalty": (None, 0),
        "presence_penalty": (None, 0),
        "repetition_penalty": (None, 1),
        "min_p": (None, 0),
    }
    for name, values in neutral.items():
        if (value := getattr(request, name)) not in values:
            raise BadValue(name, value, why="this engine does not do that: leave it out")


def _plain(message: Mapping[str, Any]) -> dict[str, Any]:
    """The message with its content as one string and without empty fields."""
    plain = {key: value for key, value in message.items() if value is not None}
    if plain.get("role") not in _ROLES:
        raise BadValue("role of a message", plain.get("role"), why=f"known: {', '.join(_ROLES)}")
    plain["content"] = _text(plain.get("content", ""))
    calls = plain.pop("tool_calls", None)
    if calls:
        if not isinstance(calls, list) or not all(_is_call(call) for call in calls):
            raise BadValue(
                "tool_calls", calls, why="each is {'id': ..., 'function': {'name': ..., 'arguments': '{...}'}}"
            )
        plain["tool_calls"] = calls
    return plain


def _is_call(call: Any) -> bool:
    match call:
        case {"function": {"name": str(), "arguments": str()}}:
            return True
    return False


def _text(content: Any) -> str:
    if isinstance(content, str):
        return content
    parts: list[str] = []
    for part in content if isinstance(content, list) else [content]:
        match part:
            case {"type": "text", "text": str(text)}:
                parts.append(text)
            case _:
                raise BadValue("content of a message", part, why="this engine reads text only")
    return "".join(parts)
