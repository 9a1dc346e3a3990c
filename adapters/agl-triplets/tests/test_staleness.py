"""Calls of weights that are too old: dropped by name, and nothing of the others changes."""

from __future__ import annotations

import pytest
from agl_triplets import Triplets

from agl_core.errors import BadValue


def adapted(trace, *calls, **options):
    """Of one rollout with these calls, while version 5 is in training."""
    return Triplets(min_group=1, current_version=5, **options)([trace("ro-1", *calls)])


def test_a_call_of_older_weights_is_dropped(call, trace):
    """One version more than is allowed is one too many; a version that is not known is not held against a call."""
    calls = (call(f"v{version}", [version], [9], policy_version=version) for version in (2, 3, 4, 5))

    found = adapted(trace, *calls, call("unknown", [1], [9], policy_version=None), max_staleness=1)

    assert [(one.call_id, one.reason) for one in found.dropped] == [("v2", "too_stale"), ("v3", "too_stale")]
    assert [row.staleness for row in found.rows] == [(1,), (0,), (None,)]
    assert (found.captured, found.kept) == (5, 3)


def test_what_was_said_after_it_is_trained_on_as_before(call, trace):
    """Its tokens stand in the prompt of the next call, where nothing is learnt from them; the rollout weighs one."""
    calls = call("old", [1], [2], policy_version=1), call("new", [1, 2, 3], [4, 5], policy_version=5)

    (row,) = adapted(trace, *calls, max_staleness=0).rows

    assert (row.token_ids, row.prompt_length, row.mask) == ((1, 2, 3, 4, 5), 3, (1, 1))
    assert row.rollout_tokens == 2


def test_an_old_rollout_stays_in_its_group(call, trace):
    """It has nothing to teach, and is still what its siblings are compared with."""
    old = trace("ro-1", call("old", [1], [2], policy_version=1), reward=0.0)
    new = trace("ro-2", call("new", [1], [2], policy_version=5, rollout_id="ro-2"))

    found = Triplets(current_version=5, max_staleness=0)([old, new])

    assert [row.rollout_id for row in found.rows] == ["ro-2"]
    assert [one.reason for one in found.dropped] == ["too_stale"]


@pytest.mark.parametrize("options", [{"max_staleness": 1}, {"max_staleness": -1, "current_version": 5}])
def test_a_bound_that_says_nothing_is_refused(options):
    """Without a version to count from it would drop nothing, silently; below 0 it would drop everything."""
    with pytest.raises(BadValue, match="max_staleness"):
        Triplets(**options)
