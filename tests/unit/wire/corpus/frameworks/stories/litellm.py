"""LiteLLM: its functions, from threads and from coroutines, which have different HTTP clients."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable
from typing import Any

import litellm
from story import DONE, KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = ("litellm", "openai")
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "a + b",
        "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    },
}


def _asked(model: ScriptedModel, provider: str) -> dict[str, Any]:
    url = model.url.removesuffix("/v1") if provider == "anthropic" else model.url
    return {"model": f"{provider}/policy", "api_base": url, "api_key": KEY, "max_tokens": 256, "num_retries": 0}


def _turns() -> list[Any]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def _answered(turns: list[Any], message: Any) -> bool:
    turns.append(message)
    for call in message.tool_calls or ():
        result = str(add(**json.loads(call.function.arguments)))
        turns.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return not message.tool_calls


def whole(provider: str) -> Callable[[ScriptedModel], object]:
    """From a thread."""

    def tell(model: ScriptedModel) -> object:
        turns = _turns()
        while True:
            reply: Any = litellm.completion(**_asked(model, provider), messages=turns, tools=[TOOL])
            if _answered(turns, message := reply.choices[0].message):
                return message.content

    return tell


def streamed(provider: str) -> Callable[[ScriptedModel], object]:
    """From a thread, in pieces."""

    def tell(model: ScriptedModel) -> object:
        turns = _turns()
        while True:
            chunks = list(litellm.completion(**_asked(model, provider), messages=turns, tools=[TOOL], stream=True))
            if _answered(turns, message := _put_together(chunks)):
                return message.content

    return tell


def whole_async(provider: str) -> Callable[[ScriptedModel], object]:
    """From a coroutine."""

    async def story(model: ScriptedModel) -> object:
        turns = _turns()
        while True:
            reply: Any = await litellm.acompletion(**_asked(model, provider), messages=turns, tools=[TOOL])
            if _answered(turns, message := reply.choices[0].message):
                return message.content

    return lambda model: asyncio.run(story(model))


def streamed_async(provider: str) -> Callable[[ScriptedModel], object]:
    """From a coroutine, in pieces."""

    async def story(model: ScriptedModel) -> object:
        turns = _turns()
        while True:
            reply: Any = await litellm.acompletion(**_asked(model, provider), messages=turns, tools=[TOOL], stream=True)
            if _answered(turns, message := _put_together([chunk async for chunk in reply])):
                return message.content

    return lambda model: asyncio.run(story(model))


def _put_together(chunks: list[Any]) -> Any:
    whole: Any = litellm.stream_chunk_builder(chunks)
    return whole.choices[0].message


def formed(provider: str) -> Callable[[ScriptedModel], object]:
    """An answer that must have a form."""

    def tell(model: ScriptedModel) -> object:
        reply: Any = litellm.completion(**_asked(model, provider), messages=_turns(), response_format=Sum)
        return reply.choices[0].message.content

    return tell


def responses(model: ScriptedModel) -> object:
    """The newer route."""
    asked = {**_asked(model, "openai"), "max_tokens": None, "max_output_tokens": 256}
    reply: Any = litellm.responses(
        **{name: value for name, value in asked.items() if value is not None}, input=QUESTION, instructions=SYSTEM
    )
    return reply.output[0].content[0].text


def completions(model: ScriptedModel) -> object:
    """Text that goes on."""
    asked = {**_asked(model, "text-completion-openai"), "prompt": QUESTION}
    reply: Any = litellm.text_completion(**asked)
    return reply.choices[0].text


def embeddings(model: ScriptedModel) -> object:
    """Of two texts."""
    asked = {name: value for name, value in _asked(model, "openai").items() if name != "max_tokens"}
    return len(litellm.embedding(**asked, input=[QUESTION, DONE]).data)


STORIES = (
    Story(name="chat", tell=whole("openai")),
    Story(name="chat-streamed", tell=streamed("openai"), answers=TWICE),
    Story(name="chat-async", tell=whole_async("openai")),
    Story(name="chat-async-streamed", tell=streamed_async("openai"), answers=TWICE),
    # Another of its clients: not OpenAI's library, but its own handler.
    Story(name="hosted", tell=whole("hosted_vllm")),
    Story(name="hosted-async", tell=whole_async("hosted_vllm")),
    Story(name="hosted-async-streamed", tell=streamed_async("hosted_vllm"), answers=TWICE),
    Story(name="messages", tell=whole("anthropic")),
    Story(name="messages-async", tell=whole_async("anthropic")),
    Story(name="messages-async-streamed", tell=streamed_async("anthropic"), answers=TWICE),
    Story(name="chat-formed", tell=formed("openai"), answers=SUM),
    Story(name="responses", tell=responses, answers=(DONE,)),
    Story(name="completions", tell=completions, answers=(DONE,)),
    Story(name="embeddings", tell=embeddings, answers=("ok",), ends="2"),
)
