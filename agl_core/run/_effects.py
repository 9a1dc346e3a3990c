"""Effects of an algorithm: carried out in a thread or awaited, and what they give as plain JSON."""

from __future__ import annotations

import asyncio
import inspect
from collections.abc import Callable
from dataclasses import asdict, is_dataclass
from typing import Any

import msgspec

from agl_core.errors import AglError, BadValue, StepFailed

__all__ = ["carried_out", "plain"]


async def carried_out(label: str, fn: Callable[..., Any], *args: Any) -> Any:
    """What `fn` gives; `StepFailed` for what it raises, unless that has a code."""
    try:
        if inspect.iscoroutinefunction(fn):
            return await fn(*args)
        return await asyncio.to_thread(fn, *args)
    except AglError:
        raise
    except Exception as error:
        raise StepFailed(label, why=f"{type(error).__name__}: {error}") from error


def plain(result: Any) -> Any:
    """As JSON has it; `BadValue` when it has no way to."""
    if is_dataclass(result) and not isinstance(result, type):
        result = asdict(result)
    try:
        return msgspec.json.decode(msgspec.json.encode(result))
    except (TypeError, msgspec.MsgspecError) as error:
        raise BadValue("result", result, why=f"a step returns plain JSON ({error})") from None
