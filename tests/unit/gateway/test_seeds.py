"""Seeds that a second run of the same run finds again."""

from __future__ import annotations

from agl_core.gateway._seeds import Ordinals, seed

from .conftest import admission


def test_a_seed_is_the_same_for_the_same_call_of_the_same_run():
    """Nothing but run seed, task, repeat and ordinal counts: neither ids nor time."""
    again = admission(run_id="run-2", rollout_id="ro-2", attempt_id="at-2", key="other")

    assert seed(admission(), 0) == seed(again, 0) == 613032948302521121


def test_each_part_of_a_calls_place_makes_another_seed():
    """Two calls never share their random numbers."""
    places = [admission(), admission(seed=8), admission(task_id="ta-2"), admission(repeat=1)]

    drawn = {seed(place, ordinal) for place in places for ordinal in range(2)}

    assert len(drawn) == 8


def test_a_run_without_a_seed_gives_none():
    """Then the engine draws as it likes."""
    assert seed(admission(seed=None), 0) is None


def test_ordinals_count_each_attempt_by_itself():
    """From 0, in the order calls arrive."""
    ordinals = Ordinals()

    assert [ordinals.take(attempt) for attempt in ("a", "b", "a", "a")] == [0, 0, 1, 2]
