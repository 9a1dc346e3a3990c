"""Who runs agents: here, tasks of one loop in a thread of this process."""

from __future__ import annotations

from agl_core.executors._inprocess import InProcess
from agl_core.executors._protocol import Executor, Work

__all__ = ["Executor", "InProcess", "Work"]
