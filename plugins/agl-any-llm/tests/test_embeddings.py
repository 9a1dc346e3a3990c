"""Vectors, of a provider that has them."""

from __future__ import annotations

import asyncio

import httpx
import pytest
from agl_any_llm import agl_open_engine

from agl_core.testing import ScriptedModel


@pytest.fixture
def vectors(monkeypatch):
    """A provider's model that gives vectors, and how to ask for them."""
    pytest.importorskip("any_llm")
    with ScriptedModel(model="text-embedding") as provider:
        monkeypatch.setenv("OPENAI_API_KEY", "sk-which-nobody-may-see")
        monkeypatch.setenv("OPENAI_BASE_URL", provider.url)
        engine = agl_open_engine(url="any-llm:openai/text-embedding", name="embedder")
        endpoint = asyncio.run(engine.start())
        assert "openai.embeddings" in endpoint.dialects
        with httpx.Client(headers={"authorization": f"Bearer {endpoint.api_key}"}, timeout=60) as http:
            yield lambda **fields: http.post(f"{endpoint.url}/embeddings", json={"model": "embedder", **fields})
        asyncio.run(engine.stop())


def test_texts_become_vectors(vectors):
    """One each, in their order, with what they cost."""
    answer = vectors(input=["one", "two"], dimensions=3).json()

    assert [(one["index"], len(one["embedding"])) for one in answer["data"]] == [(0, 3), (1, 3)]
    assert answer["usage"]["prompt_tokens"] > 0


def test_vectors_may_be_packed(vectors):
    """OpenAI's own library asks for base64, and not every provider knows it."""
    import base64
    import struct

    plain = vectors(input="one").json()["data"][0]["embedding"]
    packed = vectors(input="one", encoding_format="base64").json()["data"][0]["embedding"]

    assert list(struct.unpack(f"<{len(plain)}f", base64.b64decode(packed))) == plain


@pytest.mark.parametrize("words", [[1, 2], [[1, 2]], [], None, 7])
def test_what_is_no_text_is_refused(vectors, words):
    """Tokens are of one model, and this may be another."""
    assert vectors(input=words).status_code == 400
