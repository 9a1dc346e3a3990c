"""Attempts for tests of tracers: each has its own facts, whatever else the log has."""

from __future__ import annotations

from contextlib import contextmanager

import pytest

from agl_core.emit import operation
from agl_core.events import AttemptStarted, SpanRecorded
from agl_core.recorder import current
from agl_core.testing import Attempts


@pytest.fixture
def attempts():
    """Nothing has happened."""
    with Attempts.opened() as opened:
        yield opened


def test_each_attempt_has_its_own_tree(attempts):
    """As names and agents, in the order they began; all facts are there together too."""
    first, second = attempts.begun(), attempts.begun()

    with attempts.attempt(first), operation(name="outer"):
        for name in ("left", "right"):
            with operation(name=name):
                pass
    with attempts.attempt(second), operation(name="other"):
        pass

    leaf = ("agentlightning.operation", None, [])
    assert attempts.tree(first) == [("agentlightning.operation", None, [leaf, leaf])]
    assert attempts.tree(second) == [leaf]
    assert len(attempts.facts(SpanRecorded)) == 4
    assert len(attempts.facts(AttemptStarted)) == 2


def test_the_tracer_is_in_while_an_attempt_is(attempts):
    """It comes in before the agent, and goes after it."""
    seen = []

    class Traced(Attempts):
        @contextmanager
        def tracer(self):
            seen.append("in")
            yield
            seen.append("out")

    with Traced(attempts.log, attempts.recorder, attempts.store).attempt(attempts.begun()) as scope:
        seen.append("agent")
        assert current() is scope

    assert seen == ["in", "agent", "out"]
