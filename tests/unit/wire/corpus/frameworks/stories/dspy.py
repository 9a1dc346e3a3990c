"""DSPy's ReAct, which writes its wishes as text, on both of its engines."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import dspy
from story import DONE, KEY, QUESTION, Story, add

from agl_core.testing import ScriptedModel

PACKAGES = ("dspy", "litellm", "openai")


def _says(**fields: str) -> str:
    return "\n\n".join([f"[[ ## {name} ## ]]\n{value}" for name, value in fields.items()] + ["[[ ## completed ## ]]"])


REASONS = (
    _says(next_thought="I add.", next_tool_name="add", next_tool_args='{"a": 40, "b": 2}'),
    _says(next_thought="I know it.", next_tool_name="finish", next_tool_args="{}"),
    _says(reasoning="The tool says 42.", answer=DONE),
)


def react(**more: Any) -> Callable[[ScriptedModel], object]:
    """The loop, in a thread."""

    def tell(model: ScriptedModel) -> object:
        lm = dspy.LM("openai/policy", api_base=model.url, api_key=KEY, cache=False, num_retries=0, **more)
        with dspy.context(lm=lm):
            return dspy.ReAct("question -> answer", tools=[add])(question=QUESTION).answer

    return tell


def react_async(model: ScriptedModel) -> object:
    """From a coroutine."""

    async def story() -> object:
        lm = dspy.LM("openai/policy", api_base=model.url, api_key=KEY, cache=False, num_retries=0)
        with dspy.context(lm=lm):
            return (await dspy.ReAct("question -> answer", tools=[add]).acall(question=QUESTION)).answer

    return asyncio.run(story())


def predict_streamed(model: ScriptedModel) -> object:
    """In pieces."""

    async def story() -> object:
        lm = dspy.LM("openai/policy", api_base=model.url, api_key=KEY, cache=False, num_retries=0)
        listener = dspy.streaming.StreamListener(signature_field_name="answer")
        with dspy.context(lm=lm):
            program: Any = dspy.streamify(dspy.Predict("question -> answer"), stream_listeners=[listener])
            *_, last = [piece async for piece in program(question=QUESTION)]
        return last.answer

    return asyncio.run(story())


STORIES = (
    Story(name="chat", tell=react(), answers=REASONS),
    Story(name="chat-async", tell=react_async, answers=REASONS),
    Story(name="chat-streamed", tell=predict_streamed, answers=(_says(answer=DONE),)),
    Story(name="responses", tell=react(model_type="responses"), answers=REASONS),
    Story(name="litellm", tell=react(engine="litellm"), answers=REASONS),
)
