"""OpenAI embeddings to a model call and back: texts without turns, vectors as they came."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from agl_core.events import Choice, Message, ModelCall, Usage
from agl_core.wire import openai_embeddings
from agl_core.wire.dialect import Dialect
from agl_core.wire.sse import Sent

_dialect: Dialect = openai_embeddings

RECORDED = sorted((Path(__file__).parent / "corpus" / "embeddings").glob("*.json"))
REQUEST = {
    "model": "embedder",
    "input": ["a cat", "a dog"],
    "dimensions": 2,
    "encoding_format": "base64",
    "user": "ann",
}
RESPONSE = {
    "object": "list",
    "data": [
        {"object": "embedding", "index": 0, "embedding": "AAAAPwAAgD8="},
        {"object": "embedding", "index": 1, "embedding": [0.5, 1.0]},
    ],
    "model": "embedder-2",
    "usage": {"prompt_tokens": 4, "total_tokens": 4},
}


@pytest.mark.parametrize("path", RECORDED, ids=lambda path: path.stem)
def test_what_the_sdk_sends_comes_back_as_it_was(path: Path):
    """Each body that was recorded, on the route that is said."""
    recorded = json.loads(path.read_text("utf-8"))

    call = openai_embeddings.request(recorded["body"])

    assert openai_embeddings.render_request(call) == recorded["body"]
    assert call.dialect == "openai.embeddings"
    assert recorded["path"].removeprefix("/v1/") == openai_embeddings.ROUTE


def test_a_request_in_the_words_of_the_vocabulary():
    """A message for each text; the rest stays beside it."""
    call = openai_embeddings.request(REQUEST)

    assert call == ModelCall(
        model="embedder",
        messages=(Message(role="user", content="a cat"), Message(role="user", content="a dog")),
        extra={"dimensions": 2, "encoding_format": "base64", "user": "ann"},
        dialect="openai.embeddings",
    )


@pytest.mark.parametrize("ids", [[1, 2, 3], [[1, 2, 3]]])
def test_one_list_of_ids_is_the_prompt(ids: list[Any]):
    """Several lists have no word, and stay as they came."""
    one = openai_embeddings.request({"model": "embedder", "input": ids})
    several = openai_embeddings.request({"model": "embedder", "input": [[1], [2]]})

    assert one.prompt_token_ids == (1, 2, 3)
    assert (several.prompt_token_ids, several.extra) == ((), {"input": [[1], [2]]})


def test_a_response_is_usage_and_what_came():
    """Vectors have no word; they come back as they were, packed or not."""
    call = openai_embeddings.response(openai_embeddings.request(REQUEST), RESPONSE)

    assert call.choices == ()
    assert call.usage == Usage(prompt_tokens=4)
    assert call.extra["$response"]["data"] == RESPONSE["data"]
    assert openai_embeddings.render_response(call) == RESPONSE
    assert openai_embeddings.render_request(call) == REQUEST


def test_a_chat_is_one_text():
    """And its answer is no vector."""
    chat = ModelCall(
        model="m",
        messages=(Message(role="user", content="hi"),),
        choices=(Choice(message=Message(role="assistant", content="ho")),),
        extra={"n": 1, "$response": {"object": "chat.completion"}},
    )

    assert openai_embeddings.render_request(chat) == {"model": "m", "input": "user: hi\nassistant:"}
    assert openai_embeddings.render_response(chat) == {"object": "list", "data": [], "model": "m"}


def test_nobody_streams_vectors():
    """What comes all the same goes through as it is, and says nothing."""
    assembly = openai_embeddings.assembly(REQUEST)
    event = Sent(b'data: {"error": {"code": "no"}}\n\n', '{"error": {"code": "no"}}')

    shown = assembly.add(event)

    assert shown == event.raw
    assert (assembly.is_whole, assembly.error, assembly.body()) == (False, None, {})
    assert openai_embeddings.render_stream(openai_embeddings.request(REQUEST)) == []


def test_capture_changes_nothing():
    """Nothing is sampled, so nothing is hidden."""
    assert openai_embeddings.add_capture(REQUEST, token_ids=True, logprobs=True) == REQUEST
    assert openai_embeddings.strip_capture(RESPONSE, REQUEST) == RESPONSE


def test_errors_are_in_the_words_of_openai():
    """Its clients read them so on every route."""
    refused = openai_embeddings.refusal(400, "BAD_VALUE", "no")

    assert refused == {"error": {"message": "no", "type": "invalid_request_error", "param": None, "code": "BAD_VALUE"}}
    assert openai_embeddings.broken("gone", "no").startswith(b'data: {"error":')
