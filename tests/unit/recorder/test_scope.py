"""What could not be kept of an attempt is said, and costs whoever says it nothing."""

from __future__ import annotations

import asyncio

import pytest

from agl_core.events import CaptureLost
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope
from agl_core.store import Store


@pytest.fixture
def log():
    """A log in memory."""
    with SqliteLog(":memory:", projections=CORE) as opened:
        yield opened


@pytest.fixture
def scope(log):
    """An attempt that has begun."""
    store = Store(log)
    rollout = asyncio.run(store.start_rollout({"q": 1}))
    yield Scope(recorder=Recorder(log), run_id=None, rollout_id=rollout.rollout_id, attempt_id=rollout.attempt_id)
    store.close()


def test_what_is_lost_is_counted_and_warned_of(log, scope, caplog):
    """By whom and by what kind of error; its words may be the agent's, and are not repeated."""
    scope.lost("agl_toy", KeyError("a secret"), what="a run of a toy")

    for write in list(scope.pending):
        write.result()
    (record,) = [record for record in log.read() if isinstance(record.event, CaptureLost)]
    assert record.stream == f"rollout/{scope.rollout_id}"
    assert record.event == CaptureLost(count=1, where="agl_toy", why="KeyError")
    assert [(one.name, one.getMessage()) for one in caplog.records] == [
        ("agl_toy", "a run of a toy could not be kept (KeyError)")
    ]
    assert "secret" not in caplog.text


def test_a_loss_that_cannot_be_kept_either_is_warned_of(log, scope, caplog):
    """The agent works on, whatever has become of the log."""
    log.close()

    scope.lost("agl_toy", KeyError("x"))

    assert [one.getMessage().partition(" (")[0] for one in caplog.records] == [
        "a span could not be kept",
        "that it was lost cannot be kept",
    ]
