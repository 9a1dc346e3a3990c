"""What the agent of an attempt asked, as the log has it."""

from __future__ import annotations

import sqlite3

import pytest

from agl_core.errors import NotReplayable, UnknownId
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    BlobsErased,
    CallRecorded,
    CaptureLost,
    Choice,
    Message,
    ModelCall,
    RolloutEnqueued,
    RolloutFinished,
)
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.replay._tape import Tape

_SECOND = 1_000_000_000


def call(number, attempt=1, *, at=None, took=1.0, text="Hello.", **fields):
    """Recorded as `ca-<number>`; by default, one after the other."""
    told = Choice(message=Message(role="assistant", content=f"answer {number}"))
    asked = ModelCall(model="policy", messages=(Message(role="user", content=text),), choices=(told,))
    began = round((100 + (number * 10 if at is None else at)) * _SECOND)
    return CallRecorded(
        call_id=f"ca-{number}", rollout_id="ro-1", attempt_id=f"at-{attempt}", call=asked, started_at=began,
        latency=took, **fields,
    )  # fmt: skip


def started(attempt=1):
    """An attempt began."""
    return AttemptStarted(rollout_id="ro-1", attempt_id=f"at-{attempt}", sequence=attempt, worker_id="wk", token=1)


def ended(attempt=1, **fields):
    """And came to an end."""
    return AttemptFinished(rollout_id="ro-1", attempt_id=f"at-{attempt}", exit_status="completed", **fields)


SETTLED = RolloutFinished(rollout_id="ro-1", status="succeeded", exit_status="completed", attempt_id="at-1")


@pytest.fixture
def log():
    """A log in memory."""
    with SqliteLog(":memory:") as log:
        yield log


@pytest.fixture
def tell(log):
    """Writes events of a rollout."""

    def tell(*events, rollout="ro-1"):
        return log.append([Draft(stream=f"rollout/{rollout}", event=event) for event in events])

    return tell


def ids(tape):
    """Of its calls."""
    return [one.call_id for one in tape]


def test_a_tape_is_of_the_attempt_that_settled_the_rollout(log, tell):
    """Also when another one said something after that; any other can be named."""
    lost = AttemptExpired(rollout_id="ro-1", attempt_id="at-1", exit_status="worker_lost", why="it died")
    settled = RolloutFinished(rollout_id="ro-1", status="succeeded", exit_status="completed", attempt_id="at-2")
    tell(started(1), call(1), lost, started(2), call(2, 2), ended(2), settled, call(3))

    assert (Tape.of(log, "ro-1").attempt_id, ids(Tape.of(log, "ro-1"))) == ("at-2", ["ca-2"])
    assert ids(Tape.of(log, "ro-1", "at-1")) == ["ca-1", "ca-3"]


def test_a_tape_ends_at_the_position_that_is_asked_for(log, tell):
    """As the log was then: what came later was not said yet, and the attempt was under way."""
    *_, second, _ = tell(started(), call(1), call(2), ended())
    tape = Tape.of(log, "ro-1", until=second.position - 1)

    assert (ids(tape), tape.is_over) == (["ca-1"], False)
    assert Tape.of(log, "ro-1").is_over
    assert [one.position for one in Tape.of(log, "ro-1")] == [2, 3]


def test_what_a_judge_asked_when_it_was_over_is_not_the_agents(log, tell):
    """A judge whom the agent asked is part of its program; tools are, too."""
    tell(started(), call(1, role="judge"), call(2, role="tool"), ended(), call(3, role="judge"), SETTLED)

    assert ids(Tape.of(log, "ro-1")) == ["ca-1", "ca-2"]


def test_each_try_of_a_client_is_a_call_and_knows_how_often_it_was_tried(log, tell):
    """What the gateway tried by itself stays inside of one."""
    tell(
        started(),
        call(1, status="error", error="rate_limited"),
        call(2, status="error", error="upstream_timeout", retry_of="ca-1", tries=("rate_limited",)),
        call(3, retry_of="ca-2", tries=("rate_limited", "upstream_timeout", "endpoint_down")),
        ended(),
    )

    assert [one.tried for one in Tape.of(log, "ro-1")] == [0, 1, 2]


