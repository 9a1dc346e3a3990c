"""The agent: a tool loop over HTTP, scored by its last words."""

from __future__ import annotations

import asyncio
import gc
import json
from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest

pytest.importorskip("openai")

from agl_demo.calculator.agent import TURNS, calculator_agent, reward, streaming_calculator_agent

import agl_core as agl

TASK = {"question": "Ada has 3 pens and gets 4 more. How many now?", "answer": 7}


def says(content):
    """A reply in words."""
    return {"role": "assistant", "content": content}


def calls(expression, *, name="calculator", arguments=None):
    """A reply that asks for the tool."""
    arguments = json.dumps({"expression": expression}) if arguments is None else arguments
    return {
        "role": "assistant",
        "content": None,
        "tool_calls": [{"id": "call-1", "type": "function", "function": {"name": name, "arguments": arguments}}],
    }


@contextmanager
def model_that(*replies) -> Iterator[tuple[agl.LLM, list]]:
    """An endpoint that gives these replies in turn, and the requests it had."""
    requests: list = []

    class Handler(BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self):
            body = json.loads(self.rfile.read(int(self.headers["content-length"])))
            message = replies[len(requests) % len(replies)]
            requests.append({"path": self.path, "key": self.headers["authorization"], **body})
            reason = "tool_calls" if message.get("tool_calls") else "stop"
            completion = {
                "id": "c",
                "object": "chat.completion",
                "created": 0,
                "model": "m",
                "choices": [{"index": 0, "finish_reason": reason, "message": message}],
            }
            is_streamed = body.get("stream")
            content = b"".join(pieces(completion)) if is_streamed else json.dumps(completion).encode()
            self.send_response(200)
            self.send_header("content-type", "text/event-stream" if is_streamed else "application/json")
            self.send_header("content-length", str(len(content)))
            self.end_headers()
            self.wfile.write(content)

        def log_message(self, *_):
            pass

    server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
    server.daemon_threads = True
    thread = Thread(target=server.serve_forever)
    thread.start()
    endpoint = f"http://127.0.0.1:{server.server_port}/v1"
    try:
        yield agl.LLM(endpoint=endpoint, model="m", api_key="k", sampling_parameters={"temperature": 1.0}), requests
    finally:
        server.shutdown()
        thread.join()
        server.server_close()


def pieces(completion) -> Iterator[bytes]:
    """The completion as a stream: a character at a time, and a call after its words."""
    (choice,) = completion["choices"]
    message = choice["message"]
    deltas = [{"role": "assistant", "content": None}, *({"content": each} for each in message["content"] or "")]
    for index, call in enumerate(message.get("tool_calls", ())):
        name, arguments = call["function"]["name"], call["function"]["arguments"]
        begun = {"index": index, "id": call["id"], "type": "function", "function": {"name": name, "arguments": ""}}
        deltas.append({"tool_calls": [begun]})
        deltas += [{"tool_calls": [{"index": index, "function": {"arguments": each}}]} for each in arguments]
    for place, delta in enumerate(deltas, 1):
        reason = choice["finish_reason"] if place == len(deltas) else None
        chunk = {
            **completion,
            "object": "chat.completion.chunk",
            "choices": [{"index": 0, "delta": delta, "finish_reason": reason}],
        }
        yield b"data: " + json.dumps(chunk).encode() + b"\n\n"
    yield b"data: [DONE]\n\n"


def run(task, llm, agent=calculator_agent):
    """One run of the agent in a loop of its own; its connections are closed with the loop."""

    async def once():
        from agl_demo.calculator.agent import _CLIENTS

        try:
            return await agent(task, llm)
        finally:
            for client in _CLIENTS[asyncio.get_running_loop()]:
                await client.close()

    return asyncio.run(once())


def test_a_tool_call_is_worked_out_and_the_answer_scored():
    """The ordinary path: ask, calculate, ask again."""
    with model_that(calls("3 + 4"), says("7")) as (llm, requests):
        assert run(TASK, llm) == 1.0

    first, second = requests
    assert first["path"] == "/v1/chat/completions"
    assert first["key"] == "Bearer k"
    assert (first["temperature"], first["model"]) == (1.0, "m")
    assert first["tools"][0]["function"]["name"] == "calculator"
    assert [message["role"] for message in second["messages"]] == ["user", "assistant", "tool"]
    assert second["messages"][1] == calls("3 + 4")
    assert second["messages"][2]["content"] == "7"


