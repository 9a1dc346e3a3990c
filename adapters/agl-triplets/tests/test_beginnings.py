"""Why a row begins where it does: each cause with where, whose, and what stood there instead."""

from __future__ import annotations

import pytest
from agl_triplets import Triplets, difference
from agl_triplets._words import is_cut, same
from hypothesis import given
from hypothesis import strategies as st

from agl_core.events import Message, ToolCall

adapt = Triplets(min_group=1)
LETTERS = st.text("ab", max_size=3)


@pytest.fixture
def talk(chat, trace):
    """An agent after three turns, and the rows of all that it and others did."""
    agent = chat()
    for number in range(3):
        agent.ask(f"question number {number}", f"answer {number}")
    agent.rows = lambda: adapt([trace("ro-1", *chat.log)]).rows
    return agent


def test_turns_of_a_conversation_are_one_row(talk):
    """Nothing breaks where nothing was touched."""
    (row,) = talk.rows()

    assert row.call_ids == ("ca-0", "ca-1", "ca-2")
    assert difference(row) is None


CUTS = {
    "the oldest turn": lambda old: [old[0], *old[3:]],
    "instructions too": lambda old: old[3:],
    "one in the middle": lambda old: [*old[:3], *old[5:]],
    "the end of a question": lambda old: [*old[:3], ("user", "quest…"), *old[4:]],
    "all of a question": lambda old: [*old[:3], ("user", "[removed]"), *old[4:]],
    "the end of the answer": lambda old: [*old[:-1], ("assistant", "answ")],
    "all of the answer": lambda old: [*old[:-1], ("assistant", "")],
}
EDITS = {
    "another answer": lambda old: [*old[:-1], ("assistant", "answer 9")],
    "other instructions": lambda old: [("system", "You subtract."), *old[1:]],
    "a summary": lambda old: [old[0], ("user", "a summary of it all"), *old[5:]],
    "a longer question": lambda old: [*old[:3], ("user", "longer than the question ever was"), *old[4:]],
    "another order": lambda old: [old[0], *old[3:5], *old[1:3], *old[5:]],
}


@pytest.mark.parametrize("cut", CUTS)
def test_a_history_with_something_taken_out_is_truncated(talk, cut):
    """By its messages: tokens alone cannot tell a cut from other words."""
    talk.history = CUTS[cut](talk.history)
    talk.ask("go on", "done")

    _, row = talk.rows()

    assert row.began == "truncated"
    assert row.call_ids == ("ca-3",)


@pytest.mark.parametrize("edit", EDITS)
def test_a_history_in_other_words_is_edited(talk, edit):
    """Something was put in, or put elsewhere."""
    talk.history = EDITS[edit](talk.history)
    talk.ask("go on", "done")

    _, row = talk.rows()

    assert row.began == "edited_history"


def test_a_break_says_where_it_is_and_what_stood_there(talk):
    """A person sees the words around it, given a tokenizer; ids without one."""
    talk.history[4] = ("assistant", "answer X")
    talk.ask("go on", "done")

    _, row = talk.rows()

    found = difference(row)
    text = "".join(map(chr, found.shared))
    assert (found.at, found.call_id) == (row.differs_at, "ca-1")
    assert text == "\x03answer "
    assert (found.expected[0], found.found[0]) == (ord("1"), ord("X"))
    assert found.show(lambda ids: "".join(map(chr, ids))).startswith(
        f"token {found.at}: after '\\x03answer ' came '1\\x05\\x02quest' in ca-1, and now 'X"
    )
    assert str(list(found.found)) in found.show()


def test_a_break_near_the_start_has_less_before_it(call, trace):
    """All there is."""
    calls = call("a", [1, 2], [3]), call("b", [1, 2, 9], [4], agent="other")

    _, row = adapt([trace("ro-1", *calls)]).rows

    assert difference(row).show() == "token 2: after [1, 2] came [3] in a, and now [9, 4]"


def test_other_tokens_where_the_model_spoke_are_retokenised(talk):
    """Also when it spoke several calls ago; the difference is found in the row it continues."""
    prompt = talk.tokens([*talk.history, ("user", "go on")])
    at = prompt.index(ord("0"), prompt.index(3))
    prompt[at : at + 1] = [900, 901]
    talk.ask("go on", "done", prompt=prompt)

    _, row = talk.rows()

    assert (row.began, row.differs_at, row.differs_from) == ("retokenised", at, "ca-0")


def test_other_tokens_around_the_words_are_the_templates(talk):
    """Such as one that says the date, or leaves out what was thought before."""
    talk.ask("go on", "done", prompt=[9, *talk.tokens([*talk.history, ("user", "go on")])])

    _, row = talk.rows()

    assert (row.began, row.differs_at, row.differs_from) == ("template", 0, "ca-0")


def test_a_turn_asked_once_more_branches(talk):
    """The same history, exactly, with another question at its end."""
    talk.history = talk.history[:3]
    talk.ask("another", "done")

    _, row = talk.rows()

    assert (row.began, row.differs_from) == ("branched", "ca-1")
    assert row.expected == (2, *map(ord, "questio"))


