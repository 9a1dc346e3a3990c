"""Which weights spoke, when the server says so."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

__all__ = ["policy_version"]


def policy_version(body: Mapping[str, Any]) -> int | None:
    """Of a whole answer: `policy_version` as our engines say it, or SGLang's `metadata.weight_version`, if a number."""
    version = body.get("policy_version")
    if type(version) is int:
        return version
    metadata = body.get("metadata")
    named = metadata.get("weight_version") if isinstance(metadata, Mapping) else None
    return int(named) if isinstance(named, str) and named.isascii() and named.isdecimal() and len(named) < 19 else None
