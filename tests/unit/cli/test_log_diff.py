"""`agl log diff`: what happened between two positions."""

import json

import pytest

from agl_core.events import ResourcesPromoted, ResourcesPublished, RewardWithdrawn
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft


@pytest.fixture
def told(ask, story):
    """What it says, as JSON."""
    return lambda *arguments: json.loads(ask("log", "diff", "--log", story.path, "--json", *arguments).stdout)


@pytest.fixture
def position(story):
    """Of the first event of a type."""

    def of(type_):
        with SqliteLog(story.path, readonly=True) as log:
            return next(iter(log.read(types=[type_], limit=1))).position

    return of


def test_all_that_happened_is_counted_by_type(story, told):
    """From the beginning to the end: every event once."""
    found = told("--from", 0)

    with SqliteLog(story.path, readonly=True) as log:
        assert sum(one["count"] for one in found["events"]) == log.head() == found["to"]
    assert {"type": "call.recorded", "count": 2} in found["events"]


def test_rollouts_are_told_by_what_became_of_them(story, told, position):
    """Those that stand as they stood are left out."""
    found = told("--from", position("attempt.started"))

    assert found["rollouts"] == [
        {"from": "preparing", "to": "succeeded", "count": 1},
        {"from": "queuing", "to": "failed", "count": 1},
    ]
    assert [one["rollout_id"] for one in found["changed"]["first"]] == [story.good, story.bad]


def test_rewards_runs_weights_and_batches_are_told(story, told, position):
    """With their positions, where they are few."""
    found = told("--from", position("attempt.started"))

    (reward,) = found["rewards"]
    assert (reward["name"], reward["given"], reward["mean"]) == ("primary", 1, 0.875)
    assert [one["what"] for one in found["runs"]["first"]] == ["run.finished"]
    assert [(one["policy"], one["version"]) for one in found["policies"]["first"]] == [("policy", 1)]
    assert [one["rows"] for one in found["batches"]["first"]] == [1]


def test_what_was_withdrawn_and_promoted_is_told(story, told):
    """A reward that was given long before, too."""
    with SqliteLog(story.path, projections=CORE) as log:
        ((reward,),) = log.rows("select id from rewards")
        after = log.head()
        log.append([
            Draft(stream=f"rollout/{story.good}", event=RewardWithdrawn(rollout_id=story.good, reward=reward, why="x")),
            Draft(stream="resources/rs-1", event=ResourcesPublished(resources_id="rs-1", version=1, resources={})),
            Draft(stream="resources/rs-1", event=ResourcesPromoted(resources_id="rs-1", version=1, why="the best")),
        ])  # fmt: skip

    found = told("--from", after)

    assert [one["reward_id"] for one in found["withdrawn"]["first"]] == [reward]
    assert [one["resource"] for one in found["published"]["first"]] == ["rs-1@1"]
    assert [(one["resource"], one["why"]) for one in found["promoted"]["first"]] == [("rs-1@1", "the best")]
    assert found["rewards"] == []


def test_a_long_list_is_cut_and_counted_whole(ask, story, told):
    """It says how to see all of it."""
    found = told("--from", 0, "--limit", 1)
    shown = ask("log", "diff", "--log", story.path, "--from", 0, "--limit", 1)

    assert (found["changed"]["count"], len(found["changed"]["first"])) == (3, 1)
    assert "1 of 3: --limit 0 shows all" in shown.stderr
    assert "rollouts (3)" in shown.stdout


def test_nothing_happens_between_a_position_and_itself(ask, story):
    """And that is no error."""
    shown = ask("log", "diff", "--log", story.path, "--from", 3, "--to", 3)

    assert (shown.exit_code, shown.stdout) == (0, "from 3 to 3: 0 events\n")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        (["--from", "9999"], "positions are 1 to"),
        (["--from", "1", "--to", "x"], "positions are 1 to"),
        (["--from", "5", "--to", "2"], "put the earlier one first"),
    ],
)
def test_positions_that_make_no_stretch_are_refused(ask, story, arguments, why):
    """Coded, with those there are."""
    refused = ask("log", "diff", "--log", story.path, *arguments)

    assert refused.exit_code == 1
    assert "BAD_VALUE" in refused.stderr
    assert why in refused.stderr
