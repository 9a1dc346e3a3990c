"""Provider payloads to `ModelCall` and back: a dialect a module, one rule for what a dialect has beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agl_core.wire import anthropic_messages, openai_chat, openai_completions, openai_embeddings, openai_responses
from agl_core.wire._errors import error_code
from agl_core.wire._json import json_object
from agl_core.wire._versions import policy_version
from agl_core.wire._words import in_words
from agl_core.wire.dialect import Assembly, Dialect

__all__ = [
    "DIALECTS",
    "Assembly",
    "Dialect",
    "anthropic_messages",
    "error_code",
    "in_words",
    "json_object",
    "openai_chat",
    "openai_completions",
    "openai_embeddings",
    "openai_responses",
    "policy_version",
]

_ALL: tuple[Dialect, ...] = (
    openai_chat,
    openai_completions,
    openai_responses,
    openai_embeddings,
    anthropic_messages,
)
DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.NAME: dialect for dialect in _ALL})
"""By name."""
