"""Anthropic's own library: the loop by hand, in a stream, from a coroutine, and by its own runner of tools."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import anthropic
from story import KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = ("anthropic",)
TOOL: Any = {
    "name": "add",
    "description": "a + b",
    "input_schema": {
        "type": "object",
        "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
        "required": ["a", "b"],
    },
}
ASKED: dict[str, Any] = {"model": "policy", "max_tokens": 256, "system": SYSTEM, "tools": [TOOL]}


def _client(model: ScriptedModel) -> anthropic.Anthropic:
    return anthropic.Anthropic(base_url=model.url.removesuffix("/v1"), api_key=KEY, max_retries=0)


def _answered(turns: list[Any], message: Any) -> bool:
    turns.append({"role": "assistant", "content": message.content})
    results = [
        {"type": "tool_result", "tool_use_id": block.id, "content": str(add(**block.input))}
        for block in message.content
        if block.type == "tool_use"
    ]
    if results:
        turns.append({"role": "user", "content": results})
    return not results


def messages(model: ScriptedModel) -> object:
    """The loop as everyone writes it."""
    turns: list[Any] = [{"role": "user", "content": QUESTION}]
    with _client(model) as client:
        while not _answered(turns, message := client.messages.create(**ASKED, messages=turns)):
            continue
    return message.content[0].text


def messages_streamed(model: ScriptedModel) -> object:
    """The same with the library's own reading of a stream."""
    turns: list[Any] = [{"role": "user", "content": QUESTION}]
    with _client(model) as client:
        while True:
            with client.messages.stream(**ASKED, messages=turns) as stream:
                message = stream.get_final_message()
            if _answered(turns, message):
                return message.content[0].text


def messages_async(model: ScriptedModel) -> object:
    """From a coroutine."""

    async def story() -> object:
        turns: list[Any] = [{"role": "user", "content": QUESTION}]
        url = model.url.removesuffix("/v1")
        async with anthropic.AsyncAnthropic(base_url=url, api_key=KEY, max_retries=0) as client:
            while not _answered(turns, message := await client.messages.create(**ASKED, messages=turns)):
                continue
        return message.content[0].text

    return asyncio.run(story())


def messages_formed(model: ScriptedModel) -> object:
    """An answer that must have a form."""
    with _client(model) as client:
        turns: list[Any] = [{"role": "user", "content": QUESTION}]
        return client.messages.parse(model="policy", max_tokens=256, messages=turns, output_format=Sum).parsed_output


def tool_runner(*, is_threaded: bool) -> Callable[[ScriptedModel], object]:
    """The loop as the library runs it; in a thread, a request holds only what the provider has not heard yet."""

    def tell(model: ScriptedModel) -> object:
        tool = anthropic.beta_tool(
            lambda a, b: str(add(a, b)), name="add", description="a + b", input_schema=TOOL["input_schema"]
        )
        with _client(model) as client:
            runner = client.beta.messages.tool_runner(
                model="policy",
                max_tokens=256,
                tools=[tool],
                messages=[{"role": "user", "content": QUESTION}],
                **({} if is_threaded else {"thread": False}),
            )
            return runner.until_done().content[0].text

    return tell


STORIES = (
    Story(name="messages", tell=messages),
    Story(name="messages-streamed", tell=messages_streamed, answers=TWICE),
    Story(name="messages-async", tell=messages_async),
    Story(name="messages-formed", tell=messages_formed, answers=SUM),
    Story(name="tool-runner", tell=tool_runner(is_threaded=False)),
    Story(name="tool-runner-threaded", tell=tool_runner(is_threaded=True)),
)
