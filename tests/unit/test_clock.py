"""Time is an argument."""

import time

from agl_core.clock import Still, System


def test_a_still_clock_moves_when_it_is_told_to():
    """And not otherwise."""
    clock = Still(at=10)

    before = clock.now(), clock.now()
    clock.advance(1.5)

    assert before == (10, 10)
    assert clock.now() == 10 + 1_500_000_000


def test_the_systems_clock_tells_nanoseconds_since_the_epoch():
    """Between a look before and a look after."""
    before = time.time_ns()

    assert before <= System().now() <= time.time_ns()
