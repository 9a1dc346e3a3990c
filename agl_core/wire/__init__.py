"""Provider payloads to `ModelCall` and back: a dialect a module, one rule for what a dialect has beside it."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agl_core.wire import openai_chat
from agl_core.wire._errors import error_code
from agl_core.wire.dialect import Assembly, Dialect

__all__ = ["DIALECTS", "Assembly", "Dialect", "error_code", "openai_chat"]

_ALL: tuple[Dialect, ...] = (openai_chat,)
DIALECTS: Mapping[str, Dialect] = MappingProxyType({dialect.NAME: dialect for dialect in _ALL})
"""By name."""