def test_calls_that_others_ran_beside_are_not_alone(log, tell):
    """Times tell what came after what, as far as they are there: calls without any are no evidence."""
    tell(
        started(), call(1, at=0), call(2, at=5, took=3), call(3, at=6), call(4, at=9), call(5, at=20, took=0),
        call(6, at=20, took=0), ended(),
    )  # fmt: skip

    assert Tape.of(log, "ro-1").alone == {"ca-1", "ca-4"}


def test_the_branch_and_the_number_in_it_are_read_from_the_place(log, tell):
    """Null where there is none."""
    tell(started(), call(1, place="solve0.ask2:11"), call(2, place=":0"), call(3), ended())

    found = [(one.branch, one.ordinal) for one in Tape.of(log, "ro-1")]

    assert found == [("solve0.ask2", 11), ("", 0), (None, 0)]


def test_an_attempt_without_calls_has_an_empty_tape(log, tell):
    """Its agent asked no model; that can be replayed."""
    tell(started(), ended())

    assert len(Tape.of(log, "ro-1")) == 0


def test_two_rollouts_in_a_log_do_not_mix(log, tell):
    """Of two runs, or of one."""
    tell(started(), call(1), ended())
    other = AttemptStarted(rollout_id="ro-2", attempt_id="at-9", sequence=1, worker_id="wk", token=1)
    tell(other, rollout="ro-2")

    assert ids(Tape.of(log, "ro-1")) == ["ca-1"]
    assert ids(Tape.of(log, "ro-2")) == []
    with pytest.raises(UnknownId, match="at-1"):
        Tape.of(log, "ro-2", "at-1")


def test_a_rollout_that_is_not_there_is_unknown(log):
    """It is named."""
    with pytest.raises(UnknownId, match="ro-7"):
        Tape.of(log, "ro-7")


def test_a_rollout_that_nobody_tried_cannot_be_replayed(log, tell):
    """It waits in the queue."""
    tell(RolloutEnqueued(rollout_id="ro-1", input={"q": 1}, task_id="ta-1"))

    with pytest.raises(NotReplayable, match="nobody had tried it"):
        Tape.of(log, "ro-1")


def test_what_was_erased_cannot_be_replayed_and_the_other_attempts_can(tmp_path):
    """It says which call it was; a call with a hole in it would be taken for another one."""
    secret = "a secret " * 400
    events = [started(1), call(1, text=secret), ended(1), started(2), call(2, 2), ended(2), SETTLED]
    with SqliteLog(tmp_path / "run.db") as log:
        log.append([Draft(stream="rollout/ro-1", event=event) for event in events])
        gone = tuple(id_ for (id_,) in log.rows("select id from blobs where cast(content as text) like '%secret%'"))
        log.append([Draft(stream="log", event=BlobsErased(ids=gone, why="asked to"))])
    with sqlite3.connect(tmp_path / "run.db") as db:
        db.execute("delete from blobs where id = ?", gone)
    db.close()

    with SqliteLog(tmp_path / "run.db") as log:
        with pytest.raises(NotReplayable, match=r"position 2\) was erased"):
            Tape.of(log, "ro-1")
        assert ids(Tape.of(log, "ro-1", "at-2")) == ["ca-2"]


def test_what_could_not_be_kept_is_counted(log, tell):
    """Who misses a call may look there."""
    tell(started(), CaptureLost(count=2, where="agl_core.tap", why="KeyError"), call(1), ended())

    assert Tape.of(log, "ro-1").lost == 2


def test_the_first_calls_of_a_tape_are_a_tape(log, tell):
    """In the order they were written down."""
    tell(started(), call(1), call(2), call(3), ended())

    assert ids(Tape.of(log, "ro-1").first(2)) == ["ca-1", "ca-2"]
