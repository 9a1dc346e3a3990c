"""How the agents here ask a model: by OpenAI's SDK, one client for each event loop."""

from __future__ import annotations

import asyncio
from typing import Any
from weakref import WeakKeyDictionary

from openai import AsyncOpenAI

import agl_core as agl

__all__ = ["said"]


async def said(llm: agl.LLM, messages: list[Any]) -> str:
    """The text of the model's reply."""
    client = _client().with_options(base_url=llm.endpoint, api_key=llm.api_key or "none")
    completion = await client.chat.completions.create(model=llm.model, messages=messages, **llm.sampling_parameters)
    return completion.choices[0].message.content or ""


_CLIENTS: WeakKeyDictionary[asyncio.AbstractEventLoop, AsyncOpenAI] = WeakKeyDictionary()


def _client() -> AsyncOpenAI:
    """A new one costs 20 ms for its TLS context, and connections belong to a loop."""
    loop = asyncio.get_running_loop()
    if loop not in _CLIENTS:
        _CLIENTS[loop] = AsyncOpenAI(api_key="none", base_url="http://127.0.0.1")
    return _CLIENTS[loop]
