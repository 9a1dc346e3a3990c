"""Ratios are taken round by round, and what follows from them is said once."""

import math

import pytest


def test_a_spread_is_a_median_and_the_ends(harness):
    """In whatever order the rounds came."""
    spread = harness.Spread.of([5.0, 1.0, 3.0])

    assert (spread.median, spread.low, spread.high) == (3.0, 1.0, 5.0)


def test_a_ratio_is_of_one_round_not_of_two_medians(harness):
    """A machine that is slow for a round slows both, and the ratio stays."""
    figures = {"ours": (10.0, 2.0, 40.0), "peer": (5.0, 1.0, 10.0)}

    spread = harness.Comparison(over="peer").spread(figures)

    assert (spread.median, spread.low, spread.high) == (2.0, 2.0, 4.0)


def test_a_ratio_to_nothing_has_no_end(harness):
    """And is no reason to fail."""
    assert harness.Comparison(over="peer").spread({"ours": (1.0,), "peer": (0.0,)}).median == math.inf


@pytest.mark.parametrize(
    ("bounds", "met", "goal"),
    [
        ({"at_least": 2}, True, ">= 2"),
        ({"at_least": 2.5}, False, ">= 2.5"),
        ({"at_most": 2}, True, "<= 2"),
        ({"at_most": 1.2}, False, "<= 1.2"),
        ({"at_least": 1, "at_most": 3}, True, ">= 1 and <= 3"),
        ({}, None, ""),
    ],
)
def test_a_goal_is_met_by_the_median(harness, bounds, met, goal):
    """Without bounds there is no goal."""
    comparison = harness.Comparison(over="peer", **bounds)
    figures = {"ours": (2.0, 4.0, 1.0), "peer": (1.0, 2.0, 1.0)}

    assert comparison.is_met(comparison.spread(figures)) is met
    assert comparison.goal == goal


def test_a_contestant_that_is_missing_leaves_a_gap(harness):
    """In the table, in the JSON, and not in the figures of others."""
    measure = harness.Measure(
        name="appends", unit="events/s", figures={"ours": (1.0,)},
        comparisons=(harness.Comparison(over="peer", at_least=8, row=1),),
    )  # fmt: skip

    (compared,) = measure.as_json()["comparisons"]

    assert compared == {
        "name": "ours / peer", "median": None, "low": None, "high": None, "row": 1, "goal": ">= 8", "met": None,
    }  # fmt: skip
    assert "not measured" in measure.table()


def test_all_take_part_in_every_round_and_take_turns_at_being_first(harness):
    """The first round is thrown away: caches fill."""
    heard = []

    def contestant(name):
        def take_part():
            heard.append(name)
            return {"turn": float(len(heard))}

        return take_part

    rounds = harness.interleaved("a bench", {name: contestant(name) for name in "abc"}, rounds=2)

    assert "".join(heard) == "abc" + "bca" + "cab"
    assert rounds.measure("turns", "turn").figures == {"a": (6.0, 8.0), "b": (4.0, 9.0), "c": (5.0, 7.0)}
    assert len(rounds.calibration) == 2


def test_a_quick_run_does_little_of_everything(harness):
    """What is asked for by number is done."""
    quick = harness.Options(quick=True)

    assert (quick.rounds_or(7), quick.scaled(1000), quick.scaled(10)) == (2, 50, 1)
    assert harness.Options(quick=True, rounds=5).rounds_or(7) == 5
    assert harness.Options().scaled(1000) == 1000
