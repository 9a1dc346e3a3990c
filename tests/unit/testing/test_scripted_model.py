"""The test double for a model speaks like one."""

import threading

import httpx
import pytest

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, Refusal, ScriptedModel


def ask(served: ScriptedModel, /, *messages: dict, **fields) -> httpx.Response:
    """One chat completion, with everything it can report."""
    body = {"model": "policy", "messages": list(messages), "return_token_ids": True, "logprobs": True, **fields}
    return httpx.post(f"{served.url}/chat/completions", json=body, headers={"X-Seen": "yes"})


def user(text: str) -> dict:
    """A message of a user's."""
    return {"role": "user", "content": text}


def test_the_answer_is_a_function_of_the_request():
    """What the script returns is what the client reads."""
    with ScriptedModel(lambda asked: asked.last.upper()) as model:
        reply = ask(model, user("two")).json()

    assert reply["choices"][0]["message"]["content"] == "TWO"


def test_every_request_is_kept():
    """Body, headers and path, in order."""
    with ScriptedModel() as model:
        ask(model, user("a"))
        ask(model, user("b"), temperature=0.5)

    first, second = model.requests
    assert (first.last, second.last) == ("a", "b")
    assert second.body["temperature"] == 0.5
    assert second.headers["x-seen"] == "yes"
    assert second.path == "/v1/chat/completions"


def test_ids_and_logprobs_have_equal_length():
    """One log-probability for each sampled token."""
    with ScriptedModel("é!") as model:
        choice = ask(model, user("x")).json()["choices"][0]

    assert choice["token_ids"] == [0xC3, 0xA9, ord("!"), 256]
    assert len(choice["logprobs"]["content"]) == 4


def test_ids_and_logprobs_come_only_when_asked_for():
    """As from a server that speaks OpenAI's dialect."""
    with ScriptedModel() as model:
        reply = ask(model, user("x"), return_token_ids=False, logprobs=False).json()

    assert "prompt_token_ids" not in reply
    assert "token_ids" not in reply["choices"][0]
    assert reply["choices"][0]["logprobs"] is None


def test_the_next_prompt_begins_with_this_prompt_and_its_answer():
    """So that trajectories merge, tool calls included."""
    call = ToolCall(id="c1", name="add", arguments='{"a": 1}')
    with ScriptedModel(Answer(text="let me see", tool_calls=(call,))) as model:
        first = ask(model, user("1+1")).json()
        said = first["choices"][0]["message"]
        second = ask(model, user("1+1"), said, {"role": "tool", "tool_call_id": "c1", "content": "2"}).json()

    before = first["prompt_token_ids"] + first["choices"][0]["token_ids"]
    assert first["choices"][0]["finish_reason"] == "tool_calls"
    assert second["prompt_token_ids"][: len(before)] == before


def test_max_tokens_cuts_the_answer():
    """It says so by `length`."""
    with ScriptedModel("abcdef") as model:
        choice = ask(model, user("x"), max_tokens=3).json()["choices"][0]

    assert choice["message"]["content"] == "abc"
    assert choice["finish_reason"] == "length"


@pytest.mark.parametrize(
    ("fields", "status", "code"),
    [
        ({"model": "other"}, 404, "model_not_found"),
        ({"messages": [user("x" * 100)]}, 400, "context_length_exceeded"),
        ({"messages": [user("fail")]}, 503, "overloaded"),
        ({"messages": [user("raise")]}, 500, "script_raised"),
    ],
)
def test_refusals_have_openais_shape(fields, status, code):
    """Unknown model, overlong prompt, and what the script wants refused."""

    def script(asked: Asked) -> str | Refusal:
        if asked.last == "raise":
            raise KeyError(asked.last)
        return Refusal(status=503, code="overloaded") if asked.last == "fail" else "fine"

    with ScriptedModel(script, max_len=64) as model:
        reply = ask(model, user("x"), **fields)

    assert reply.status_code == status
    assert reply.json()["error"]["code"] == code


