"""Prompts without turns: text or token ids, one or several, to what a `ModelCall` keeps of them and back."""

from __future__ import annotations

from typing import Any

from agl_core.events import Message, ModelCall
from agl_core.wire import _chat_values as values

__all__ = ["prompts", "render_prompts", "text_of"]

_UNSPOKEN = frozenset({"openai.completions", "openai.embeddings"})
"""Dialects whose messages are prompts and nobody's turns."""


def prompts(raw: Any) -> tuple[tuple[Message, ...], tuple[int, ...]]:
    """A message for each text, or the ids of the one prompt that is made of them; neither of what is something else."""
    texts = [raw] if isinstance(raw, str) else raw
    if isinstance(texts, list) and texts and all(isinstance(one, str) for one in texts):
        return tuple(Message(role="user", content=one) for one in texts), ()
    is_wrapped = isinstance(raw, list) and len(raw) == 1 and isinstance(raw[0], list)
    return (), values.token_ids(raw[0] if is_wrapped else raw)


def render_prompts(call: ModelCall) -> str | list[str] | list[int] | None:
    """What `call` asks with; null when there is no word for it. A chat is one text that an assistant is to go on."""
    if not call.messages:
        return list(call.prompt_token_ids) or None
    if call.dialect not in _UNSPOKEN:
        turns = [f"{message.role}: {text_of(message)}" for message in call.messages]
        return "\n".join([*turns, "assistant:"])
    texts = [text_of(message) for message in call.messages]
    return texts if len(texts) > 1 else texts[0]


def text_of(message: Message) -> str:
    """Its content, as far as it is text."""
    if isinstance(message.content, str):
        return message.content
    parts = message.content if isinstance(message.content, (list, tuple)) else ()
    return "\n".join(part["text"] for part in parts if isinstance(part, dict) and isinstance(part.get("text"), str))
