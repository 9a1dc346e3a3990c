"""What a request may say: OpenAI's fields that every provider has a word for, and nothing about where it goes."""

from __future__ import annotations

from collections.abc import Collection
from typing import Any

import msgspec

from agl_core.errors import BadValue, ModelNotFound

__all__ = ["chat", "embeddings"]

_CHAT = frozenset(
    {
        "frequency_penalty",
        "logit_bias",
        "logprobs",
        "max_completion_tokens",
        "max_tokens",
        "messages",
        "model",
        "n",
        "parallel_tool_calls",
        "presence_penalty",
        "prompt_cache_key",
        "reasoning_effort",
        "response_format",
        "seed",
        "service_tier",
        "stop",
        "stream",
        "stream_options",
        "temperature",
        "tool_choice",
        "tools",
        "top_logprobs",
        "top_p",
        "user",
    }
)
_SEEDS = 1 << 31
"""A run's seeds have 63 bits, and Google's API takes 32 with a sign."""
_EMBEDDINGS = frozenset({"dimensions", "encoding_format", "input", "model", "user"})


def chat(content: bytes, *, model: str) -> dict[str, Any]:
    """The fields of a chat completion that were given, without the model's name."""
    asked = _fields(content, model=model, known=_CHAT)
    if not _are_objects(asked.get("messages")) or not asked["messages"]:
        raise BadValue("messages", asked.get("messages"), why="it is a list of at least one message")
    if not _are_objects(asked.get("tools", [])):
        raise BadValue("tools", asked["tools"], why="it is a list of tools")
    if type(asked.get("stream", False)) is not bool:
        raise BadValue("stream", asked["stream"], why="it is true or false")
    if type(seed := asked.get("seed", 0)) is not int:
        raise BadValue("seed", seed, why="it is a whole number")
    if "seed" in asked:
        asked["seed"] = seed % _SEEDS
    if "max_completion_tokens" in asked:
        # The older name is the library's word for both; some of its providers do not hear the newer one.
        asked["max_tokens"] = asked.pop("max_completion_tokens")
    return asked


def embeddings(content: bytes, *, model: str) -> dict[str, Any]:
    """The fields of a request for vectors that were given, without the model's name."""
    asked = _fields(content, model=model, known=_EMBEDDINGS)
    words = asked.get("input")
    if not isinstance(words, str) and not (words and isinstance(words, list) and all(type(w) is str for w in words)):
        raise BadValue("input", words, why="it is a text, or a list of texts: tokens are another model's")
    if asked.get("encoding_format", "float") not in ("float", "base64"):
        raise BadValue("encoding_format", asked["encoding_format"], why="it is float or base64")
    return asked


def _fields(content: bytes, *, model: str, known: Collection[str]) -> dict[str, Any]:
    try:
        body = msgspec.json.decode(content)
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise BadValue("request body", f"{len(content)} bytes", why=f"it is no JSON: {error}") from None
    if not isinstance(body, dict):
        raise BadValue("request body", type(body).__name__, why="it is a JSON object")
    # The library hands what it does not know to the provider's SDK, which may take an address or a header by it.
    if strange := sorted(body.keys() - known):
        raise BadValue("fields", strange, why=f"they go no further than here; known: {', '.join(sorted(known))}")
    asked = {name: value for name, value in body.items() if value is not None}
    if (named := asked.pop("model", None)) != model:
        raise ModelNotFound(str(named), known=[model])
    return asked


def _are_objects(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(one, dict) for one in value)
