"""What token sequences have in common, in blocks and beyond them."""

from __future__ import annotations

import pytest
from agl_triplets._prefixes import common


@pytest.mark.parametrize("length", [0, 1, 255, 256, 257, 700])
def test_the_first_difference_is_found_wherever_it_is(length):
    """At the edge of a block as inside; and where one of the two ends, that is all they share."""
    tokens = tuple(range(length))

    assert common(tokens, tokens) == length
    assert common(tokens, (*tokens, 7)) == common((*tokens, 7), tokens) == length
    assert common((*tokens, 8, 1), (*tokens, 7, 1)) == length
