"""OpenAI's own library: every route that is a dialect of ours, whole, streamed, and from a coroutine."""

from __future__ import annotations

import asyncio
import json
from typing import Any

import openai
from story import DONE, KEY, QUESTION, SUM, SYSTEM, TWICE, Story, Sum, add

from agl_core.testing import ScriptedModel

PACKAGES = ("openai",)
PARAMETERS = {
    "type": "object",
    "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
    "required": ["a", "b"],
}
TOOL: Any = {"type": "function", "function": {"name": "add", "description": "a + b", "parameters": PARAMETERS}}
FLAT: Any = {"type": "function", "name": "add", "description": "a + b", "parameters": PARAMETERS, "strict": False}


def _client(model: ScriptedModel) -> openai.OpenAI:
    return openai.OpenAI(base_url=model.url, api_key=KEY, max_retries=0)


def _turns() -> list[Any]:
    return [{"role": "system", "content": SYSTEM}, {"role": "user", "content": QUESTION}]


def _answered(turns: list[Any], message: Any) -> bool:
    """Whether nothing is left to do; else the tools are called, and the chat is longer."""
    turns.append(message)
    for call in message.tool_calls or ():
        result = str(add(**json.loads(call.function.arguments)))
        turns.append({"role": "tool", "tool_call_id": call.id, "content": result})
    return not message.tool_calls


def chat(model: ScriptedModel) -> object:
    """The loop as everyone writes it."""
    turns = _turns()
    with _client(model) as client:
        while True:
            reply = client.chat.completions.create(model="policy", messages=turns, tools=[TOOL], temperature=0.5)
            if _answered(turns, message := reply.choices[0].message):
                return message.content


def chat_streamed(model: ScriptedModel) -> object:
    """The same with the library's own reading of a stream."""
    turns = _turns()
    with _client(model) as client:
        while True:
            with client.chat.completions.stream(
                model="policy", messages=turns, tools=[TOOL], stream_options={"include_usage": True}
            ) as stream:
                message = stream.get_final_completion().choices[0].message
            if _answered(turns, message):
                return message.content


def chat_async(model: ScriptedModel) -> object:
    """From a coroutine."""

    async def story() -> object:
        turns = _turns()
        async with openai.AsyncOpenAI(base_url=model.url, api_key=KEY, max_retries=0) as client:
            while True:
                reply = await client.chat.completions.create(model="policy", messages=turns, tools=[TOOL])
                if _answered(turns, message := reply.choices[0].message):
                    return message.content

    return asyncio.run(story())


def completions(model: ScriptedModel) -> object:
    """Text that goes on."""
    with _client(model) as client:
        return client.completions.create(model="policy", prompt=QUESTION, max_tokens=256, stop="\n").choices[0].text


def completions_streamed(model: ScriptedModel) -> object:
    """The same, in pieces."""
    with _client(model) as client:
        chunks = client.completions.create(model="policy", prompt=QUESTION, max_tokens=256, stream=True)
        return "".join(chunk.choices[0].text for chunk in chunks if chunk.choices)


def responses(model: ScriptedModel) -> object:
    """The items of the answer go back as they came."""
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    with _client(model) as client:
        while True:
            reply = client.responses.create(
                model="policy", instructions=SYSTEM, input=items, tools=[FLAT], max_output_tokens=256
            )
            if _went_on(items, reply):
                return reply.output_text


def responses_streamed(model: ScriptedModel) -> object:
    """The same with the library's own reading of a stream."""
    items: list[Any] = [{"role": "user", "content": QUESTION}]
    with _client(model) as client:
        while True:
            with client.responses.stream(model="policy", instructions=SYSTEM, input=items, tools=[FLAT]) as stream:
                reply = stream.get_final_response()
            if _went_on(items, reply):
                return reply.output_text


def _went_on(items: list[Any], reply: Any) -> bool:
    items.extend(reply.output)
    calls = [item for item in reply.output if item.type == "function_call"]
    for call in calls:
        result = str(add(**json.loads(call.arguments)))
        items.append({"type": "function_call_output", "call_id": call.call_id, "output": result})
    return not calls


def chat_formed(model: ScriptedModel) -> object:
    """An answer that must have a form."""
    with _client(model) as client:
        reply = client.chat.completions.parse(model="policy", messages=_turns(), response_format=Sum)
        return reply.choices[0].message.parsed


def responses_formed(model: ScriptedModel) -> object:
    """The same, by the other route."""
    with _client(model) as client:
        return client.responses.parse(model="policy", input=QUESTION, text_format=Sum).output_parsed


def embeddings(model: ScriptedModel) -> object:
    """Of two texts."""
    with _client(model) as client:
        return len(client.embeddings.create(model="policy", input=[QUESTION, DONE], dimensions=8).data)


STORIES = (
    Story(name="chat", tell=chat),
    Story(name="chat-streamed", tell=chat_streamed, answers=TWICE),
    Story(name="chat-async", tell=chat_async),
    Story(name="chat-formed", tell=chat_formed, answers=SUM),
    Story(name="responses-formed", tell=responses_formed, answers=SUM),
    Story(name="completions", tell=completions, answers=(DONE,)),
    Story(name="completions-streamed", tell=completions_streamed, answers=(DONE,)),
    Story(name="responses", tell=responses),
    Story(name="responses-streamed", tell=responses_streamed, answers=TWICE),
    Story(name="embeddings", tell=embeddings, answers=("ok",), ends="2"),
)
