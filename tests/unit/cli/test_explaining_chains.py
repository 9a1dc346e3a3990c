"""Which rewards are in a credit that has a share of other calls' credits."""

import pytest

from agl_core.adapter import Credit, Term
from agl_core.cli._explaining_chains import chain, counted


def term(of):
    """A reward's, or a call's where it is named so."""
    is_call = of.startswith("ca-")
    return Term(
        reward_id=None if is_call else of, call_id=of if is_call else None, rollout_id="ro-1", name="primary",
        judge="j", value=1.0, weight=1.0, why="",
    )  # fmt: skip


def credited(**terms):
    """By call, the credit with those terms."""
    return {
        f"ca-{name}": Credit(call_id=f"ca-{name}", rollout_id="ro-1", rule="r", terms=tuple(map(term, of)))
        for name, of in terms.items()
    }


@pytest.mark.parametrize(
    ("credits", "expected"),
    [
        (credited(a=["x"], b=["x", "y"]), {"x": 2, "y": 1}),
        (credited(a=["ca-b"], b=["x", "ca-c"], c=["y"]), {"x": 2, "y": 3}),
        (credited(a=["ca-c"], b=["ca-c"], c=["x"], d=["x"]), {"x": 4}),
        (credited(a=["ca-b", "ca-c"], b=["ca-d"], c=["ca-d"], d=["x"]), {"x": 4}),
        (credited(a=["x", "ca-b"], b=["x"]), {"x": 2}),
        (credited(a=["ca-b", "x"], b=["ca-a"]), {"x": 2}),
        (credited(a=["ca-elsewhere", "x"]), {"x": 1}),
    ],
    ids=["own", "chain", "tree", "two ways", "both ways", "circle", "not there"],
)
def test_a_reward_counts_for_each_call_that_has_credit_of_it_once(credits, expected):
    """By its own terms, or by what it has a share of, however many ways lead there."""
    assert counted(credits) == expected


def test_a_chain_is_all_that_a_call_has_a_share_of():
    """Nearest first, each once, and without what is asked for; a circle ends."""
    found = credited(a=["ca-b", "ca-c"], b=["ca-d"], c=["ca-d", "x"], d=["ca-a", "y"], e=["z"])

    assert chain(found, ["ca-a"]) == ["ca-b", "ca-c", "ca-d"]
    assert chain(found, ["ca-d", "ca-a"]) == ["ca-b", "ca-c"]
    assert chain(found, ["ca-e", "ca-unknown"]) == []


def test_calls_that_share_one_sum_count_each():
    """A group's members' calls have the very same terms."""
    terms = (term("x"),)
    found = {id_: Credit(call_id=id_, rollout_id="ro-1", rule="r", terms=terms) for id_ in ("ca-a", "ca-b")}

    assert counted(found) == {"x": 2}
