"""What merges with what, and why a row begins."""

from __future__ import annotations

import pytest
from agl_triplets import Triplets, turns

adapt = Triplets(min_group=1)


def rows(trace, *calls, adapter=adapt):
    """Rows of one rollout with these calls."""
    return adapter([trace("ro-1", *calls)]).rows


def test_a_tool_loop_is_one_row(call, trace):
    """What the agent put between two answers is in the row, and is not trained on."""
    (row,) = rows(trace, call("a", [1, 2], [3, 4]), call("b", [1, 2, 3, 4, 5, 6], [7]))

    assert row.token_ids == (1, 2, 3, 4, 5, 6, 7)
    assert row.prompt_length == 2
    assert row.mask == (1, 1, 0, 0, 1)
    assert row.logprobs == (-0.5, -1.5, -0.5)
    assert row.call_ids == ("a", "b")
    assert row.policy_versions == (1, 1)
    assert (row.began, row.differs_at) == ("start", None)


def test_calls_with_nothing_between_them_stay_two_turns(call, trace):
    """A prompt that is exactly what was said so far leaves no seam in the mask, and is still found again."""
    (row,) = rows(trace, call("a", [1], [2]), call("b", [1, 2], [3]))

    assert row.mask == (1, 1)
    assert [(turn.prompt, turn.sampled) for turn in turns(row)] == [((1,), (2,)), ((1, 2), (3,))]


def test_eight_equal_prompts_are_eight_calls(call, trace):
    """Identity is the call's id, never its content."""
    found = rows(trace, *(call(f"c{index}", [1, 2], [3]) for index in range(8)))

    assert [row.call_ids for row in found] == [(f"c{index}",) for index in range(8)]
    assert {row.rollout_tokens for row in found} == {8}


def test_every_choice_is_a_row_and_each_may_be_continued(call, trace):
    """Best-of-n loses none of the n."""
    first, second, third = rows(trace, call("a", [1], [2], [3], [4]), call("b", [1, 3, 9], [5]))

    assert [first.token_ids, second.token_ids, third.token_ids] == [(1, 2), (1, 3, 9, 5), (1, 4)]
    assert [first.began, second.began, third.began] == ["start", "choice", "choice"]
    assert second.call_ids == ("a", "b")


def test_what_a_prompt_adds_is_never_trained_on(call, trace):
    """However much of it there is: the mask ends where the last answer does, and has ones for answers alone."""
    (row,) = rows(trace, call("a", [1], [2]), call("b", [1, 2, *range(10, 60)], [3, 4]))

    assert row.mask == (1, *[0] * 50, 1, 1)
    assert len(row.mask) == len(row.token_ids) - row.prompt_length


def test_a_prompt_that_adds_nothing_adds_nothing(call, trace):
    """Nor is it there twice."""
    (row,) = rows(trace, call("a", [1, 2, 3], [4]), call("b", [1, 2, 3, 4], [5]))

    assert row.token_ids == (1, 2, 3, 4, 5)
    assert row.mask == (1, 1)


def test_merging_leaves_the_captured_lists_alone(call, trace):
    """The very lists, as they were: Agent Lightning v1 made the first one longer."""
    first, second = call("a", [1], [2], logprobs=[-0.1]), call("b", [1, 2, 3], [4], logprobs=[-0.2])
    lists = [recorded.call.choices[0].logprobs for recorded in (first, second)]

    (row,) = rows(trace, first, second)

    assert row.logprobs == (-0.1, -0.2)
    assert lists == [[-0.1], [-0.2]]
    assert all(one is recorded.call.choices[0].logprobs for one, recorded in zip(lists, (first, second), strict=True))


def test_interleaved_agents_merge_apart(call, trace):
    """A forest of open rows: a sub-agent's calls do not close its parent's row."""
    found = rows(
        trace,
        call("p1", [1, 2], [3], agent="parent"),
        call("s1", [1, 5], [6], agent="sub"),
        call("p2", [1, 2, 3, 4], [7], agent="parent"),
        call("s2", [1, 5, 6, 8], [9], agent="sub"),
    )

    assert [row.call_ids for row in found] == [("p1", "p2"), ("s1", "s2")]
    assert [(row.began, row.differs_at) for row in found] == [("start", None), ("other_agent", 1)]


def test_the_longest_match_wins(call, trace):
    """Of two rows a prompt starts with, the one that explains more of it."""
    first, second = rows(trace, call("a", [1], [2], [2, 3]), call("b", [1, 2, 3, 4], [5]))

    assert first.call_ids == ("a",)
    assert second.call_ids == ("a", "b")


def test_a_history_continued_twice_branches(call, trace):
    """The second continuation repeats the history as context, unmasked."""
    first, second = rows(trace, call("a", [1], [2]), call("b", [1, 2, 3], [4]), call("c", [1, 2, 5], [6]))

    assert first.call_ids == ("a", "b")
    assert (second.call_ids, second.began, second.differs_at) == (("c",), "branched", 2)
    assert second.mask == (1,)


@pytest.mark.parametrize(
    ("prompt", "said", "why"),
    [
        ([1, 2, 3, 9, 6], "said", ("retokenised", 3)),
        ([1, 9, 3, 4, 6], "said", ("template", 1)),
        ([1, 2, 3, 9, 6], "changed", ("edited_history", 3)),
    ],
)
def test_a_break_says_what_changed_and_where(call, trace, prompt, said, why):
    """Same words with other tokens is the machinery's doing, other words are the agent's."""
    asked = [("user", "question")]
    before = call("a", [1, 2], [3, 4], history=asked)
    after = call("b", prompt, [7], history=[*asked, ("assistant", said), ("user", "go on")])

    _, row = rows(trace, before, after)

    assert (row.began, row.differs_at) == why


def test_a_second_conversation_just_starts(call, trace):
    """A prompt with no history has none to break."""
    asked = [("user", "one")], [("user", "two")]

    found = rows(trace, call("a", [1, 2], [3], history=asked[0]), call("b", [1, 4], [5], history=asked[1]))

    assert [row.began for row in found] == ["start", "start"]


def test_a_row_has_one_temperature(call, trace):
    """Its logits are scaled by one number."""
    found = rows(trace, call("a", [1], [2], temperature=1.0), call("b", [1, 2, 3], [4], temperature=0.5))

    assert [(row.temperature, row.began) for row in found] == [(1.0, "start"), (0.5, "other_temperature")]


def test_transitions_are_not_merged(call, trace):
    """`level="transition"`: one row an answer, with the same weight in all."""
    found = rows(trace, call("a", [1], [2]), call("b", [1, 2, 3], [4, 5]), adapter=Triplets("transition", min_group=1))

    assert [row.token_ids for row in found] == [(1, 2), (1, 2, 3, 4, 5)]
    assert [(row.began, row.rollout_tokens) for row in found] == [("call", 3), ("call", 3)]