def test_a_streaming_agent_says_and_scores_the_same():
    """It puts words and calls together from their pieces, and hands them back as one that waits does."""
    replies = (calls("3 + 4"), {**says("so: "), "tool_calls": calls("7 * 1")["tool_calls"]}, says("It is 7."))
    with model_that(*replies) as (llm, waited):
        assert run(TASK, llm) == 1.0
    with model_that(*replies) as (llm, streamed):
        assert run(TASK, llm, streaming_calculator_agent) == 1.0

    assert [request["stream"] for request in streamed] == [True] * 3
    assert [request["messages"] for request in streamed] == [request["messages"] for request in waited]


@pytest.mark.parametrize(
    ("call", "told"),
    [
        (calls("3 +"), "error: not an arithmetic expression"),
        (calls("1/0"), "error: division by zero"),
        (calls("1", name="browser"), "error: there is no tool 'browser'"),
        (calls("", arguments="{"), "error: the argument must be an expression"),
        (calls("", arguments="[]"), "error: the argument must be an expression"),
        (calls("", arguments='{"expression": [1]}'), "error: not an arithmetic expression"),
    ],
)
def test_what_the_tool_cannot_do_is_told_to_the_model(call, told):
    """A bad call is a turn like any other."""
    with model_that(call, says("7")) as (llm, requests):
        assert run(TASK, llm) == 1.0

    assert requests[1]["messages"][2]["content"] == told


def test_a_model_that_never_answers_is_stopped_and_gets_nothing():
    """The number of turns is bounded."""
    with model_that(calls("3 + 4")) as (llm, requests):
        assert run(TASK, llm) == 0.0

    assert len(requests) == TURNS


def test_event_loops_one_after_the_other_each_have_their_own_connections():
    """A client is shared within a loop and forgotten with it."""
    from agl_demo.calculator import agent

    with model_that(says("7")) as (llm, _):
        assert [run(TASK, llm) for _ in range(3)] == [1.0, 1.0, 1.0]

    gc.collect()
    assert len(agent._CLIENTS) == 0


def test_the_client_of_a_task_shares_the_connections_of_its_loop():
    """`with_options` is cheap: no new TLS context, no new pool. They take turns, and there are a few."""
    from agl_demo.calculator.agent import _CLIENTS, _POOLS, _client

    async def clients():
        turns = [_client() for _ in range(2 * _POOLS)]
        other = turns[0].with_options(base_url="http://127.0.0.1:1/v1", api_key="other")
        for client in _CLIENTS[asyncio.get_running_loop()]:
            await client.close()
        return (
            len({id(client) for client in turns}),
            turns[:_POOLS] == turns[_POOLS:],
            other._client is turns[0]._client,
        )

    assert asyncio.run(clients()) == (8, True, True)


@pytest.mark.parametrize(
    ("content", "score"),
    [
        ("7", 1.0),
        ("7.0", 1.0),
        ("The answer is 7.", 1.0),
        ("3 + 4 = 7", 1.0),
        ("7 or 8", 0.0),
        ("-7", 0.0),
        ("17", 0.0),
        ("7.5", 0.0),
        ("seven", 0.0),
        ("", 0.0),
        (None, 0.0),
    ],
)
def test_the_last_number_counts(content, score):
    """Words around it do not matter; numbers after it do."""
    assert reward(TASK, [says(content)]) == score


def test_thousands_may_have_commas():
    """1,234 is one number."""
    assert reward({"answer": 1234}, [says("It is 1,234.")]) == 1.0


def test_partial_credit_is_given_only_where_the_task_says_so():
    """A call that works is worth something, one that finds the answer more, saying it most."""
    graded = {**TASK, "partial": True}
    tool = {"role": "tool", "tool_call_id": "call-1"}
    wrong = [calls("3 * 4"), {**tool, "content": "12"}, says("12")]
    unsaid = [calls("3 + 4"), {**tool, "content": "7"}, says("nothing")]
    broken = [calls("3 +"), {**tool, "content": "error: not an arithmetic expression 7"}, says("nothing")]

    assert [reward(graded, messages) for messages in (wrong, unsaid, broken)] == pytest.approx([0.2, 0.4, 0.0])
    assert [reward(TASK, messages) for messages in (wrong, unsaid, broken)] == [0.0, 0.0, 0.0]
    assert reward(graded, [says("7")]) == 1.0