def test_a_script_may_wait_while_others_are_answered():
    """Each request has a thread of its own."""
    gate = threading.Event()

    def script(asked: Asked) -> str:
        if asked.last == "slow":
            gate.wait(30)
        return asked.last

    with ScriptedModel(script) as model:
        slow: list[httpx.Response] = []
        waiting = threading.Thread(target=lambda: slow.append(ask(model, user("slow"))))
        waiting.start()
        model.wait_for_requests(1)
        fast = ask(model, user("fast")).json()
        gate.set()
        waiting.join()

    assert fast["choices"][0]["message"]["content"] == "fast"
    assert slow[0].json()["choices"][0]["message"]["content"] == "slow"


def test_stopping_twice_is_harmless():
    """And leaves nothing open: warnings are errors here."""
    model = ScriptedModel()
    model.start()

    model.stop()
    model.stop()

    with pytest.raises(RuntimeError, match="inside its `with`"):
        _ = model.url


@pytest.mark.parametrize("streamed", [True, False])
@pytest.mark.parametrize(
    ("route", "asked"),
    [
        ("chat/completions", {"messages": [user("two")]}),
        ("chat/completions", {"messages": [user([{"type": "text", "text": "tw"}, {"type": "text", "text": "o"}])]}),
        ("completions", {"prompt": "two"}),
        ("completions", {"prompt": ["two"]}),
        ("responses", {"input": "two"}),
        ("responses", {"input": [user("one"), user([{"type": "input_text", "text": "two"}])]}),
        ("responses", {"input": [{"type": "function_call_output", "call_id": "c", "output": "two"}]}),
        ("messages", {"messages": [user([{"type": "text", "text": "two"}])], "max_tokens": 9}),
        ("messages?beta=true", {"messages": [user("two")], "max_tokens": 9}),
    ],
)
def test_one_script_answers_every_route(route, asked, streamed):
    """What was said last is the same question in every dialect."""
    with ScriptedModel(lambda asked: asked.last.upper()) as model:
        reply = httpx.post(f"{model.url}/{route}", json={"model": "policy", "stream": streamed, **asked})

    assert reply.status_code == 200
    assert '"TWO"' in reply.text
    assert reply.headers["content-type"].startswith("text/event-stream" if streamed else "application/json")


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"3", b"\xff"])
def test_what_is_no_json_object_is_refused(body):
    """It reaches no script."""
    with ScriptedModel() as model:
        reply = httpx.post(f"{model.url}/chat/completions", content=body)

    assert reply.status_code == 400
    assert reply.json()["error"]["code"] == "invalid_json"
    assert model.requests == ()


def test_what_is_not_served_is_not_found():
    """By any method."""
    with ScriptedModel() as model:
        replies = [httpx.post(f"{model.url}/audio/speech", json={}), httpx.get(f"{model.url}/files")]

    assert [reply.status_code for reply in replies] == [404, 404]


def test_a_whole_body_is_sent_as_it_is():
    """Streamed or not: a test may have words of its own."""
    with ScriptedModel({"choices": "none"}) as model:
        assert ask(model, user("x"), stream=True).json() == {"choices": "none"}


def test_a_mistake_in_the_script_is_told_before_a_stream_begins():
    """An answer with fewer log-probabilities than tokens cannot be said."""
    with ScriptedModel(Answer(text="four", logprobs=(-1.0,))) as model:
        reply = ask(model, user("x"), stream=True)

    assert reply.status_code == 500
    assert "give one for each" in reply.json()["error"]["message"]


def test_no_answer_at_all_is_a_mistake_of_the_script():
    """A sequence of answers has one."""
    with ScriptedModel([]) as model:
        assert "at least one" in ask(model, user("x")).json()["error"]["message"]


def test_an_answer_can_be_had_without_a_server():
    """For who has a transport of their own."""
    asked = Asked(body={"model": "policy", "prompt": "x"}, headers={}, path="/v1/completions")

    status, headers, body = ScriptedModel("four").answer(asked)

    assert (status, dict(headers)) == (200, {})
    assert body["choices"][0]["text"] == "four"


def test_the_version_is_in_every_mode():
    """The weights that spoke are known from the first chunk on."""
    with ScriptedModel(version=3) as model:
        chunks = [line for line in ask(model, user("x"), stream=True).text.splitlines() if line.startswith("data: {")]
        whole = ask(model, user("x")).json()

    assert whole["policy_version"] == 3
    assert all('"policy_version": 3' in chunk for chunk in chunks)
