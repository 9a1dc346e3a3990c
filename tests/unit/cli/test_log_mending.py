"""The commands that find out what is wrong with a log, and mend it."""

import asyncio
import contextlib
import json
import sqlite3

import pytest

from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.store import Store


@pytest.fixture
def changed(story):
    """Type at the file with a tool that knows nothing of us."""

    def change(*statements):
        with contextlib.closing(sqlite3.connect(story.path, isolation_level=None)) as db:
            for name in ("events_stay", "events_last"):
                db.execute(f"drop trigger if exists {name}")
            for statement in statements:
                db.execute(statement)

    return change


def test_a_quick_look_does_not_fold(ask, story, changed):
    """`--deep` does; both say which it was."""
    changed("update runs set seed = 8")

    quick = ask("log", "verify", "--log", story.path, "--json")
    deep = ask("log", "verify", "--deep", "--log", story.path, "--json")

    assert (quick.exit_code, deep.exit_code) == (0, 1)
    assert [json.loads(one.stdout)["deep"] for one in (quick, deep)] == [False, True]


def test_a_quick_look_sees_that_a_fact_was_changed(ask, story, changed):
    """By its seal."""
    changed("update events set recorded_at = 0 where position = 2")

    told = json.loads(ask("log", "verify", "--log", story.path, "--json").stdout)

    assert [finding["what"] for finding in told["findings"]] == ["seal"]


def test_a_log_that_lost_something_is_recovered_in_part(ask, story, changed):
    """Exit code 3, where and why; the new log is sound."""
    changed("delete from events where position = 2")
    target = story.path.with_name("mended.db")

    done = ask("log", "recover", story.path, target, "--json")

    told = json.loads(done.stdout)
    assert done.exit_code == 3
    assert [(one["first"], one["last"]) for one in told["lost"]] == [(2, 2)]
    assert ask("log", "verify", "--deep", "--log", target).exit_code == 0


def test_a_whole_log_is_recovered_whole(ask, story):
    """Said to a person in one line."""
    target = story.path.with_name("mended.db")

    done = ask("log", "recover", story.path, target)

    assert done.exit_code == 0
    assert len(done.stdout.splitlines()) == 1
    assert "of" in done.stdout


def test_compaction_can_be_asked_first(ask, story):
    """The same numbers; then the space is given back, and nothing is left to erase."""
    store = Store(SqliteLog(story.path, projections=CORE))
    asyncio.run(store.delete_rollout(story.good))
    store.close()
    store.log.close()

    would = json.loads(ask("log", "compact", "--dry-run", "--log", story.path, "--json").stdout)
    done = json.loads(ask("log", "compact", "--vacuum", "--log", story.path, "--json").stdout)
    again = ask("log", "compact", "--log", story.path).stdout

    assert (would["blobs"], would["bytes"]) == (done["blobs"], done["bytes"])
    assert done["blobs"] > 0
    assert again == "0 blobs (0 B) of 1 deleted rollouts erased\n"
    assert ask("log", "verify", "--deep", "--log", story.path).exit_code == 0


def test_a_rollout_is_erased_in_a_copy(ask, story):
    """And the copy is sound."""
    target = story.path.with_name("copy.db")
    stream = f"rollout/{story.good}"

    done = json.loads(ask("log", "copy", story.path, target, "--erase", stream, "--why", "asked", "--json").stdout)

    assert list(done["erased"]) == [stream]
    assert ask("log", "verify", "--deep", "--log", target).exit_code == 0
    assert ask("rollouts", "show", story.good, "--log", target).exit_code == 1


def test_what_is_not_there_is_not_mended(ask, tmp_path):
    """By name, with its code."""
    nothing = tmp_path / "nothing.db"
    for command in (
        ["compact", "--log", nothing],
        ["copy", nothing, tmp_path / "a"],
        ["recover", nothing, tmp_path / "a"],
    ):
        done = ask("log", *command, "--json")
        assert (done.exit_code, json.loads(done.stderr)["error"]["code"]) == (1, "LOG_NOT_FOUND")
    assert list(tmp_path.iterdir()) == []
