"""A forked process writes through the one it was forked from, whatever that was doing at the moment."""

from __future__ import annotations

import json
import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from agl_core.events import RewardGiven, Target
from agl_core.recorder import _forked

_PROGRAM = """
import json, os, sys, threading
import agl_core.projections
from agl_core.codec import _codec
from agl_core.events import CallRecorded, ModelCall, NoteTaken, RewardGiven, Target
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder, Scope

def write(recorder, scope, name):
    recorder.note(NoteTaken(text=name))
    target = Target(kind="rollout", id="ro-1")
    recorder.record(RewardGiven(rollout_id="ro-1", target=target, value=1.0, judge=name), scope)
    recorder.begin_call(f"ca-{name}", scope, model="policy")
    call = ModelCall(model="policy", extra={"$u32": name})
    recorder.end_call(
        CallRecorded(call_id=f"ca-{name}", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=1, latency=0.0),
        scope,
    )

def child(work):
    if (pid := os.fork()) == 0:
        try:
            work()
        finally:
            os._exit(0)
    os.waitpid(pid, 0)

with SqliteLog(sys.argv[1], projections=CORE) as log:
    recorder = Recorder(log)
    scope = Scope(recorder=recorder, run_id=None, rollout_id="ro-1", attempt_id="at-1")

    def family():
        write(recorder, scope, "child")
        child(lambda: write(recorder, scope, "grandchild"))

    if sys.argv[2] == "learning":
        # As another thread does for a moment, the first time that it meets a kind of event.
        with _codec._learning:
            child(family)
    else:
        child(family)
    for thread in threading.enumerate():
        if thread.name == "agl-forked":
            thread.join()
    for kept in recorder.of_children("at-1"):
        kept.result(timeout=30)
    log.append([])
    print(json.dumps([[record.event.type, getattr(record.event, "text", "")] for record in log.read()]))
    print(log.rows("select count(*) from in_flight")[0][0])
"""
_OF_ONE = ["note.taken", "reward.given", "call.recorded"]


@pytest.mark.skipif(not hasattr(os, "fork"), reason="nothing forks here")
@pytest.mark.parametrize("moment", ["any", "learning"])
def test_what_children_and_their_children_write_is_in_the_log(tmp_path, moment):
    """In their order; also when a lock is held at the moment of the fork that nobody in the child will ever open."""
    command = [sys.executable, "-c", _PROGRAM, str(tmp_path / "log.db"), moment]

    done = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    assert done.returncode == 0, done.stderr
    facts, under_way = done.stdout.splitlines()
    assert [type_ for type_, _ in json.loads(facts)] == _OF_ONE * 2
    assert [text for _, text in json.loads(facts) if text] == ["child", "grandchild"]
    assert under_way == "0"


class _Harm:
    """What a pickle could do."""

    def __reduce__(self) -> Any:
        return os.mkdir, ("harm",)


@pytest.mark.parametrize(
    "said", [_Harm(), os.getpid, Path("x"), {"plain": "data"}], ids=["call", "name", "class", "data"]
)
def test_a_child_can_tell_facts_and_nothing_else(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, said: Any):
    """It may run somebody else's code by then; whatever that says is not done here."""
    monkeypatch.chdir(tmp_path)

    with pytest.raises(pickle.UnpicklingError):
        _forked._heard(pickle.dumps(said))

    assert list(tmp_path.iterdir()) == []


def test_a_fact_is_heard_as_it_was_said():
    """With every value in it."""
    target = Target(kind="rollout", id="ro-1")
    event = RewardGiven(rollout_id="ro-1", target=target, value=1.0, judge="child")
    said = _forked.Said(recorder=1, what="record", of=_forked.Of("run-1", "ro-1", "at-1"), event=event)

    assert _forked._heard(pickle.dumps(said)) == said
