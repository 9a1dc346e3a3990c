"""Calls become conversations."""

from agl_core.cli._transcript import conversations
from agl_core.events import CallRecorded, Choice, Message, ModelCall


def call(name, messages, answer, *, agent=None):
    """A call that was asked `messages` and said `answer`; one letter a message, the model's in capitals."""
    said = [Message(role="assistant" if letter.isupper() else "user", content=letter) for letter in messages]
    return CallRecorded(
        call_id=name, rollout_id="ro-1", attempt_id="at-1", agent=agent, started_at=0, latency=0.0,
        call=ModelCall(
            model="m", messages=tuple(said), choices=(Choice(message=Message(role="assistant", content=answer)),)
        ),
    )  # fmt: skip


def names(calls):
    """Conversations by the names of their calls."""
    return [[each.call_id for each in chain] for chain in conversations(calls)]


def test_a_call_goes_on_from_the_one_it_repeats():
    """A tool loop is one conversation."""
    assert names([call("1", "a", "B"), call("2", "aBc", "D"), call("3", "aBcDe", "F")]) == [["1", "2", "3"]]


def test_agents_talk_apart():
    """The same words of another agent are another conversation."""
    assert names([call("1", "a", "B", agent="x"), call("2", "aBc", "D", agent="y")]) == [["1"], ["2"]]


def test_a_retry_leaves_the_answer_that_was_not_taken_up():
    """Asked twice, and the first answer went on."""
    assert names([call("1", "a", "B"), call("2", "a", "C"), call("3", "aBd", "E")]) == [["2"], ["1", "3"]]


def test_a_rewritten_answer_is_still_the_same_talk():
    """Agents trim what the model said."""
    assert names([call("1", "a", "B"), call("2", "aXc", "D")]) == [["1", "2"]]
