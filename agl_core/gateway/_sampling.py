"""How a call is to be sampled, in the words of its dialect: what its mode wants, and what it left open."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType
from typing import Any

__all__ = ["filled"]

_SAME = {"max_tokens": "max_completion_tokens", "max_completion_tokens": "max_tokens"}
"""Two names of one field: who gave one needs no default for the other."""
_WORDS: Mapping[str, Mapping[str, str]] = MappingProxyType(
    {
        "openai.responses": {
            "temperature": "temperature",
            "top_p": "top_p",
            "max_tokens": "max_output_tokens",
            "max_completion_tokens": "max_output_tokens",
        },
        "anthropic.messages": {
            "temperature": "temperature",
            "top_p": "top_p",
            "top_k": "top_k",
            "max_tokens": "max_tokens",
            "max_completion_tokens": "max_tokens",
            "stop": "stop_sequences",
        },
        "openai.embeddings": {},
    }
)
"""Dialects that refuse what they do not know, and what each calls the fields it has."""


def filled(
    dialect: str,
    body: Mapping[str, Any],
    *,
    overrides: Mapping[str, Any],
    defaults: Mapping[str, Any],
    seed: int | None,
) -> dict[str, Any]:
    """`body` with the overrides in it, and with the defaults and the seed where it says nothing."""
    asking = {**body, **_said(dialect, overrides)}
    for name, value in _said(dialect, {**defaults, "seed": seed}).items():
        if value is not None and asking.get(name) is None and asking.get(_SAME.get(name, name)) is None:
            asking[name] = value
    return asking


def _said(dialect: str, fields: Mapping[str, Any]) -> dict[str, Any]:
    words = _WORDS.get(dialect)
    if words is None:
        return dict(fields)
    return {words[name]: value for name, value in fields.items() if name in words}
