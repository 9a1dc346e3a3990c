"""What a row becomes in each format: pure functions, on rows of nobody in particular."""

import json
from types import SimpleNamespace
from typing import Literal

import msgspec
import pytest

from agl_core.errors import BadValue
from agl_core.events import Message, Tool, ToolCall
from agl_core.export import Skipped
from agl_core.export.rows import Trl, _openai, _plain, _sharegpt, _trl

ADD = Tool(name="add", description="Add.", parameters={"type": "object"})
ADD_SAID = {"name": "add", "description": "Add.", "parameters": {"type": "object"}}
PICTURE = [{"type": "image_url", "image_url": {"url": "data:,"}}]


def calls(*texts):
    """Tool calls with those arguments."""
    return tuple(ToolCall(id=f"c{at}", name="add", arguments=text) for at, text in enumerate(texts))


def transcript(*messages, untrained=(), tools=(), parallel=None, reward=1.0):
    """A row in which the assistant's messages are the policy's, but for those places."""
    trained = tuple(one.role == "assistant" and at not in untrained for at, one in enumerate(messages))
    return SimpleNamespace(
        rollout_id="ro-1", messages=messages, trained=trained, tools=tools, parallel_tool_calls=parallel, reward=reward
    )


SYSTEM, ASKED = Message(role="developer", content="Add."), Message(role="user", content="2+2?")
WISH = Message(role="assistant", tool_calls=calls('{"a": 2}'))
RESULT = Message(role="tool", content="4", tool_call_id="c0")
SAID = Message(role="assistant", content="4.")
TOOLED = transcript(SYSTEM, ASKED, WISH, RESULT, SAID, tools=(ADD,), parallel=False)


# --- OpenAI


def test_openai_weighs_what_is_learnt_from():
    """An assistant's message that the policy did not say weighs nothing; other roles have no weight."""
    line = _openai.example(transcript(SYSTEM, ASKED, WISH, RESULT, SAID, untrained={2}, tools=(ADD,), parallel=False))

    assert [one.get("weight") for one in line["messages"]] == [None, None, 0, None, 1]
    assert line["messages"][0] == {"role": "developer", "content": "Add."}
    assert line["messages"][2]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 2}'}
    assert line["messages"][3] == {"role": "tool", "content": "4", "tool_call_id": "c0"}
    assert line["tools"] == [{"type": "function", "function": ADD_SAID}]
    assert line["parallel_tool_calls"] is False


def test_openai_has_no_tools_where_none_were_offered():
    """An empty list is refused there; and pictures stay as they are."""
    line = _openai.example(transcript(Message(role="user", content=PICTURE), SAID, parallel=True))

    assert line.keys() == {"messages"}
    assert line["messages"][0]["content"] == PICTURE


