"""Whatever dialect a call was captured in, its transcript is a chat in OpenAI's words."""

from agl_messages import Messages

from agl_core.events import CallRecorded
from agl_core.wire import anthropic_messages, openai_responses


def captured(dialect, number, request, response):
    """A call as the gateway records it."""
    call = dialect.response(dialect.request(request), response)
    return CallRecorded(
        call_id=f"ca-{number}", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=number, latency=0.1
    )


def shown(transcript):
    """Role, text, tool calls and whom a message answers."""
    return [
        (one.role, one.content, [(call.id, call.name, call.arguments) for call in one.tool_calls], one.tool_call_id)
        for one in transcript.messages
    ]


def test_an_anthropic_conversation_is_one_chat(trace):
    """System beside the messages, a tool's result inside a user's turn, thoughts that are not said again."""
    tools = [{"name": "add", "description": "Add.", "input_schema": {"type": "object"}}]
    use = {"type": "tool_use", "id": "tu-1", "name": "add", "input": {"a": 2, "b": 2}}
    thought = {"type": "thinking", "thinking": "Hm.", "signature": "s"}
    text = {"type": "text", "text": "I add."}
    asked = [{"role": "user", "content": "2+2?"}]
    result = {"type": "tool_result", "tool_use_id": "tu-1", "content": "4"}
    later = [*asked, {"role": "assistant", "content": [text, use]}, {"role": "user", "content": [result]}]
    calls = [
        captured(
            anthropic_messages, number,
            {"model": "m", "max_tokens": 9, "system": "You add.", "tools": tools, "messages": messages},
            {"id": f"msg-{number}", "role": "assistant", "content": content, "stop_reason": "end_turn"},
        )
        for number, (messages, content) in enumerate(
            [(asked, [thought, text, use]), (later, [{"type": "text", "text": "4."}])]
        )
    ]  # fmt: skip

    (row,) = Messages()([trace("ro-1", *calls)]).rows

    assert shown(row) == [
        ("system", "You add.", [], None),
        ("user", "2+2?", [], None),
        ("assistant", "I add.", [("tu-1", "add", '{"a":2,"b":2}')], None),
        ("tool", "4", [], "tu-1"),
        ("assistant", "4.", [], None),
    ]
    assert row.trained == (False, False, True, False, True)
    assert [(tool.name, tool.parameters) for tool in row.tools] == [("add", {"type": "object"})]


def _responses(number, body, output):
    request = {"model": "m", "instructions": "You add.", **body}
    return captured(openai_responses, number, request, {"id": f"resp-{number}", "output": output})


WISH = {"type": "function_call", "id": "fc-1", "call_id": "c-1", "name": "add", "arguments": '{"a":2}'}
RESULT = {"type": "function_call_output", "call_id": "c-1", "output": "4"}
SAID = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "4."}]}
CHAT = [
    ("system", "You add.", [], None),
    ("user", "2+2?", [], None),
    ("assistant", None, [("c-1", "add", '{"a":2}')], None),
    ("tool", "4", [], "c-1"),
    ("assistant", "4.", [], None),
]


def test_a_responses_conversation_that_is_sent_whole_is_one_chat(trace):
    """Items of one turn are one message."""
    asked = [{"role": "user", "content": "2+2?"}]
    calls = [
        _responses(0, {"input": asked}, [{"type": "reasoning", "id": "r", "summary": []}, WISH]),
        _responses(1, {"input": [*asked, WISH, RESULT]}, [SAID]),
    ]

    (row,) = Messages()([trace("ro-1", *calls)]).rows

    assert shown(row) == CHAT


def test_a_responses_conversation_that_the_provider_keeps_is_the_same_chat(trace):
    """`previous_response_id` is followed through the trace: instructions are told anew, once each time."""
    calls = [
        _responses(0, {"input": "2+2?"}, [WISH]),
        _responses(1, {"input": [RESULT], "previous_response_id": "resp-0"}, [SAID]),
    ]

    (row,) = Messages()([trace("ro-1", *calls)]).rows

    assert shown(row) == CHAT
    assert row.call_ids == ("ca-0", "ca-1")
