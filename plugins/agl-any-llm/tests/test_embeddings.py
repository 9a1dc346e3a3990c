"""Vectors, of a provider that has them."""

from __future__ import annotations

import base64
import struct

import pytest


@pytest.fixture
def vectors(serve):
    """How to ask for them."""
    served = serve(via="openai")
    return lambda **fields: served.send("embeddings", messages=..., **fields)


def test_an_engine_says_that_it_has_vectors(serve):
    """So that the gateway sends requests for them."""
    assert serve(via="openai").endpoint.dialects == ("openai.chat", "openai.embeddings")


def test_texts_become_vectors(vectors):
    """One each, in their order, with what they cost."""
    answer = vectors(input=["one", "two"], dimensions=3).json()

    assert [(one["index"], len(one["embedding"])) for one in answer["data"]] == [(0, 3), (1, 3)]
    assert answer["usage"]["prompt_tokens"] > 0


def test_vectors_may_be_packed(vectors):
    """OpenAI's own library asks for base64, and not every provider knows it."""
    plain = vectors(input="one").json()["data"][0]["embedding"]
    packed = vectors(input="one", encoding_format="base64").json()["data"][0]["embedding"]

    assert list(struct.unpack(f"<{len(plain)}f", base64.b64decode(packed))) == plain


@pytest.mark.parametrize("words", [[1, 2], [[1, 2]], [], None, 7])
def test_what_is_no_text_is_refused(vectors, words):
    """Tokens are of one model, and this may be another."""
    assert vectors(input=words).status_code == 400


def test_a_provider_without_vectors_says_so(serve):
    """With status 400: it will not have them the next time either."""
    reply = serve().send("embeddings", messages=..., input="one")

    assert (reply.status_code, reply.json()["error"]["code"]) == (400, "not_supported")
