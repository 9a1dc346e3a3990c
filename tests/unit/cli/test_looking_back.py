"""`--at POSITION`: the commands that show what is in a log, of the log as it was."""

import json

import pytest

from agl_core.log import SqliteLog

COMMANDS = [
    ("runs", "list"),
    ("runs", "show"),
    ("rollouts", "list", "--run", "run"),
    ("rollouts", "show", "{good}", "--tree"),
    ("resources", "list"),
    ("log", "query", "select rollout_id, status, reward from rollouts order by position"),
]


@pytest.fixture
def head(story):
    """Where the story ends."""
    with SqliteLog(story.path, readonly=True) as log:
        return log.head()


@pytest.fixture
def position(story):
    """Of the first event of a type."""

    def of(type_):
        with SqliteLog(story.path, readonly=True) as log:
            return next(iter(log.read(types=[type_], limit=1))).position

    return of


@pytest.mark.parametrize("command", COMMANDS, ids=lambda command: "-".join(command[:2]))
def test_at_its_end_the_past_is_the_present(ask, story, head, command):
    """Whatever is asked."""
    said = [word.format(good=story.good) for word in command]

    now = ask(*said, "--log", story.path, "--json")
    then = ask(*said, "--log", story.path, "--json", "--at", head)

    assert (then.exit_code, then.stdout) == (0, now.stdout)


def test_a_rollout_is_shown_as_it_was(ask, story, position):
    """While it was at work, it had said something, and earned nothing."""
    at = position("call.recorded")

    shown = ask("rollouts", "show", story.good, "--log", story.path, "--at", at, "--json")

    found = json.loads(shown.stdout)
    assert (found["status"], found["reward"], found["rewards"]) == ("running", None, [])
    assert sum(len(one["calls"]) for one in found["conversations"]) == 1


def test_a_run_that_ran_then_is_not_called_interrupted(ask, story, position):
    """Nobody knows today whether its process was alive: it was what its log said."""
    (run,) = json.loads(ask("runs", "list", "--log", story.path, "--at", position("call.recorded"), "--json").stdout)

    assert (run["status"], run["ended_at"], run["reward"]) == ("running", None, None)


def test_lists_and_queries_end_where_the_log_did(ask, story, position):
    """Those that were enqueued in one transaction came one by one all the same."""
    at = position("rollout.enqueued")

    listed = json.loads(ask("rollouts", "list", "--log", story.path, "--at", at, "--json").stdout)
    told = json.loads(ask("log", "info", "--log", story.path, "--at", at, "--json").stdout)

    assert [one["rollout_id"] for one in listed] == [story.good]
    assert (told["head"], told["events"], told["rollouts"]) == (at, at, 1)


def test_what_was_not_there_yet_is_unknown(ask, story, position):
    """By its whole id, or by its beginning."""
    at = position("rollout.enqueued")

    for given in (story.bad, story.bad[:-1]):
        refused = ask("rollouts", "show", given, "--log", story.path, "--at", at)

        assert refused.exit_code == 1
        assert "UNKNOWN_ID" in refused.stderr


@pytest.mark.parametrize("given", ["0", "99999", "yesterday"])
def test_what_is_no_position_is_refused_with_those_there_are(ask, story, head, given):
    """One that has not come yet, too."""
    refused = ask("rollouts", "list", "--log", story.path, "--at", given)

    assert refused.exit_code == 1
    assert f"positions are 1 to {head}, and the last is `now`" in refused.stderr


def test_a_log_is_exported_as_it_was(ask, story, position, tmp_path):
    """And opens as a log that ends there."""
    at = position("attempt.started")

    ask("log", "export", tmp_path / "then.jsonl", "--log", story.path, "--at", at)

    assert ask("log", "head", "--log", tmp_path / "then.jsonl").stdout == f"{at}\n"
