"""What agent code may call: rewards, messages, objects, annotations, operations. Agent Lightning's names."""

from __future__ import annotations

from agl_core.emit._emitters import (
    emit_annotation,
    emit_exception,
    emit_message,
    emit_object,
    emit_reward,
    operation,
    rewards_of,
)
from agl_core.emit._environment import environment

__all__ = [
    "emit_annotation",
    "emit_exception",
    "emit_message",
    "emit_object",
    "emit_reward",
    "environment",
    "operation",
    "rewards_of",
]
