"""Agents that take turns in one rollout: a trajectory each, not one a call."""

from __future__ import annotations

from random import Random

import pytest
from agl_triplets import Triplets

adapt = Triplets(min_group=1)


@pytest.fixture
def rows(chat, trace):
    """Rows of all that was said so far."""
    return lambda: adapt([trace("ro-1", *chat.log)]).rows


def agents_of(chat, row):
    """Who speaks in it."""
    by_id = {recorded.call_id: recorded.agent for recorded in chat.log}
    return {by_id[call_id] for call_id in row.call_ids}


@pytest.mark.parametrize("names", [("parent", "searcher", "writer"), (None, None, None)])
def test_a_parent_and_two_sub_agents_make_three_trajectories(chat, rows, names):
    """Twenty calls, taken in turn; whether or not anybody said who they are."""
    parent, searcher, writer = (
        chat(name, system=system)
        for name, system in zip(names, ["You plan.", "You search.", "You write."], strict=True)
    )
    parent.ask("write about rain", "search(rain)")
    for round_ in range(6):
        searcher.ask(f"find {round_}", f"found {round_}")
        writer.ask(f"write {round_}", f"wrote {round_}")
        parent.ask(f"round {round_} is done", f"search({round_})", role="tool")
    parent.ask("enough", "here it is")

    found = rows()

    assert len(chat.log) == 20
    assert [len(row.call_ids) for row in found] == [8, 6, 6]
    assert {row.rollout_tokens for row in found} == {sum(len(row.logprobs) for row in found)}


@pytest.mark.parametrize("seed", range(5))
def test_parallel_sub_agents_with_one_prompt_each_keep_their_own(chat, rows, seed):
    """Eight of a kind: told the same, and then told what each of them found, in any order."""
    dice = Random(seed)
    parent = chat("parent")
    parent.ask("ask eight", "call eight")
    subs = [chat("sub", system="You search.") for _ in range(8)]
    for sub in subs:
        sub.ask("find rain", "search(rain)")
    turns = [(sub, number) for number, sub in enumerate(subs)] * 2
    dice.shuffle(turns)
    for sub, number in turns:
        sub.ask(f"result {number}", f"answer {number}", role="tool")
    parent.ask("all done", "thanks", role="tool")

    found = rows()

    assert [len(row.call_ids) for row in found] == [2] + [3] * 8
    assert agents_of(chat, found[0]) == {"parent"}
    assert sorted(row.began for row in found[1:]) == ["other_agent"] + ["start"] * 7


def test_sub_agents_of_sub_agents(chat, rows):
    """However deep: those above wait with their rows open."""
    agents = [chat(f"level {depth}", system=f"You are {depth}.") for depth in range(4)]
    for agent in agents:
        agent.ask("do it", "delegate")
    for agent in reversed(agents):
        agent.ask("it is done", "done", role="tool")

    assert [row.call_ids for row in rows()] == [("ca-0", "ca-7"), ("ca-1", "ca-6"), ("ca-2", "ca-5"), ("ca-3", "ca-4")]


def test_a_sub_agent_that_is_given_its_parents_history_goes_on_from_it(chat, rows):
    """A fork of the conversation: one of the two goes on in the row, the other has its history as a prompt."""
    parent = chat("parent")
    parent.ask("question", "delegate")
    sub = chat("sub")
    sub.history = list(parent.history)
    sub.ask("help with it", "helped")
    parent.ask("the sub-agent helped", "done", role="tool")

    first, second = rows()

    assert first.call_ids == ("ca-0", "ca-1")
    assert (second.call_ids, second.began) == (("ca-2",), "branched")


def test_eight_equal_prompts_are_eight_calls_and_four_answers_four_samples(chat, rows):
    """Nothing is told apart by what it says, so nothing is lost for saying the same."""
    for _ in range(8):
        chat("sub").ask("the same", "the same")
    chat("sub").ask("four of", "one", "two", "one", "one")

    found = rows()

    assert [row.call_ids for row in found] == [(f"ca-{number}",) for number in range(8)] + [("ca-8",)] * 4
    assert [row.began for row in found] == ["start"] * 9 + ["choice"] * 3


def test_sub_agents_that_are_not_trained_leave_the_parents_trajectory_whole(chat, trace):
    """One of many is selected: its row is what it would be alone."""
    parent, sub = chat("parent"), chat("sub")
    for number in range(10):
        parent.ask(f"step {number}", "go on")
        sub.ask(f"step {number}", "go on")

    adapted = Triplets(agent="parent", min_group=1)([trace("ro-1", *chat.log)])

    (row,) = adapted.rows
    assert len(row.call_ids) == 10
    assert [one.reason for one in adapted.dropped] == ["other_agent"] * 10
