"""Logs, rollouts and code that no agent can be run again on: each is told with its reason and its cure."""

import socket
import sqlite3
import sys

import httpx
import pytest

import agl_core as agl
from agl_core.errors import AglError, LogExists, NotReplayable, ReplayUnmatched, UnknownId
from agl_core.events import AttemptFinished, AttemptStarted, CallRecorded, Message, ModelCall, RolloutEnqueued, Unknown
from agl_core.export import export_log
from agl_core.hookspecs import hookimpl
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.replay import replay

AGENT = '''
import agl_core as agl
import httpx

@agl.rollout
async def once(task, llm):
    """One question."""
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{llm.endpoint}/chat/completions",
            json={"model": llm.model, "messages": [{"role": "user", "content": str(task)}]},
            headers={"authorization": f"Bearer {llm.api_key}"},
        )
    return float(len(reply.json()["choices"][0]["message"]["content"]))


@agl.rollout
async def louder(task, llm):
    """Another one."""
    async with httpx.AsyncClient() as client:
        reply = await client.post(
            f"{llm.endpoint}/chat/completions",
            json={"model": llm.model, "messages": [{"role": "user", "content": f"{task}!"}]},
            headers={"authorization": f"Bearer {llm.api_key}"},
        )
    return -float(len(reply.json()["choices"][0]["message"]["content"]))
'''


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Where an agent lies that can be imported."""
    place = tmp_path_factory.mktemp("code")
    (place / "asking_once.py").write_text(AGENT)
    with pytest.MonkeyPatch.context() as patch:
        patch.syspath_prepend(place)
        yield place
        sys.modules.pop("asking_once", None)


@pytest.fixture(scope="module")
def recorded(record_once, folder):
    """An agent that its log can find again."""
    import asking_once

    return record_once(asking_once.once, "five!")


def begun(path, *events):
    """A log of one attempt, as far as these events go."""
    asked = RolloutEnqueued(rollout_id="ro-1", input={}, task_id="ta-1")
    started = AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1)
    with SqliteLog(path, projections=CORE) as log:
        log.append([Draft(stream="rollout/ro-1", event=event) for event in (asked, started, *events)])
    return path


def test_the_agent_is_found_by_the_name_that_its_run_has(recorded):
    """Nobody has to say which it was."""
    again = replay(recorded.path, recorded.rollouts[0], plugins=recorded.plugins)

    assert again.is_same
    assert again.now.reward == 5.0


def test_two_runs_in_one_log_have_each_its_own_agent(record, folder):
    """Each rollout is replayed with the code of its own run."""
    import asking_once

    record(asking_once.once, "one")
    both = record(asking_once.louder, "other")

    again = [replay(both.path, rollout_id, plugins=both.plugins) for rollout_id in both.rollouts]

    assert [one.is_same for one in again] == [True, True]
    assert [one.now.reward for one in again] == [3.0, -5.0]


def test_an_export_is_replayed_as_its_log_is(recorded, tmp_path):
    """The replay's own log lies beside it; the export stays as it is."""
    export = tmp_path / "run.jsonl"
    with recorded.read() as log:
        export_log(log, export)
    before = export.read_bytes()

    again = replay(export, recorded.rollouts[0], plugins=recorded.plugins)

    assert again.is_same
    assert again.log.is_relative_to(tmp_path / "run.jsonl.d")
    assert again.log.exists()
    assert export.read_bytes() == before


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (None, "cannot be found"),
        ("import no_such_module", "cannot be found|cannot be imported"),
        ("raise RuntimeError('at its import')", "RuntimeError: at its import"),
        ("once = 5", "cannot be found"),
    ],
    ids=["gone", "needs another", "raises", "something else"],
)
def test_an_agent_that_is_not_what_it_was_is_named(recorded, folder, monkeypatch, source, why):
    """With the way to say where it is now; nothing is written."""
    monkeypatch.delitem(sys.modules, "asking_once", raising=False)
    place = folder.parent / "elsewhere"
    place.mkdir(exist_ok=True)
    (place / "asking_once.py").write_text(source or "")
    monkeypatch.syspath_prepend(place)

    with pytest.raises(NotReplayable, match=why) as told:
        replay(recorded.path, recorded.rollouts[0], plugins=recorded.plugins, into=place / "own.db")

    assert "--agent" in str(told.value)
    assert not (place / "own.db").exists()


def test_a_rollout_of_no_run_needs_to_be_told_its_agent(tmp_path, recorded):
    """Nothing says which it was."""
    log = begun(tmp_path / "log.db", ended())

    with pytest.raises(NotReplayable, match="belongs to no run"):
        replay(log, "ro-1", plugins=recorded.plugins)


def ended():
    """The attempt came to its end."""
    return AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="completed")


def test_an_attempt_that_is_under_way_is_refused(tmp_path, recorded):
    """How it is to end nobody knows."""
    log = begun(tmp_path / "log.db")

    with pytest.raises(NotReplayable, match="had not come to an end by position 2"):
        replay(log, "ro-1", plugins=recorded.plugins, agent=recorded.agent)


def test_a_log_is_read_as_far_as_is_said(recorded):
    """Before its end, the attempt is one that is under way."""
    with recorded.read() as log:
        (end,) = [record.position for record in log.read(types=["attempt.finished"])]

    with pytest.raises(NotReplayable, match=f"by position {end - 1}"):
        replay(recorded.path, recorded.rollouts[0], plugins=recorded.plugins, at=end - 1)


def test_a_log_that_is_written_meanwhile_is_read_as_it_was(recorded):
    """What comes later is not seen, and the writer is not disturbed."""
    with SqliteLog(recorded.path, projections=CORE) as writer:

        async def writes(question, found):
            late = RolloutEnqueued(rollout_id="ro-late", input={}, task_id="ta-1")
            writer.append([Draft(stream="rollout/ro-late", event=late, key="late")])

        again = recorded.replay(on_call=writes)

    assert again.is_same
    (started,) = recorded.events("replay.started", again.log)
    with recorded.read() as log:
        assert started.head < log.head()