class _Function(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    arguments: str


class _Call(msgspec.Struct, forbid_unknown_fields=True):
    id: str
    type: Literal["function"]
    function: _Function


class _Message(msgspec.Struct, forbid_unknown_fields=True):
    role: Literal["system", "developer", "user", "assistant", "tool"]
    content: str | list[dict] | None
    tool_calls: list[_Call] | None = None
    tool_call_id: str | None = None
    name: str | None = None
    refusal: str | None = None
    weight: Literal[0, 1] | None = None


class _Offered(msgspec.Struct, forbid_unknown_fields=True):
    name: str
    description: str = ""
    parameters: dict = {}


class _Tool(msgspec.Struct, forbid_unknown_fields=True):
    type: Literal["function"]
    function: _Offered


class _Chat(msgspec.Struct, forbid_unknown_fields=True):
    messages: list[_Message]
    tools: list[_Tool] | None = None
    parallel_tool_calls: bool | None = None


class _Preference(msgspec.Struct, forbid_unknown_fields=True):
    input: _Chat
    preferred_output: list[_Message]
    non_preferred_output: list[_Message]


def test_openais_lines_have_the_documented_fields_and_no_other():
    """A field that is not known there refuses the file, after it was uploaded."""
    refused = Message(role="assistant", content=None, extra={"refusal": "No.", "$blocks": [], "audio": None})
    lines = [_openai.example(row) for row in (TOOLED, transcript(ASKED, refused))]

    chats = [msgspec.convert(line, _Chat) for line in lines]
    preference = msgspec.convert(_openai.preference(pair((SAID,), (WISH,))), _Preference)

    assert chats[1].messages[1].refusal == "No."
    assert preference.non_preferred_output[0].tool_calls[0].function.name == "add"


def pair(chosen, rejected, *, prompt=(ASKED,), trained=True):
    """Two ways to go on."""
    return SimpleNamespace(
        prompt=prompt, chosen=chosen, rejected=rejected, chosen_trained=(trained,) * len(chosen),
        rejected_trained=(True,) * len(rejected), tools=(ADD,), parallel_tool_calls=None,
    )  # fmt: skip


def test_openais_preference_is_of_single_messages():
    """A conversation has no place there."""
    line = _openai.preference(pair((SAID,), (WISH,)))

    assert line["preferred_output"] == [{"role": "assistant", "content": "4."}]
    assert line["non_preferred_output"][0]["tool_calls"][0]["id"] == "c0"
    assert line["input"]["messages"] == [{"role": "user", "content": "2+2?"}]
    assert line["input"]["tools"][0]["function"] == ADD_SAID
    assert _openai.preference(pair((WISH, RESULT, SAID), (SAID,))) == Skipped(reason="several_messages")


# --- ShareGPT


def test_sharegpt_is_asked_and_answered_in_turns():
    """Orders stand beside it, tool calls are JSON, and results of calls made at once are one observation."""
    both = Message(role="assistant", tool_calls=calls('{"a": 2}', "odd"))
    again = Message(role="tool", content="5", tool_call_id="c1")

    line = _sharegpt.conversation(transcript(SYSTEM, ASKED, both, RESULT, again, SAID, tools=(ADD,)))

    assert line["system"] == "Add."
    assert json.loads(line["tools"]) == [ADD_SAID]
    assert [turn["from"] for turn in line["conversations"]] == ["human", "function_call", "observation", "gpt"]
    assert json.loads(line["conversations"][1]["value"]) == [
        {"name": "add", "arguments": {"a": 2}},
        {"name": "add", "arguments": "odd"},
    ]
    assert line["conversations"][2]["value"] == "4\n5"


@pytest.mark.parametrize(
    ("messages", "untrained", "reason"),
    [
        ((ASKED, ASKED, SAID), (), "roles_do_not_alternate"),
        ((SAID,), (), "roles_do_not_alternate"),
        ((ASKED, WISH, RESULT, ASKED, SAID), (), "roles_do_not_alternate"),
        ((ASKED, SYSTEM, SAID), (), "roles_do_not_alternate"),
        ((ASKED, SAID, ASKED, SAID), {1}, "others_words"),
        ((Message(role="user", content=PICTURE), SAID), (), "multimodal"),
        ((ASKED, Message(role="assistant", content="Hm.", tool_calls=calls("{}"))), (), "words_beside_tool_calls"),
    ],
)
def test_what_sharegpt_cannot_say_is_skipped(messages, untrained, reason):
    """It would be taken for something else, or thrown away without a word."""
    assert _sharegpt.conversation(transcript(*messages, untrained=untrained)) == Skipped(reason=reason)


# --- TRL


def test_trl_has_words_for_templates():
    """One kind of orders, text for content, arguments as objects, tools as JSON text."""
    line = _trl.whole(transcript(SYSTEM, Message(role="user", content=[{"type": "text", "text": "2+2?"}]), WISH))

    assert line == {
        "messages": [
            {"role": "system", "content": "Add."},
            {"role": "user", "content": "2+2?"},
            {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c0", "type": "function", "function": {"name": "add", "arguments": {"a": 2}}}],
            },
        ]
    }
    assert json.loads(_trl.whole(TOOLED)["tools"]) == [{"type": "function", "function": ADD_SAID}]


@pytest.mark.parametrize(
    ("text", "told"), [('{"a": 2}', {"a": 2}), ("", {}), ("[1]", "[1]"), ("odd", "odd"), ('"a"', '"a"')]
)
def test_arguments_that_are_no_object_stay_text(text, told):
    """A template writes what the model wrote, or fails: nothing is made up."""
    line = _trl.whole(transcript(ASKED, Message(role="assistant", tool_calls=calls(text))))

    assert line["messages"][1]["tool_calls"][0]["function"]["arguments"] == told


def test_trl_learns_from_each_answer_after_what_stood_before():
    """A row for each, of the policy's alone."""
    row = transcript(ASKED, SAID, ASKED, WISH, untrained={1})

    (line,) = _trl.answers(row)

    assert [one["role"] for one in line["prompt"]] == ["user", "assistant", "user"]
    assert line["completion"][0]["tool_calls"]
    assert _trl.whole(row) == Skipped(reason="others_words")
    assert [len(one["prompt"]) for one in _trl.answers(TOOLED)] == [2, 4]


def test_kto_labels_by_what_was_earned():
    """Enough is enough; nothing is no zero."""
    good, poor = transcript(ASKED, SAID, reward=0.5), transcript(ASKED, SAID, reward=0.49)

    assert [line["label"] for row in (good, poor) for line in _trl.judged(row, desirable=0.5)] == [True, False]
    assert list(_trl.judged(transcript(ASKED, SAID, reward=None), desirable=0.5)) == [Skipped(reason="no_reward")]


def test_trl_compares_the_policys_words_only():
    """Every token after the prompt counts there, so a tool's result must not be among them."""
    assert _trl.preference(pair((SAID,), (WISH,)))["chosen"] == [{"role": "assistant", "content": "4."}]
    assert _trl.preference(pair((WISH,), (SAID,), trained=False)) == Skipped(reason="others_words")
    assert _trl.preference(pair((SAID,), (WISH,), prompt=(Message(role="user", content=PICTURE),))) == Skipped(
        reason="multimodal"
    )


def test_a_shape_that_there_is_none_of_is_refused():
    """With those there are; each wants rows of one adapter."""
    with pytest.raises(BadValue, match="prompt-completion"):
        Trl(shape="chat")

    assert [Trl(shape=shape).adapter for shape in ("kto", "preference", "tokens")] == [
        "messages",
        "preferences",
        "triplets",
    ]


# --- as they are


def test_in_columns_a_picture_stands_apart(tmp_path):
    """A column has one type: text stays text."""
    messages = (Message(role="user", content=PICTURE), SAID)

    told = [_plain._message(one, in_columns=True) for one in messages]

    assert told == [
        {"role": "user", "content": None, "parts": json.dumps(PICTURE, separators=(",", ":"))},
        {"role": "assistant", "content": "4."},
    ]
