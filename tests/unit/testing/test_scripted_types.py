"""What the test double sends is valid by the types of the SDKs, with no field missing and no word made up."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import pytest

from agl_core.events import ToolCall
from agl_core.testing import Answer, Asked, Failing, ScriptedModel

pydantic = pytest.importorskip("pydantic")

CALLS = (ToolCall(id="c1", name="add", arguments='{"a": 1}'), ToolCall(id="c2", name="now", arguments="{}"))
ANSWERS: dict[str, Any] = {
    "text": Answer(text="four and more", cached_tokens=3),
    "empty": Answer(),
    "calls": Answer(reasoning="two and two", text="let me see", tool_calls=CALLS),
    "refusal": Answer(refusal="I had rather not."),
    "failing": Failing(after=2, code="server_error", answer="four and more"),
}
CHAT = {"messages": [{"role": "user", "content": "?"}], "logprobs": True, "top_logprobs": 2, "return_token_ids": True}
USAGE = {"stream_options": {"include_usage": True}}
INCLUDE = {"include": ["message.output_text.logprobs"], "top_logprobs": 2}


def sent(answer: Any, route: str, **fields: Any) -> list[dict[str, Any]]:
    """The bodies, or what the events say, an error among them left out."""
    asked = Asked(body={"model": "policy", **fields}, headers={}, path=f"/v1/{route}")
    content = b"".join(ScriptedModel(answer)._reply(asked).pieces)
    lines = content.split(b"\n") if fields.get("stream") else [b"data: " + content]
    said = [json.loads(line.removeprefix(b"data: ")) for line in lines if line.startswith(b"data: {")]
    return [one for one in said if not one.get("error")]


@cache
def types_of(type_: Any) -> Any:
    """A validator; to build one takes longer than to use it."""
    return pydantic.TypeAdapter(type_)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
@pytest.mark.parametrize(
    ("route", "fields", "whole", "piece"),
    [
        ("chat/completions", {**CHAT, **USAGE}, "chat.ChatCompletion", "chat.ChatCompletionChunk"),
        ("chat/completions", {**CHAT, "n": 2, "max_tokens": 9}, "chat.ChatCompletion", "chat.ChatCompletionChunk"),
        ("responses", {"input": "?", **INCLUDE}, "responses.Response", "responses.ResponseStreamEvent"),
        (
            "responses",
            {"input": "?", "reasoning": {"summary": "auto"}, "max_output_tokens": 30},
            "responses.Response",
            "responses.ResponseStreamEvent",
        ),
    ],
)
def test_openais_types_know_all_of_it(answer: Any, route: str, fields: dict[str, Any], whole: str, piece: str):
    """Validated, where the SDK itself only builds."""
    openai = pytest.importorskip("openai")

    for name, streamed in ((whole, False), (piece, True)):
        home, kind = name.split(".")
        type_ = getattr(getattr(openai.types, home), kind)
        for one in sent(answer, route, stream=streamed, **fields):
            types_of(type_).validate_python(one)


@pytest.mark.parametrize("answer", ANSWERS.values(), ids=ANSWERS)
def test_anthropics_types_know_all_of_it(answer: Any):
    """A ping is an event that its types leave out."""
    types = pytest.importorskip("anthropic").types
    fields = {"messages": CHAT["messages"], "max_tokens": 99}

    for one in sent(answer, "messages", **fields):
        types_of(types.Message).validate_python(one)
    for one in sent(answer, "messages", stream=True, **fields):
        if one["type"] != "ping":
            types_of(types.RawMessageStreamEvent).validate_python(one)


def test_openais_type_knows_embeddings():
    """Numbers; in base64 they are another type."""
    openai = pytest.importorskip("openai")
    (body,) = sent("ok", "embeddings", input=["one", "two"])

    assert len(openai.types.CreateEmbeddingResponse.model_validate(body).data) == 2
