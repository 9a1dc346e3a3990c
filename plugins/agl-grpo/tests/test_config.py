"""Hyper-parameters that make no sense are refused, and the learning rate falls as it is told to."""

import pytest
from agl_grpo import GrpoConfig

from agl_core.errors import BadValue


def test_the_learning_rate_falls_in_a_line():
    """From all of it at the first step towards what the decay leaves."""
    config = GrpoConfig(steps=4, learning_rate=1.0, learning_rate_decay=0.8)

    assert [round(config.learning_rate_at(step), 6) for step in (1, 2, 3, 4)] == [1.0, 0.8, 0.6, 0.4]
    assert GrpoConfig(learning_rate=0.5).learning_rate_at(40) == 0.5


@pytest.mark.parametrize("decay", [-0.1, 1.1])
def test_a_decay_is_a_share(decay):
    """Less than nothing cannot be gone, nor more than all."""
    with pytest.raises(BadValue, match="learning_rate_decay"):
        GrpoConfig(learning_rate_decay=decay)
