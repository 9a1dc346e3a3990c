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
