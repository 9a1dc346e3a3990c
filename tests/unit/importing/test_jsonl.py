"""Chats in JSON lines: what becomes calls, what is known again, and what is refused."""

import pytest

from agl_core.importing import import_rows

ASKED = {"role": "user", "content": "How much is 40 + 2?"}
WISH = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_1", "type": "function", "function": {"name": "add", "arguments": '{"a": 40, "b": 2}'}}],
}
RESULT = {"role": "tool", "content": "42", "tool_call_id": "call_1"}
DONE = {"role": "assistant", "content": "It is 42."}
TOOLS = [{"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}]
CHAT = {"messages": [{"role": "system", "content": "You add."}, ASKED, WISH, RESULT, DONE], "tools": TOOLS}
PAIR = {
    "input": {"messages": [ASKED], "tools": TOOLS},
    "preferred_output": [DONE],
    "non_preferred_output": [{"role": "assistant", "content": "43"}],
}


def test_each_assistant_message_is_a_call_that_was_asked_all_before_it(log, lines, traces):
    """A chat of two answers is one rollout with two calls; nobody sampled tokens that we know."""
    came = import_rows(log, "jsonl", lines(CHAT))

    (trace,) = traces()
    assert (came.rollouts, came.refused) == (1, 0)
    assert [len(call.call.messages) for call in trace.calls] == [2, 4]
    assert trace.calls[0].call.choices[0].message.tool_calls[0].name == "add"
    assert {call.call.provenance for call in trace.calls} == {"absent"}
    assert [tool.name for tool in trace.calls[0].call.tools] == ["add"]
    assert (trace.status, trace.exit_status) == ("succeeded", "completed")


def test_transcripts_of_what_was_imported_are_the_source(log, lines, traces):
    """What `agl-messages` makes of the log says what the file said, word for word."""
    agl_messages = pytest.importorskip("agl_messages")
    from agl_core.wire import openai_chat

    import_rows(log, "jsonl", lines(CHAT, {"messages": [ASKED, DONE]}))

    rows = agl_messages.Messages()(traces()).rows
    said = [openai_chat.request({"messages": chat, "model": ""}).messages for chat in (CHAT["messages"], [ASKED, DONE])]
    assert [row.messages for row in rows] == said
    assert [row.trained for row in rows] == [(False, False, True, False, True), (False, True)]


def test_the_better_of_two_is_preferred_in_the_pairs(log, lines, traces):
    """A line of preferences is two rollouts of one task, and `agl-messages` pairs them as the line did."""
    agl_messages = pytest.importorskip("agl_messages")

    import_rows(log, "jsonl", lines(PAIR))

    (pair,) = agl_messages.Preferences()(traces()).rows
    assert [message.content for message in pair.prompt] == [ASKED["content"]]
    assert ([one.content for one in pair.chosen], [one.content for one in pair.rejected]) == (["It is 42."], ["43"])


def test_an_answer_of_no_weight_is_history_and_no_call(log, lines, traces):
    """OpenAI's `weight: 0` says that a message was said, and is not to be learnt from."""
    import_rows(log, "jsonl", lines({"messages": [ASKED, {**DONE, "weight": 0}, ASKED, DONE]}))

    (trace,) = traces()
    assert len(trace.calls) == 1
    assert trace.calls[0].call.messages[1].extra == {"weight": 0}


def test_arguments_as_hugging_face_has_them_are_text_here(log, lines, traces):
    """Arguments that are an object, and calls without an id, are read like OpenAI's."""
    wish = {"role": "assistant", "tool_calls": [{"function": {"name": "add", "arguments": {"a": 1}}}]}

    import_rows(log, "jsonl", lines({"messages": [ASKED, wish]}))

    (call,) = traces()[0].calls[0].call.choices[0].message.tool_calls
    assert (call.name, call.arguments) == ("add", '{"a": 1}')


def test_what_nobody_answered_is_kept_beside(log, lines, traces):
    """Messages after the last answer are in no call, and not lost."""
    import_rows(log, "jsonl", lines({"messages": [ASKED, DONE, ASKED]}))

    assert traces()[0].metadata["unanswered"] == [ASKED]


def test_a_second_import_writes_nothing(log, lines):
    """The same file again, and a copy of a line of it: all of that is known."""
    path = lines(CHAT, PAIR)
    first = import_rows(log, "jsonl", path)
    head = log.head()

    again = import_rows(log, "jsonl", path)

    assert (first.rollouts, again.rollouts, again.known, again.facts) == (3, 0, 3, 0)
    assert log.head() == head


def test_a_row_with_a_reward_brings_it(log, lines, traces):
    """As `agl export jsonl` writes it; a row that says null has none, and a missing reward is no zero."""
    import_rows(log, "jsonl", lines({**CHAT, "reward": 0.25}, {**CHAT, "reward": None}))

    assert [trace.reward for trace in traces()] == [0.25, None]


def test_a_line_in_another_encoding_is_refused_with_the_command_that_mends_it(log, tmp_path):
    """What a codec says of a byte helps nobody."""
    source = tmp_path / "chats.jsonl"
    source.write_bytes('{"messages": [{"role": "user", "content": "é"}]}'.encode("latin-1"))

    came = import_rows(log, "jsonl", source)

    assert "it is not UTF-8: `iconv -f" in came.reasons[0].why


def test_equal_lines_are_as_many_rollouts(log, lines):
    """A line that is there twice counts twice: it was written so."""
    came = import_rows(log, "jsonl", lines(CHAT, CHAT))

    assert came.rollouts == 2


@pytest.mark.parametrize(
    ("line", "why"),
    [
        ('{"messages": [', "no JSON object"),
        ('{"messages": [{"role": "assistant", "content": "42"}], "reward": "high"}', "it is a finite number"),
        ("[1, 2]", "no object"),
        ({"messages": []}, "messages is empty"),
        ({"messages": [{"role": "king", "content": "x"}]}, "role is 'king'"),
        ({"messages": [ASKED]}, "no assistant message"),
        ({"text": "x"}, "neither messages (SFT) nor input"),
        ({"input": [], "preferred_output": []}, "input is no object"),
        ({"input": {"messages": [ASKED]}, "preferred_output": [DONE]}, "non_preferred_output is no list"),
        ({"messages": [ASKED, {"role": "assistant", "tool_calls": [{}]}]}, "names no function"),
    ],
)
def test_a_bad_line_costs_itself_only(log, lines, line, why):
    """It is a reason with its line and its code, nothing of it is written, and the rest is in."""
    came = import_rows(log, "jsonl", lines(CHAT, line, PAIR))

    (refused,) = came.reasons
    assert (refused.where, refused.code) == ("source.jsonl:2", "IMPORT_LINE_BAD")
    assert why in refused.why
    assert came.rollouts == 3


def test_a_deflated_file_is_read(log, lines, tmp_path):
    """What gzip made smaller is inflated on the way."""
    import gzip

    path = tmp_path / "source.jsonl.gz"
    path.write_bytes(gzip.compress(lines(CHAT).read_bytes()))

    assert import_rows(log, "jsonl", path).rollouts == 1