def test_the_same_history_at_another_temperature(talk):
    """A row has one."""
    talk.ask("go on", "done", temperature=0.5)

    _, row = talk.rows()

    assert (row.began, row.differs_at) == ("other_temperature", len(talk.log[2].call.prompt_token_ids) + 9)


def test_examples_in_a_prompt_are_no_history(chat, trace):
    """An assistant's words that no policy said break nothing, however often they are there."""
    for question in ("one", "two", "two"):
        agent = chat()
        agent.history += [("user", "1 + 1"), ("assistant", "2")]
        agent.ask(question, "answer")

    assert [row.began for row in adapt([trace("ro-1", *chat.log)]).rows] == ["start"] * 3


def test_another_conversation_of_the_same_agent_just_starts(talk, chat):
    """Also one that is taken up from elsewhere: it shares no word with what was said here."""
    other = chat()
    other.history += [("user", "from yesterday"), ("assistant", "as I said")]
    other.ask("and now", "so")

    assert [row.began for row in talk.rows()] == ["start", "start"]


def test_another_agent_with_the_same_words_is_another_agent(talk, chat):
    """A sub-agent that is given its parent's history has edited nothing."""
    other = chat("sub")
    other.history = [("system", "You are a helper."), *talk.history[1:]]
    other.ask("help", "so")

    assert [row.began for row in talk.rows()] == ["start", "other_agent"]


def test_an_agents_history_is_compared_with_its_own(chat, trace):
    """Whoever spoke last: here its sub-agent did, and then it goes on with its own words changed."""
    parent, sub = chat("parent"), chat("sub")
    parent.ask("question", "delegate")
    sub.ask("help", "helped")
    parent.history[-1] = ("assistant", "I asked for help")
    parent.ask("the sub-agent helped", "done", role="tool")

    *_, row = adapt([trace("ro-1", *chat.log)]).rows

    assert (row.began, row.differs_from) == ("edited_history", "ca-0")


def test_of_several_conversations_the_one_that_is_gone_on_with_counts(chat, trace):
    """Its last words say which that is, not the time."""
    first, second = chat("sub"), chat("sub")
    for number in range(2):
        first.ask(f"question {number}", f"answer {number}")
    second.ask("another question", "another answer")
    first.history = [first.history[0], *first.history[3:]]
    first.ask("go on", "done")

    *_, row = adapt([trace("ro-1", *chat.log)]).rows

    assert (row.began, row.differs_at) == ("truncated", len("You add.") + 2 + len("question ") + 1)
    assert row.differs_from == "ca-0"


def test_an_agent_that_always_says_the_same_is_told_apart_by_what_it_was_told(chat, trace):
    """Its answers are alike, its histories are not."""
    agent = chat()
    for number in range(20):
        agent.ask(f"question {number}", "ok")
    agent.ask("go on", "ok", prompt=[9, *agent.tokens([*agent.history, ("user", "go on")])])

    assert [row.began for row in adapt([trace("ro-1", *chat.log)]).rows] == ["start", "template"]


def test_a_text_in_parts_is_the_same_text(call, trace):
    """Clients write it either way."""
    asked = [("user", "question")]
    before = call("a", [1, 2], [3, 4], history=asked)
    parts = [{"type": "text", "text": "sa"}, {"type": "text", "text": "id"}]
    after = call("b", [1, 2, 9, 4], [7], history=[*asked, ("assistant", parts), ("user", "go on")])

    _, row = adapt([trace("ro-1", before, after)]).rows

    assert row.began == "retokenised"


@pytest.mark.parametrize(
    "other",
    [
        Message(role="user", content="short"),
        Message(role="assistant", content="short", tool_calls=(ToolCall(id="t", name="add", arguments="{}"),)),
        Message(role="assistant", content="shor1"),
        Message(role="assistant", content="sho...ned"),
    ],
    ids=["another role", "another call", "another text", "as long"],
)
def test_what_is_shorter_and_says_something_else_is_no_cut(other):
    """Who speaks, and which tools are called, is never shortened."""
    whole = [Message(role="assistant", content="shortened")]

    assert is_cut([Message(role="assistant", content="short")], of=whole)
    assert not is_cut([other], of=whole)


@given(history=st.lists(st.tuples(st.sampled_from(["user", "assistant", "tool"]), LETTERS), max_size=6), data=st.data())
def test_whatever_is_taken_out_of_a_history_cuts_it(history, data):
    """Any messages, and the end of any text; and a history is no cut of itself."""
    whole = [Message(role=role, content=text) for role, text in history]
    left = [one for one in whole if data.draw(st.booleans())]
    left = [Message(role=one.role, content=one.content[: data.draw(st.integers(0, 3))]) for one in left]

    assert is_cut(left, of=whole) or same(left, whole)
    assert not is_cut(whole, of=whole)
