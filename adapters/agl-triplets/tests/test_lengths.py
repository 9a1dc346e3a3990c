"""Rows that are too long for a learner: dropped whole and by name, and nothing of the others changes."""

from __future__ import annotations

from fractions import Fraction

import pytest
from agl_triplets import Triplets

from agl_core.errors import BadValue


def adapted(trace, *calls, level="trajectory", **options):
    """Of one rollout with these calls."""
    return Triplets(level, min_group=1, **options)([trace("ro-1", *calls)])


def test_a_row_that_is_too_long_is_dropped_whole(call, trace):
    """Not its tail, which is the newest context, nor its head: with every call in it, and by name."""
    calls = call("a", [1], [2]), call("b", [1, 2, 3], [4, 5]), call("c", [9], [8])

    found = adapted(trace, *calls, max_length=4)

    assert [row.token_ids for row in found.rows] == [(9, 8)]
    assert [(one.call_id, one.reason) for one in found.dropped] == [("a", "too_long"), ("b", "too_long")]
    assert (found.captured, found.kept) == (3, 1)


def test_the_longest_that_fits_is_kept(call, trace):
    """The bound is a length that is fine."""
    assert adapted(trace, call("a", [1, 2], [3, 4]), max_length=4).kept == 1
    assert adapted(trace, call("a", [1, 2], [3, 4]), max_length=3).kept == 0


def test_what_is_left_of_a_rollout_weighs_as_much_as_a_whole_one(call, trace):
    """`rollout_tokens` counts the rows that are there, so that their weights add up to one."""
    calls = call("a", [1], [2]), call("b", [1, 2, 3], [4, 5]), call("c", [9], [8]), call("d", [7], [8, 8])

    found = adapted(trace, *calls, max_length=4).rows

    assert [row.rollout_tokens for row in found] == [3, 3]
    assert sum(Fraction(sum(row.mask), row.rollout_tokens) for row in found) == 1


@pytest.mark.parametrize(
    ("level", "lost", "kept"), [("trajectory", ["a", "b"], ["c"]), ("transition", ["a"], ["b", "c"])]
)
def test_a_call_leaves_with_all_of_its_answers(call, trace, level, lost, kept):
    """A call is kept or dropped, never both; whatever shares a row with one of its answers leaves too."""
    best_of_two = call("a", [1], [2], [3, 3, 3, 3])
    calls = best_of_two, call("b", [1, 2, 5], [6]), call("c", [9], [8])

    found = adapted(trace, *calls, level=level, max_length=4)

    assert [one.call_id for one in found.dropped] == lost
    assert [row.call_ids for row in found.rows] == [(call_id,) for call_id in kept]
    assert (found.captured, found.kept) == (3, len(kept))


def test_a_member_whose_rows_are_too_long_still_makes_a_baseline(call, trace):
    """Its reward was earned, whether or not a learner has room for it."""
    long, short = trace("ro-1", call("a", [1] * 9, [2])), trace("ro-2", call("b", [1], [2]))

    found = Triplets(max_length=4)([long, short])

    assert [row.rollout_id for row in found.rows] == ["ro-2"]
    assert [one.reason for one in found.dropped] == ["too_long"]


def test_no_room_at_all_is_refused():
    """That would drop everything, by mistake."""
    with pytest.raises(BadValue, match="max_length"):
        Triplets(max_length=0)