def test_an_id_that_there_is_not(recorded):
    """It is the id that is wrong, and not the replay."""
    with pytest.raises(UnknownId, match="ro-nobody"):
        replay(recorded.path, "ro-nobody", plugins=recorded.plugins)


def test_a_place_that_is_taken_is_left_alone(recorded, tmp_path):
    """A replay is written over nothing."""
    taken = tmp_path / "taken.db"
    taken.write_text("mine")

    with pytest.raises(LogExists):
        recorded.replay(into=taken)

    assert taken.read_text() == "mine"


def test_a_log_without_what_was_said_is_refused(recorded, tmp_path):
    """Its blobs are gone: there is nothing to answer with."""
    bare = tmp_path / "bare.db"
    with sqlite3.connect(recorded.path) as there, sqlite3.connect(bare) as here:
        there.backup(here)
        for (trigger,) in here.execute("select name from sqlite_master where type = 'trigger'").fetchall():
            here.execute(f"drop trigger {trigger}")
        here.execute("delete from blobs")
    here.close()
    there.close()

    with pytest.raises(NotReplayable, match=r"blob .* is missing") as told:
        replay(bare, recorded.rollouts[0], plugins=recorded.plugins, agent=recorded.agent)

    assert "agl log verify" in str(told.value)


def test_a_call_of_which_nobody_knows_what_came_ends_the_replay(tmp_path, recorded):
    """The process died in the middle of it."""
    call = CallRecorded(
        call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", started_at=0, latency=0.0, status="unknown",
        call=ModelCall(model="policy", messages=(Message(role="user", content="hello"),)),
    )  # fmt: skip
    log = begun(tmp_path / "log.db", call, ended())

    again = replay(log, "ro-1", plugins=recorded.plugins, agent=direct)

    assert isinstance(again.departed, NotReplayable)
    assert "ca-1" in str(again.departed)


@agl.rollout
async def direct(task):
    """Asks a provider itself, which is not there."""
    async with httpx.AsyncClient() as client:
        said = {"model": "policy", "messages": [{"role": "user", "content": "hello"}]}
        await client.post("https://api.example.com/v1/chat/completions", json=said)


def test_an_agent_that_asks_where_none_did_departs(tmp_path, recorded):
    """Another agent, say, or one that asked through a library that nobody hears: nothing leaves either way."""
    log = begun(tmp_path / "log.db", ended())

    again = replay(log, "ro-1", plugins=recorded.plugins, agent=direct)

    assert isinstance(again.departed, ReplayUnmatched)


@agl.rollout
def reaching(task):
    """Tries to get out, and takes it well when it cannot."""
    try:
        socket.create_connection(("192.0.2.1", 9), timeout=1)
    except AglError as error:
        agl.emit_reward({"denied": float(error.code == "NETWORK_DENIED")})


def test_what_an_agent_wanted_of_other_machines_is_told(tmp_path, recorded):
    """It is not let out, and what it does then is compared as everything is."""
    log = begun(tmp_path / "log.db", ended())

    again = replay(log, "ro-1", plugins=recorded.plugins, agent=reaching)

    assert again.denied == ("192.0.2.1:9",)
    assert again.differs == {"reward": {"then": {}, "now": {"primary": 1.0}}}


@agl.rollout
def failing(task):
    """Raises."""
    raise ValueError("no such thing")


def test_another_error_is_another_end(tmp_path, recorded):
    """Both attempts raised; what they raised is not the same."""
    raised = AttemptFinished(
        rollout_id="ro-1", attempt_id="at-1", exit_status="agent_raised", error="KeyError: 'a' at agent.py:3"
    )
    log = begun(tmp_path / "log.db", raised)

    again = replay(log, "ro-1", plugins=recorded.plugins, agent=failing)

    assert again.differs["error"]["then"] == "KeyError: 'a' at agent.py:3"
    assert again.differs["error"]["now"].startswith("ValueError: no such thing")


class Redacting:
    """Keeps a secret out of the log."""

    @hookimpl
    def agl_redact(self, draft):
        """Every call of it."""
        match draft.event:
            case CallRecorded(call=ModelCall(messages=messages) as call) as event if messages:
                from dataclasses import replace

                clean = tuple(
                    replace(one, content=one.content.replace("hunter2", "[REDACTED:password:1f]")) for one in messages
                )
                return replace(draft, event=replace(event, call=replace(call, messages=clean)))
        return None


def test_a_plugin_that_is_gone_is_told_of_and_its_facts_are_in_nobodys_way(record, folder):
    """The agent runs without it; whether that makes a difference, its calls say."""
    import asking_once

    recorded = record(asking_once.once, "ok", extra=object())
    strange = Unknown(name="extra.thing", version=1, data={"rollout_id": recorded.rollouts[0], "size": 3})
    with SqliteLog(recorded.path, projections=CORE) as log:
        log.append([Draft(stream=f"rollout/{recorded.rollouts[0]}", event=strange)])

    again = recorded.replay(plugins=Plugins.load())

    assert again.is_same
    assert dict(again.plugins) == {"extra": (None, None)}


def test_a_secret_that_was_redacted_is_the_same_secret_again(record, folder):
    """What is asked is redacted before it is compared."""
    import asking_once

    recorded = record(asking_once.once, "ok", tasks=[{"password": "hunter2"}], extra=Redacting())

    again = recorded.replay()

    assert again.is_same
    assert "hunter2" not in str(recorded.events("call.recorded") + recorded.events("call.recorded", again.log))
