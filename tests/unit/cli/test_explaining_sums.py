"""A credit's sum as people read it."""

import re
from dataclasses import asdict

import pytest

from agl_core.adapter import Term
from agl_core.cli._explaining_sums import exact, lines


def term(value=1.0, weight=1.0, *, why="all", rollout_id="ro-1", reward_id="ev-1", **facts):
    """As `agl explain` has it."""
    facts = {"name": "primary", "judge": "agent", **facts}
    return asdict(Term(reward_id=reward_id, rollout_id=rollout_id, value=value, weight=weight, why=why, **facts))


@pytest.mark.parametrize(
    ("value", "shown"),
    [
        (1.0, "1"),
        (-0.0, "-0"),
        (0.5, "0.5"),
        (0.1 + 0.2, "0.30000000000000004"),
        (1e22, "1e+22"),
        (-1 / 3, "-0.3333333333333333"),
    ],
)
def test_a_number_has_the_digits_that_it_takes(value, shown):
    """And reads as the very same number."""
    assert exact(value) == shown
    assert float(shown).hex() == value.hex()


def test_the_own_comes_first_and_a_shared_why_once():
    """Of a group: what the rollout got, then its siblings under one heading; numbers stand below each other."""
    siblings = [term(value, -0.125, why="for the mean", rollout_id=f"ro-{value:g}") for value in (2.0, 3.5)]

    shown = list(lines([*siblings, term(weight=0.875, why="its own")], rollout_id="ro-1", limit=0))

    assert shown == [
        " 0.875 * 1    its own; reward ev-1 by agent",
        "for the mean:",
        "-0.125 * 2    reward ev-1 by agent, of ro-2",
        "-0.125 * 3.5  reward ev-1 by agent, of ro-3.5",
    ]


def test_a_term_says_whose_its_value_is():
    """A reward's, of which name; another call's; nobody's."""
    terms = [
        term(name="style", why="a"),
        term(reward_id=None, call_id="ca-2", why="b"),
        term(reward_id=None, judge="failures", why="c"),
    ]

    shown = [line.partition("  ")[2] for line in lines(terms, rollout_id="ro-1", limit=0)]

    assert shown == ["a; reward ev-1 by agent, style", "b; call ca-2 earned it", "c; by nobody"]


def test_a_long_sum_is_cut_and_says_what_is_left():
    """How many, and what they add: the sum can still be checked."""
    *shown, rest = lines([term(0.25, why=f"{number}") for number in range(10)], rollout_id="ro-1", limit=4)

    assert len(shown) == 4
    assert re.fullmatch(r"and 6 more, which add 1\.5: --limit 0 shows all", rest)
