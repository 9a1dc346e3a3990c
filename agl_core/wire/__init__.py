"""Provider payloads to `ModelCall` and back: a dialect a module, one rule for what a dialect has beside it."""

from __future__ import annotations

from agl_core.wire import openai_chat
from agl_core.wire._errors import error_code

__all__ = ["error_code", "openai_chat"]
