"""What tracers and taps write with; whose work it is follows from the context, never from a patch."""

from __future__ import annotations

from agl_core.recorder._agent import agent
from agl_core.recorder._carrying import carry
from agl_core.recorder._each_call import Piece, each_call
from agl_core.recorder._recorder import LoopRecorder, Recorder
from agl_core.recorder._replaying import Replaying, ToolAnswer, ToolAsked, ToolWay
from agl_core.recorder._scope import (
    Attributed,
    Scope,
    attributed,
    current,
    is_machinery,
    machinery,
    numbered,
    owned,
    program_begins,
)

__all__ = [
    "Attributed",
    "LoopRecorder",
    "Piece",
    "Recorder",
    "Replaying",
    "Scope",
    "ToolAnswer",
    "ToolAsked",
    "ToolWay",
    "agent",
    "attributed",
    "carry",
    "current",
    "each_call",
    "is_machinery",
    "machinery",
    "numbered",
    "owned",
    "program_begins",
]
