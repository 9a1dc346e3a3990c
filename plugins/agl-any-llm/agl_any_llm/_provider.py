"""A provider's model, asked through the library: OpenAI's words in, OpenAI's words out."""

from __future__ import annotations

import base64
import os
import re
import struct
from collections.abc import AsyncGenerator, Iterable
from contextlib import aclosing
from dataclasses import replace
from functools import partial
from typing import Any

import msgspec
from any_llm import AnyLLM
from any_llm.exceptions import (
    AnyLLMError,
    MissingApiKeyError,
    UnsupportedParameterError,
    UnsupportedProviderError,
)

from agl_any_llm._refusals import refusal
from agl_any_llm._requests import chat, embeddings
from agl_core.engine import Refusal
from agl_core.errors import EngineFailed, MissingExtra, UnknownName
from agl_core.wire.sse import said

__all__ = ["Provider"]

_SPARED = frozenset({"seed", "stream_options"})
"""Fields that the gateway adds and some SDKs do not know: a seed is best effort in OpenAI's own words, and usage comes
with a stream where it cannot be asked for too."""
_UNEXPECTED = re.compile(r"unexpected keyword argument '(\w+)'")
_VARIABLE = re.compile(r"[A-Z][A-Z0-9_]+")


class Provider:
    """One model. Made in the event loop that asks it: some SDKs stay in the loop they were made in."""

    def __init__(self, provider: str, model: str, *, url: str, name: str) -> None:
        self._model, self._name = model, name
        self._library = _opened(provider, url)
        self._hidden = partial(_without_keys, _keys(self._library))
        self._unknown: set[str] = set()
        vectors = ("openai.embeddings",) if self._library.SUPPORTS_EMBEDDING else ()
        self.dialects = ("openai.chat", *vectors)
        """What may be asked, as `agl_core.wire` calls it."""

    async def complete(self, content: bytes) -> bytes | AsyncGenerator[bytes]:
        """A chat completion: whole, or the events of a stream whose first chunk has come."""
        asked = chat(content, model=self._name)
        while True:
            asking = {name: value for name, value in asked.items() if name not in self._unknown}
            try:
                return await self._begun(asking)
            except AnyLLMError as error:
                field = _unknown_field(error)
                if field not in asking or field not in _SPARED:
                    raise
                self._unknown.add(field)

    async def embed(self, content: bytes) -> bytes:
        """Vectors, as numbers or in base64 as OpenAI's own library wants them."""
        asked = embeddings(content, model=self._name)
        words, is_packed = asked.pop("input"), asked.pop("encoding_format", "float") == "base64"
        answer = await self._library.aembedding(self._model, words, **asked)
        told = _told(answer)
        for one in told["data"] if is_packed else ():
            one["embedding"] = base64.b64encode(struct.pack(f"<{len(one['embedding'])}f", *one["embedding"])).decode()
        return msgspec.json.encode(told)

    def refusal(self, error: Exception) -> Refusal:
        """How an error is told: without the key, which some providers repeat."""
        told = refusal(error)
        return replace(told, message=self._hidden(told.message))

    async def close(self) -> None:
        """Hang up, if the SDK can."""
        client: Any = getattr(self._library, "client", None)
        client = getattr(client, "aio", client)  # where Google's has its asynchronous half
        if hasattr(client, "__aexit__"):
            await client.__aexit__(None, None, None)

    async def _begun(self, asking: dict[str, Any]) -> bytes | AsyncGenerator[bytes]:
        answer = await self._library.acompletion(self._model, **asking)
        if not asking.get("stream"):
            return msgspec.json.encode(_completion(answer))
        # Until the first chunk a refusal has a status; after it, nobody can ask again.
        return _events(await anext(answer, None), answer)


async def _events(first: Any, chunks: Any) -> AsyncGenerator[bytes]:
    async with aclosing(chunks):
        if first is not None:
            # Some providers name no chunk, and the library each one differently; in OpenAI's streams all have one id.
            yield _event(first, id_=first.id)
            async for chunk in chunks:
                yield _event(chunk, id_=first.id)
    yield said("[DONE]")


def _event(chunk: Any, *, id_: str) -> bytes:
    return said({**_told(chunk), "id": id_})


def _completion(answer: Any) -> dict[str, Any]:
    told = _told(answer)
    for choice in told["choices"]:
        choice["message"].setdefault("content", None)  # it is always there in OpenAI's, and looked up as that
    return told


def _told(answer: Any) -> dict[str, Any]:
    """What it says, without the library's own fields that are empty: sent back, they would be strange to a provider."""
    told: dict[str, Any] = answer.model_dump(mode="json", exclude_none=True)
    return told


def _unknown_field(error: AnyLLMError) -> str:
    """The field that an SDK has no word for: it says so before anything is sent."""
    if isinstance(error, UnsupportedParameterError):
        return str(error.parameter_name)
    found = _UNEXPECTED.search(str(error)) if isinstance(error.original_exception, TypeError) else None
    return found[1] if found else ""


def _opened(provider: str, url: str) -> AnyLLM:
    create = partial(AnyLLM.create, provider, unified_exceptions=True)
    try:
        try:
            return create(max_retries=0)  # the gateway asks again, and writes down why
        except UnsupportedParameterError:
            return create()
    except UnsupportedProviderError as error:
        raise UnknownName("provider", provider, known=error.supported_providers) from None
    except MissingApiKeyError as error:
        raise EngineFailed(url, why=f"it wants a key: set {error.env_var_name}") from None
    except ImportError as error:
        raise MissingExtra(f"the SDK of {provider}", install=f"pip install 'any-llm-sdk[{provider}]'") from error
    except AnyLLMError as error:
        why = _without_keys(_keys(AnyLLM.get_provider_class(provider)), str(error))
        raise EngineFailed(url, why=why) from None


def _keys(library: AnyLLM | type[AnyLLM]) -> list[str]:
    """The provider's keys, from where its users keep them; what is shorter is a word like any other."""
    found = (os.environ.get(name, "").strip() for name in _VARIABLE.findall(library.ENV_API_KEY_NAME or ""))
    return [key for key in found if len(key) > 7]


def _without_keys(keys: Iterable[str], text: str) -> str:
    for key in keys:
        text = text.replace(key, "[key]")
    return text
