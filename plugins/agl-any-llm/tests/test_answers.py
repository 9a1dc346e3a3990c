"""What a provider says, in OpenAI's shape; what is asked, in the provider's."""

from __future__ import annotations

import asyncio
from itertools import count
from threading import Event

import pytest

from agl_core.engine import Checkpoint
from agl_core.errors import EngineFailed
from agl_core.events import ToolCall
from agl_core.testing import Answer

TOOL = {
    "type": "function",
    "function": {"name": "add", "parameters": {"type": "object", "properties": {"a": {"type": "number"}}}},
}
WISH = Answer(tool_calls=(ToolCall(id="toolu_1", name="add", arguments='{"a": 40}'),))


def test_an_answer_has_openais_shape(serve):
    """Text, the reason why it ends, and what it cost."""
    answer = serve("It is 42.").ask()

    assert answer["object"] == "chat.completion"
    assert [(one["message"]["content"], one["finish_reason"]) for one in answer["choices"]] == [("It is 42.", "stop")]
    assert answer["choices"][0]["message"].keys() == {"role", "content"}
    assert answer["usage"]["completion_tokens"] == len("It is 42.") + 1


def test_the_provider_is_asked_in_its_own_words(serve):
    """By its model's name, with the key of its users, and with a system prompt where it wants one."""
    served = serve()

    served.ask(
        messages=[{"role": "system", "content": "Be brief."}, {"role": "user", "content": "6 * 7?"}],
        max_completion_tokens=9,
        stop=["!"],
    )

    (asked,) = served.provider.requests
    assert asked.path == "/v1/messages"
    assert asked.headers["x-api-key"] == served.key
    assert asked.body == {
        "model": served.model,
        "max_tokens": 9,
        "system": "Be brief.",
        "messages": [{"role": "user", "content": "6 * 7?"}],
        "stop_sequences": ["!"],
    }


def test_a_seed_goes_where_it_means_something(serve):
    """Anthropic knows none, and the gateway gives every call one: the call is answered all the same."""
    served = serve()

    served.ask(seed=1)
    served.ask(seed=2)

    assert [asked.body.get("seed") for asked in served.provider.requests] == [None, None]


def test_a_seed_and_a_limit_are_said_as_a_provider_takes_them(serve):
    """A run's seed has more bits than some take; the limit has the name that this API has for it today."""
    served = serve(via="openai")

    for fields in ({"seed": (1 << 62) + 5, "max_tokens": 7}, {"max_tokens": 9, "max_completion_tokens": 8}):
        served.ask(**fields)

    limits = [(asked.body.get("seed"), asked.body["max_completion_tokens"]) for asked in served.provider.requests]
    assert limits == [(5, 7), (None, 8)]


def test_a_wish_for_a_tool_and_its_result_go_there_and_back(serve):
    """As OpenAI's clients write them."""
    served = serve(lambda asked: "42" if "tool_result" in str(asked.body["messages"]) else WISH)
    question = [{"role": "user", "content": "40 and 2?"}]

    wish = served.ask(messages=question, tools=[TOOL])["choices"][0]
    result = {"role": "tool", "tool_call_id": "toolu_1", "content": "42"}
    answer = served.ask(messages=[*question, wish["message"], result], tools=[TOOL])["choices"][0]

    assert wish["finish_reason"] == "tool_calls"
    (call,) = wish["message"]["tool_calls"]
    assert (call["id"], call["type"], call["function"]["name"]) == ("toolu_1", "function", "add")
    assert call["function"]["arguments"].replace(" ", "") == '{"a":40}'
    assert answer["message"]["content"] == "42"


def test_a_stream_says_what_the_answer_would_have_said(serve):
    """Chunks of one id, usage in the last of them, and the mark of the end."""
    *chunks, end = serve(Answer(text="It is 42.", pieces=["It ", "is ", "42."])).stream(seed=1)

    said = [choice["delta"].get("content") or "" for chunk in chunks for choice in chunk["choices"]]
    ends = [choice.get("finish_reason") for chunk in chunks for choice in chunk["choices"]]
    assert [piece for piece in said if piece] == ["It ", "is ", "42."]
    assert [one for one in ends if one] == ["stop"]
    assert {chunk["object"] for chunk in chunks} == {"chat.completion.chunk"}
    assert len({chunk["id"] for chunk in chunks}) == 1
    assert chunks[-1]["usage"]["completion_tokens"] == len("It is 42.") + 1
    assert end == "[DONE]"


def test_a_tool_is_wished_for_in_a_stream(serve):
    """Its arguments come in pieces."""
    *chunks, _ = serve(WISH).stream(tools=[TOOL])

    deltas = [call for chunk in chunks for one in chunk["choices"] for call in one["delta"].get("tool_calls", ())]
    assert [delta["id"] for delta in deltas if "id" in delta] == ["toolu_1"]
    assert "".join(delta["function"].get("arguments", "") for delta in deltas).replace(" ", "") == '{"a":40}'


def test_the_first_words_come_before_the_last_are_made(serve):
    """A stream is one, and not an answer that is cut into pieces when it is whole."""
    heard, pieces = Event(), count()

    def gate():
        assert next(pieces) == 0 or heard.wait(30)

    served = serve(Answer(text="one two", pieces=["one ", "two"], gate=gate))

    body = {"model": "judge", "messages": [{"role": "user", "content": "count"}], "stream": True}
    with served.http.stream("POST", f"{served.endpoint.url}/chat/completions", json=body) as reply:
        lines = []
        for line in reply.iter_lines():
            lines.append(line)
            if '"one ' in line:
                heard.set()

    assert any('"two"' in line for line in lines)
    assert lines[-2] == "data: [DONE]"


def test_it_takes_no_weights(serve):
    """The error says what does."""
    served = serve()

    with pytest.raises(EngineFailed, match="transformers:"):
        asyncio.run(served.engine.load(Checkpoint(digest="b2:x", folder="."), version=1))


def test_it_says_what_cannot_be_had_of_it(serve):
    """Neither token ids nor vectors: nobody asks for them, and no training begins."""
    endpoint = serve().endpoint

    assert (endpoint.token_ids, endpoint.logprobs_mode, endpoint.folder) == (False, None, None)
    assert endpoint.dialects == ("openai.chat",)
