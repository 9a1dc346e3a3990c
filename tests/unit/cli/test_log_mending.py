"""The commands that find out what is wrong with a log, and mend it."""

import contextlib
import json
import sqlite3

import pytest


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
