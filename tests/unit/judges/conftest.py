"""Rollouts to judge, each in a line."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import pytest

from agl_core.events import SpanRecorded
from agl_core.projections import Trace
from agl_core.testing import JudgeContract


@pytest.fixture
def rollout() -> Callable[..., Trace]:
    """`rollout("It is 4.", task={"answer": 4})`: what the policy said, call by call."""
    return JudgeContract.rollout


@pytest.fixture
def emitted() -> Callable[..., Trace]:
    """A rollout whose agent left spans: their names and attributes."""

    def made(*spans: tuple[str, dict[str, Any]]) -> Trace:
        found = tuple(
            SpanRecorded(
                rollout_id="ro-1", attempt_id="at-ro-1", span_id=f"sp-{n}", name=f"agentlightning.{name}",
                attributes=attributes, started_at=n, ended_at=n,
            )
            for n, (name, attributes) in enumerate(spans)
        )  # fmt: skip
        return JudgeContract.rollout("said", spans=found)

    return made
