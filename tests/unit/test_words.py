"""When two messages say the same: for every adapter that asks whether a history goes on."""

import pytest

from agl_core.adapter import words
from agl_core.events import Message, ToolCall


def wish(arguments, id_="t1"):
    """A message that calls a tool."""
    return Message(role="assistant", tool_calls=(ToolCall(id=id_, name="add", arguments=arguments),))


TEXT = Message(role="user", content="What is 2 + 2?")
IMAGE = {"type": "image_url", "image_url": {"url": "data:,"}}


@pytest.mark.parametrize(
    ("sent", "back"),
    [
        (
            TEXT,
            Message(role="user", content=[{"type": "text", "text": "What is "}, {"type": "text", "text": "2 + 2?"}]),
        ),
        (Message(role="assistant", content=None), Message(role="assistant", content="")),
        (wish('{"a": 2, "b": 2}'), wish('{"b":2,"a":2}', "t2")),
        (
            Message(role="user", content=[IMAGE]),
            Message(role="user", content=[IMAGE | {"cache_control": {"type": "x"}}]),
        ),
    ],
    ids=["a text in parts", "nothing", "arguments with other spaces", "a mark of a cache"],
)
def test_what_clients_do_to_a_message_changes_no_word(sent, back):
    """It is the message that was sent, on its way back."""
    assert words(sent) == words(back)


@pytest.mark.parametrize("other", [Message(role="system", content=TEXT.content), Message(role="user", content="2?")])
def test_another_speaker_or_another_text_says_something_else(other):
    """By whom, and what."""
    assert words(TEXT) != words(other)


def test_arguments_that_are_no_json_are_a_text():
    """A model may have broken off in the middle."""
    assert words(wish('{"a": ')) != words(wish('{"a":'))
