"""Pairs: the same words before, and one that earned more."""

import pytest
from agl_messages import Preferences

from agl_core.errors import BadValue


@pytest.fixture
def answered(call, trace, message):
    """A rollout that was asked `question` and said `answer`."""

    def make(name, answer, reward, *, question="?", task_id="ta-1", **facts):
        ask = [message("system", "Add."), message("user", question)]
        return trace(name, call(f"ca-{name}", ask, answer, **facts), reward=reward, task_id=task_id)

    return make


def paired(adapted):
    """Winners and losers."""
    return [(pair.chosen_rollout, pair.rejected_rollout) for pair in adapted.rows]


def reasons(adapted):
    """Call to why it was dropped."""
    return {one.call_id: one.reason for one in adapted.dropped}


def test_the_best_goes_against_the_worst(answered):
    """One pair of each prompt; those between have a reason, and so has a tie."""
    batch = [answered("a", "4", 1.0), answered("b", "5", 0.5), answered("c", "6", 0.0)]

    adapted = Preferences()(batch)

    (pair,) = adapted.rows
    assert (pair.chosen[0].content, pair.rejected[0].content) == ("4", "6")
    assert [one.content for one in pair.prompt] == ["Add.", "?"]
    assert (pair.chosen_reward, pair.rejected_reward) == (1.0, 0.0)
    assert reasons(adapted) == {"ca-b": "not_paired"}
    assert adapted.captured == adapted.kept + 1 == 3


def test_all_pairs_come_widest_first_and_are_bounded(answered):
    """Each with each worse one, by at least the margin."""
    batch = [answered(name, name, reward) for name, reward in [("a", 1.0), ("b", 0.75), ("c", 0.0)]]

    assert paired(Preferences(strategy="all_pairs")(batch)) == [("a", "c"), ("b", "c"), ("a", "b")]
    assert paired(Preferences(strategy="all_pairs", margin=0.5)(batch)) == [("a", "c"), ("b", "c")]
    assert paired(Preferences(strategy="all_pairs", max_pairs=1)(batch)) == [("a", "c")]


def test_a_tie_is_no_preference(answered):
    """Nor is a difference below the margin, nor the same words that were judged twice."""
    even = [answered("a", "4", 1.0), answered("b", "5", 1.0)]
    close = [answered("a", "4", 1.0), answered("b", "5", 0.9)]
    same = [answered("a", "4", 1.0), answered("b", "4", 0.0)]

    assert reasons(Preferences()(even)) == {"ca-a": "tie", "ca-b": "tie"}
    assert reasons(Preferences(margin=0.5)(close)) == {"ca-a": "tie", "ca-b": "tie"}
    assert reasons(Preferences()(same)) == {"ca-a": "same_words", "ca-b": "same_words"}


@pytest.mark.parametrize(
    "other", [{"question": "??"}, {"task_id": "ta-2"}, {"agent": "critic"}], ids=["words", "task", "agent"]
)
def test_only_who_was_asked_the_same_is_an_opponent(answered, other):
    """By words, by task, by agent: else the better one may have had it easier."""
    adapted = Preferences()([answered("a", "4", 1.0), answered("b", "5", 0.0, **other)])

    assert reasons(adapted) == {"ca-a": "no_opponent", "ca-b": "no_opponent"}


def test_other_tools_are_another_question(answered, search):
    """What was said without a tool is not what is said with it at hand."""
    adapted = Preferences()([answered("a", "4", 1.0), answered("b", "5", 0.0, tools=[search])])

    assert set(reasons(adapted).values()) == {"no_opponent"}


def test_a_missing_reward_is_never_a_zero(answered):
    """So nothing loses for it."""
    adapted = Preferences()([answered("a", "4", 1.0), answered("b", "5", None)])

    assert reasons(adapted) == {"ca-a": "no_opponent", "ca-b": "no_reward"}


def test_a_conversation_is_compared_to_its_end(chat, trace):
    """What the policy did not say in it is told apart; by call, only the first answers were asked the same."""
    right, wrong = chat(name="r"), chat(name="w")
    right.ask("one", "two")
    right.ask("three", "four")
    wrong.ask("one", "five")
    batch = [trace("ro-r", *chat.log[:2], reward=1.0), trace("ro-w", *chat.log[2:], reward=0.0)]

    (pair,) = Preferences()(batch).rows
    by_call = Preferences("call")(batch)

    assert [one.content for one in pair.chosen] == ["two", "three", "four"]
    assert pair.chosen_trained == (True, False, True)
    assert [one.content for one in by_call.rows[0].chosen] == ["two"]
    assert reasons(by_call) == {"r-1": "no_opponent"}


@pytest.mark.parametrize(
    "options", [{"strategy": "random"}, {"margin": -1.0}, {"margin": float("nan")}, {"max_pairs": 0}, {"level": "turn"}]
)
def test_options_that_mean_nothing_are_refused(options):
    """Where they are given."""
    with pytest.raises(BadValue):
        Preferences(**options)
