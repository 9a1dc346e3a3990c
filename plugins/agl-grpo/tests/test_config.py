"""Hyper-parameters that make no sense are refused, and the learning rate falls as it is told to."""

from typing import get_args

import pytest
from agl_grpo import GrpoConfig
from agl_grpo._aggregation import AGGREGATIONS, Aggregation
from agl_grpo._config import Advantage

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


@pytest.mark.parametrize(
    "options",
    [
        {"clip_high": 0.1},
        {"clip_high": -1.0},
        {"dual_clip": 0.5},
        {"dual_clip": 1.0},
        {"kl": float("nan")},
        {"kl": float("inf")},
        {"kl_estimator": "k4"},
        {"is_truncation": -1.0},
        {"max_staleness": -1},
        {"max_staleness": 1.5},
        {"aggregation": "mean"},
        {"aggregation_constant": -1},
        {"zero_variance": "resample"},
        {"advantage": "gae"},
        {"advantage": "rloo", "credit": "per_call"},
        {"advantage": "rloo", "credit": {"name": "mine"}},
        {"steps": 2.5},
        {"steps": True},
        {"learning_rate": "1e-3"},
        {"learning_rate": None},
    ],
    ids=str,
)
def test_what_makes_no_sense_is_refused(options):
    """With a code and the name of the option, before anything is sampled."""
    with pytest.raises(BadValue, match="|".join(options)):
        GrpoConfig(**options)


def test_the_clip_is_one_number_or_two():
    """The upper bound is the lower one, unless it is said."""
    assert GrpoConfig(clip=0.3).clips == {"low": 0.3, "high": 0.3, "dual": 0.0}
    assert GrpoConfig(clip_high=0.28, dual_clip=3.0).clips == {"low": 0.2, "high": 0.28, "dual": 3.0}


def test_an_advantage_is_told_to_the_rule():
    """By name, and only where it is not the one that the rule has anyway."""
    told = {"name": "rewards", "rule": "group_relative", "normalise_std": True}

    assert GrpoConfig().crediting == told
    assert GrpoConfig(advantage="rloo").crediting == {**told, "advantage": "rloo"}


def test_who_is_compared_with_the_batch_may_be_alone():
    """Then a task with one rollout is learnt from; and rows may be no older than is said."""
    assert (GrpoConfig().smallest_group, GrpoConfig().rows) == (2, {})
    assert GrpoConfig(advantage="reinforce++").rows == {"min_group": 1}
    assert GrpoConfig(credit={"advantage": "reinforce++"}).smallest_group == 1
    assert GrpoConfig(max_staleness=2).rows == {"max_staleness": 2}


def test_what_may_be_asked_for_is_what_there_is():
    """Names that two modules know are the same names."""
    assert set(get_args(Aggregation)) == set(AGGREGATIONS)
    assert get_args(Advantage) == get_args(pytest.importorskip("agl_rewards._advantages").Advantage)
