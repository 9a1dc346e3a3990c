"""`agl replay --mode score`: judges over what was said, as `agl judge` does it."""

from __future__ import annotations

import json

import pytest

import agl_core as agl

RIGHT = 'regex:{"pattern": "42"}'


@pytest.fixture(autouse=True)
def _no_plugins(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")


@pytest.fixture
def score(story, ask):
    """Type the command, about the story's run."""
    return lambda *words: ask("replay", story.run, "--mode", "score", *words, "--log", story.path)


def facts(story, *types):
    """Events of these types, each with what it stands in."""
    with agl.open_log(str(story.path), readonly=True) as log:
        return [record.event for record in log.read(types=types)]


def test_a_new_judge_over_old_rollouts_gives_rewards_that_name_it(story, score):
    """Called as the judge; no `primary` changes, no call is recorded, and the batch stays what it was."""
    before = facts(story, "batch.formed", "call.recorded")

    done = score("--judge", RIGHT, "--json")

    told = json.loads(done.stdout)
    assert (done.exit_code, told["judged"], told["name"], told["mean"]) == (3, 1, "regex", 1.0)
    given = [(one.name, one.value, one.judge, one.target.id) for one in facts(story, "reward.given")]
    assert given[1:] == [("regex", 1.0, "regex 1", story.good)]
    assert given[0][:2] == ("primary", 0.875)
    assert facts(story, "batch.formed", "call.recorded") == before


def test_scored_twice_by_the_same_judge_writes_nothing_new(story, score):
    """Neither by this door nor by the other one: what was judged there is known here."""
    score("--judge", RIGHT)
    with agl.open_log(str(story.path), readonly=True) as log:
        head = log.head()

    told = json.loads(score("--judge", RIGHT, "--json").stdout)

    with agl.open_log(str(story.path), readonly=True) as log:
        assert log.head() == head
    assert (told["judged"], told["known"]) == (0, 1)


def test_both_doors_say_the_same(story, ask, score):
    """`agl judge` has one implementation with it: one document, one exit code."""
    here = score("--judge", RIGHT, "--json")
    there = ask("judge", "regex", story.run, "--pattern", "42", "--log", story.path, "--json")

    found, expected = json.loads(here.stdout), json.loads(there.stdout)
    assert (expected.pop("judged"), expected.pop("known")) == (found.pop("known"), found.pop("judged"))
    statuses = [[{**one, "status": ""} for one in each.pop("rollouts")] for each in (found, expected)]
    assert statuses[0] == statuses[1]
    assert found == expected
    assert here.exit_code == there.exit_code


def test_several_judges_and_a_rollout_alone(story, ask):
    """Each gives a name of its own; a rollout that is named is all that is looked at."""
    judges = ("--judge", RIGHT, "--judge", 'regex:{"pattern": "41", "as": "wrong"}')

    done = ask("replay", story.good, "--mode", "score", *judges, "--log", story.path, "--json")

    told = json.loads(done.stdout)["judges"]
    assert [(one["name"], one["mean"], one["left_out"]) for one in told] == [("regex", 1.0, {}), ("wrong", 0.0, {})]
    assert done.exit_code == 0


def test_an_option_may_stand_beside_the_judge(story, ask):
    """As everywhere, `--set` goes over what was said before."""
    words = ("--judge", "regex:pattern=41", "--set", "pattern=42")

    done = ask("replay", story.good, "--mode", "score", *words, "--log", story.path, "--json")

    assert json.loads(done.stdout)["mean"] == 1.0


@pytest.mark.parametrize(
    ("words", "told"),
    [
        ((), "say who judges"),
        (("--judge", RIGHT, "--into", "other.db"), "facts of the log that they read"),
        (("--judge", RIGHT, "--at", "3"), "a fact of today"),
        (("--judge", RIGHT, "--agent", "agents:solve"), "no agent is run"),
        (("--judge", RIGHT, "--judge", "numeric:as=n", "--set", "pattern=4"), "of several judges"),
    ],
)
def test_what_is_another_modes_is_refused(story, score, words, told):
    """A usage error that says why, before anything is written."""
    with agl.open_log(str(story.path), readonly=True) as log:
        head = log.head()

    done = score(*words)

    assert done.exit_code == 2
    assert told in done.output
    with agl.open_log(str(story.path), readonly=True) as log:
        assert log.head() == head


def test_two_judges_under_one_name_are_refused(story, score):
    """One of them would count, and the other be lost; neither has judged by then."""
    done = score("--judge", RIGHT, "--judge", "regex:pattern=41")

    assert done.exit_code == 1
    assert "BAD_VALUE" in done.output
    assert len(facts(story, "reward.given")) == 1
