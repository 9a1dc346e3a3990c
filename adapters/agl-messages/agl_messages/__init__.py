"""Chat transcripts and preference pairs, for SFT, DPO and prompt work, and a reason for every call that became none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.adapter import Adapter
from agl_core.hookspecs import hookimpl
from agl_messages._messages import Messages
from agl_messages._preferences import Preferences
from agl_messages._row import Pair, Transcript
from agl_messages._trace_to_messages import TraceToMessages

__all__ = ["Messages", "Pair", "Preferences", "TraceToMessages", "Transcript", "agl_register_adapters"]


@hookimpl
def agl_register_adapters() -> Mapping[str, type[Adapter[Any]]]:
    """`messages` and `preferences`, under those names."""
    return {"messages": Messages, "preferences": Preferences}
