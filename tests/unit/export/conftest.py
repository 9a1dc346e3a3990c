"""A log that has one of everything an export could lose."""

import pytest

from agl_core.events import (
    AttemptStarted,
    CallRecorded,
    Choice,
    Message,
    ModelCall,
    NoteTaken,
    RolloutEnqueued,
    Unknown,
)
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft

KEPT = {
    "events": "select * from events order by position",
    "blobs": "select id, content from blobs order by place",
    "seals": "select * from seals order by position",
}
_STARTED = AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1)


@pytest.fixture
def full(tmp_path):
    """Text and binary blobs, chains that go on, unknown types, nulls, odd letters, many groups."""
    with SqliteLog(tmp_path / "full.db", projections=CORE) as log:
        log.append([_enqueued("ro-1", {"q": 'line\nbreak \u2028 "quoted" \\ déjà vu 🙂 \x00'})])
        log.append([Draft(stream="rollout/ro-1", event=_STARTED)])
        log.append([Draft(stream="log", event=Unknown(name="weather.changed", version=3, data={"sky": [1e300, -0.0]}))])
        messages = ()
        for turn in range(6):
            messages = (*messages, Message(role="user", content=f"Frage {turn}: wofür?"))
            log.append([_called(f"ca-{turn}", messages, turn)])
        log.append([Draft(stream="run/1", event=NoteTaken(text=str(number)), key=f"k{number}") for number in range(20)])
        yield log


def _enqueued(rollout_id, task):
    event = RolloutEnqueued(rollout_id=rollout_id, input=task, task_id="ta-1")
    return Draft(stream=f"rollout/{rollout_id}", event=event, correlation_id="run-1")


def _called(call_id, messages, turn):
    answer = Choice(message=Message(role="assistant", content="42"), token_ids=(5, 6), logprobs=(-0.5, -0.25))
    call = ModelCall(model="m", messages=messages, choices=(answer,), prompt_token_ids=tuple(range(300 + 300 * turn)))
    return Draft(
        stream="rollout/ro-1",
        event=CallRecorded(
            call_id=call_id, rollout_id="ro-1", attempt_id="at-1", call=call, started_at=turn, latency=0.25 * turn
        ),
    )


@pytest.fixture
def kept():
    """All that an export has to have, table by table."""
    return lambda log: {table: log.rows(sql) for table, sql in KEPT.items()}
