"""Wires a run, owns every lifetime in it, and takes one up again from its log."""

from __future__ import annotations

from agl_core.trainer._again import trainer_again
from agl_core.trainer._checking import check_history
from agl_core.trainer._components import build_component, import_path
from agl_core.trainer._driving import RunSummary
from agl_core.trainer._judging import judge_rollouts, judgeable
from agl_core.trainer._resume import resume
from agl_core.trainer._seats import seats_of
from agl_core.trainer._trainer import Trainer

__all__ = [
    "RunSummary",
    "Trainer",
    "build_component",
    "check_history",
    "import_path",
    "judge_rollouts",
    "judgeable",
    "resume",
    "seats_of",
    "trainer_again",
]
