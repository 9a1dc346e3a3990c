"""Each model, started and asked once: whether it calls tools, and says which tokens it sampled and how likely."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Iterator
from typing import Any

from agl_core.engine import Endpoint
from agl_core.errors import AglError, EngineFailed, TokenIdsMissing
from agl_core.events import Choice
from agl_core.preflight._check import Check, Finding, Given, told
from agl_core.wire import openai_chat

__all__ = ["CHECKS"]

_TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "Adds two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "number"}, "b": {"type": "number"}},
            "required": ["a", "b"],
        },
    },
}
_QUESTION = "Use the tool `add` to add 2 and 3."
_LONGEST = 64


def _models(given: Given) -> Iterator[Finding]:
    if not given.models:
        yield Finding(status="skipped", what="no model was named: --model NAME=URL asks one")
    for name, url in given.models.items():
        try:
            yield from asyncio.run(_probed(given, name, url))
        except AglError as error:
            yield told(error, check="models")


async def _probed(given: Given, name: str, url: str) -> list[Finding]:
    engine = given.plugins.open_engine(url, name)
    try:
        async with asyncio.timeout(given.timeout):
            endpoint = await engine.start()
            if openai_chat.NAME not in endpoint.dialects:
                speaks = ", ".join(endpoint.dialects)
                return [Finding(status="skipped", what=f"{name!r} speaks {speaks}, and is asked when an agent does")]
            began = time.monotonic()
            choice = await _asked(endpoint)
            return list(_findings(endpoint, choice, time.monotonic() - began))
    except TimeoutError:
        raise EngineFailed(url, why=f"it did not answer within {given.timeout:g} s") from None
    finally:
        await engine.stop()


async def _asked(endpoint: Endpoint) -> Choice:
    import httpx

    body: dict[str, Any] = {
        "model": endpoint.named or endpoint.model,
        "messages": [{"role": "user", "content": _QUESTION}],
        "tools": [_TOOL],
        "max_tokens": _LONGEST,
    }
    sent = openai_chat.add_capture(
        body, token_ids=endpoint.token_ids, logprobs=endpoint.token_ids or endpoint.logprobs_mode is not None
    )
    headers = {"authorization": f"Bearer {endpoint.api_key}"} if endpoint.api_key else {}
    place = f"{endpoint.url}/{openai_chat.ROUTE}"
    try:
        async with httpx.AsyncClient(timeout=None) as client:  # noqa: S113 - the caller's own time-out counts
            reply = await client.post(place, json=sent, headers=headers)
        if not reply.is_success:
            raise EngineFailed(endpoint.url, why=f"it refuses with status {reply.status_code}: {reply.text[:300]}")
        answer = openai_chat.response(openai_chat.request(body), openai_chat.read(reply.content, sent))
    except (httpx.HTTPError, ValueError) as error:
        raise EngineFailed(endpoint.url, why=f"{type(error).__name__}: {error}") from None
    if not answer.choices:
        raise EngineFailed(endpoint.url, why="it answered without a choice")
    return answer.choices[0]


def _findings(endpoint: Endpoint, choice: Choice, seconds: float) -> Iterator[Finding]:
    model = endpoint.model
    yield Finding(status="ok", what=f"{model!r} answered in {seconds:.1f} s")
    if choice.message.tool_calls:
        yield Finding(status="ok", what=f"{model!r} calls tools")
    else:
        yield Finding(
            status="warn", code="TOOL_CALLS_MISSING", what=f"{model!r} was offered a tool, and answered in words",
            cure="serve it with its tool parser (vLLM: --enable-auto-tool-choice --tool-call-parser ...), or ask a "
            "model that knows tools; an agent without tools needs neither",
        )  # fmt: skip
    if choice.token_ids:
        yield Finding(status="ok", what=f"{model!r} says which tokens it sampled")
    else:
        error = TokenIdsMissing(model, url=endpoint.url)
        # Who promised them and does not give them is broken; who never did serves other algorithms well.
        yield told(error, check="models", status="fail" if endpoint.token_ids else "warn")
    if endpoint.token_ids and len(choice.logprobs) != len(choice.token_ids):
        yield Finding(
            status="fail", code="LOGPROBS_MISSING",
            what=f"{model!r} gives {len(choice.token_ids)} token ids and {len(choice.logprobs)} log-probabilities",
            cure="let the server answer `logprobs: true` (vLLM: --max-logprobs 1 or more)",
        )  # fmt: skip


CHECKS = (Check(name="models", look=_models),)
