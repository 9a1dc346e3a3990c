"""Stories into a log: whole or not at all, once, in a run of their own; a process that dies leaves no half of one."""

import json
import signal
import subprocess
import sys

import pytest

from agl_core.errors import BadValue, ImportRefused, ImportWrongFormat
from agl_core.importing import FORMATS, import_rows

CHAT = {"messages": [{"role": "user", "content": "hi"}, {"role": "assistant", "content": "hello"}]}


def test_the_rollouts_are_in_a_run_of_their_own(log, lines):
    """It is named by its source, it is over, and the newest, so that what asks for the last run finds it."""
    came = import_rows(log, "jsonl", lines(CHAT))

    assert log.rows("select run_id, algorithm, agent, status from runs") == [
        (came.run_id, "import", "imported", "finished")
    ]
    assert log.rows("select distinct run_id from rollouts") == [(came.run_id,)]


def test_a_name_makes_another_run(log, lines):
    """Of the same name and format it is the same run; a trajectory is in the first that it came to."""
    named = import_rows(log, "jsonl", lines(CHAT), name="train")
    again = import_rows(log, "jsonl", lines(CHAT, {"messages": [*CHAT["messages"], *CHAT["messages"]]}), name="train")
    other = import_rows(log, "jsonl", lines(CHAT), name="test")

    assert named.run_id == again.run_id != other.run_id
    assert log.rows("select count(*) from runs") == [(1,)]


def test_nothing_to_import_leaves_no_run(log, lines):
    """A source of which everything is refused makes no run."""
    came = import_rows(log, "jsonl", lines("{"))

    assert (came.refused, log.head()) == (1, 0)


def test_nobody_is_handed_what_was_imported(log, lines):
    """It is over: no runner finds it in the queue."""
    import_rows(log, "jsonl", lines(CHAT))

    assert log.rows("select count(*) from queue") == [(0,)]
    assert log.rows("select count(*) from in_flight") == [(0,)]


def test_a_reason_of_the_log_is_of_one_story(log, lines):
    """A number that no log holds is found where it is written, and costs that line."""
    huge = {"messages": [CHAT["messages"][0], {"role": "assistant", "content": "x", "logprob": 1e400}]}

    came = import_rows(log, "jsonl", lines(CHAT, json.dumps(huge).replace("Infinity", "1e400"), CHAT))

    assert (came.rollouts, came.refused) == (2, 1)


@pytest.mark.parametrize(
    ("format", "text", "looks_like"),
    [
        ("otlp", CHAT, "chats in JSON lines"),
        ("atif", CHAT, "chats in JSON lines"),
        ("jsonl", {"resourceSpans": []}, "OTLP in JSON"),
        ("jsonl", {"schema_version": "ATIF-v1.8", "agent": {}, "steps": []}, "a trajectory of ATIF"),
        ("jsonl", {"conversations": []}, "ShareGPT"),
        ("agl-v0.3", CHAT, "chats in JSON lines"),
        ("jsonl", {"position": 1, "stream": "run/1", "type": "run.started"}, "an export of a log of ours"),
    ],
)
def test_another_format_is_told_by_its_looks(log, lines, format, text, looks_like):
    """Nothing is written, and the message says which it looks like, and what to do."""
    with pytest.raises(ImportWrongFormat, match=looks_like):
        import_rows(log, format, lines(text))

    assert log.head() == 0


def test_a_document_over_many_lines_is_looked_at_too(log, tmp_path):
    """JSON that was made pretty is the same format."""
    path = tmp_path / "trajectory.json"
    path.write_text(json.dumps({"schema_version": "ATIF-v1.8", "agent": {}, "steps": []}, indent=2))

    with pytest.raises(ImportWrongFormat, match="a trajectory of ATIF"):
        import_rows(log, "jsonl", path)


def test_names_further_in_say_nothing_of_the_format(log, lines):
    """A line that is longer than what is looked at, with the words of every other format inside, and beside."""
    others = {name: {} for name in ("schema_version", "agent", "steps", "resourceSpans", "conversations", "position")}
    long = {
        "schema_version": "2",
        "tools": [others],
        "messages": [{"role": "user", "content": "x" * 100_000, **others}],
    }

    came = import_rows(log, "jsonl", lines(CHAT | {"schema_version": "2"}, long, name="one.jsonl"))
    again = import_rows(log, "jsonl", lines(long, name="other.jsonl"))

    assert (came.rollouts, came.refused, again.refused) == (1, 1, 1)
    assert "no assistant message" in again.reasons[0].why


def test_a_log_is_no_source(log, lines):
    """A database is named for what it is, with the way to read it."""
    with pytest.raises(ImportWrongFormat, match="give it as --log"):
        import_rows(log, "jsonl", log.path)


def test_a_source_that_is_not_there_is_refused(log, tmp_path):
    """And so is a folder without a trajectory, and a format that nobody knows."""
    with pytest.raises(ImportRefused, match="nothing is there"):
        import_rows(log, "jsonl", tmp_path / "none.jsonl")
    with pytest.raises(ImportRefused, match="http://localhost:4747"):
        import_rows(log, "agl-v0.3", "localhost:4747")
    with pytest.raises(ImportRefused, match=r"no trajectory\*\.json is in it"):
        import_rows(log, "atif", tmp_path)
    with pytest.raises(BadValue, match="known are atif"):
        import_rows(log, "csv", tmp_path)
    assert set(FORMATS) == {"atif", "jsonl", "otlp", "agl-v0.3"}


def test_a_process_that_is_killed_leaves_whole_stories_and_the_next_completes_them(log, lines, tmp_path):
    """Killed in the middle of some hundred lines: every rollout there is over, and a second import ends it."""
    chats = [{"messages": [{"role": "user", "content": str(n)}, CHAT["messages"][1]]} for n in range(600)]
    path = lines(*chats)
    target = tmp_path / "killed.db"
    program = (
        "import os, signal, sys\n"
        "from agl_core.importing import import_rows\n"
        "from agl_core.log import SqliteLog\n"
        "from agl_core.projections import CORE\n"
        "def told(done, of):\n"
        "    if done == 150: os.kill(os.getpid(), signal.SIGKILL)\n"
        "with SqliteLog(sys.argv[1], projections=CORE) as log:\n"
        "    import_rows(log, 'jsonl', sys.argv[2], progress=told)\n"
    )
    done = subprocess.run([sys.executable, "-c", program, str(target), str(path)], check=False, timeout=120)
    assert done.returncode == -signal.SIGKILL

    from agl_core.log import SqliteLog, verify
    from agl_core.projections import CORE

    with SqliteLog(target, projections=CORE) as left:
        before = left.rows("select status, count(*) from rollouts group by 1")
        came = import_rows(left, "jsonl", path)
        assert list(verify(left)) == []
        after = left.rows("select status, count(*) from rollouts group by 1")
        assert left.rows("select status from runs") == [("finished",)]

    ((status, count),) = before
    assert status == "succeeded"
    assert 150 <= count < 600
    assert (came.rollouts, came.known) == (600 - count, count)
    assert after == [("succeeded", 600)]
