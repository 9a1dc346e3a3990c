"""A model call in the words of OpenTelemetry's conventions for generative AI, version 1.37 and later."""

from __future__ import annotations

import hashlib
import json
from array import array
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agl_core.events import CallRecorded, Message, RewardGiven, ToolCall

__all__ = ["call_attributes", "call_name", "evaluation", "evaluations"]

_OPERATIONS = {"openai.completions": "text_completion", "openai.embeddings": "embeddings"}
"""By dialect; the others are `chat`."""


def call_name(recorded: CallRecorded) -> str:
    """`chat MODEL`."""
    return f"{_operation(recorded)} {recorded.call.model}"


def call_attributes(recorded: CallRecorded, *, content: bool, token_ids: bool) -> dict[str, Any]:
    """What the conventions have a name for, and then what is AGL's. None is left out by who writes it."""
    call = recorded.call
    usage = call.usage
    attributes: dict[str, Any] = {
        "gen_ai.operation.name": _operation(recorded),
        "gen_ai.provider.name": call.dialect.partition(".")[0],
        "gen_ai.request.model": call.model,
        "gen_ai.request.temperature": call.sampling.temperature,
        "gen_ai.request.top_p": call.sampling.top_p,
        "gen_ai.request.top_k": call.sampling.top_k,
        "gen_ai.request.max_tokens": call.sampling.max_tokens,
        "gen_ai.request.seed": call.sampling.seed,
        "gen_ai.request.stop_sequences": call.sampling.stop or None,
        "gen_ai.request.stream": True if recorded.first_token is not None else None,
        "gen_ai.request.choice.count": len(call.choices) if len(call.choices) > 1 else None,
        "gen_ai.response.id": call.response_id,
        "gen_ai.response.finish_reasons": [choice.finish_reason or "unknown" for choice in call.choices] or None,
        "gen_ai.response.time_to_first_chunk": recorded.first_token,
        "gen_ai.usage.input_tokens": usage.prompt_tokens or None,
        "gen_ai.usage.output_tokens": usage.completion_tokens or None,
        "gen_ai.agent.name": recorded.agent,
        "error.type": recorded.error,
        "agl.call.id": recorded.call_id,
        "agl.call.role": recorded.role,
        "agl.call.status": recorded.status,
        "agl.call.provenance": call.provenance,
        "agl.call.parent": recorded.parent_call_id,
        "agentlightning.policy.version": recorded.policy_version,
    }
    sampled = [list(choice.token_ids) for choice in call.choices]
    if any(sampled):
        attributes["agentlightning.token_ids.ref"] = _digest([call.prompt_token_ids, *sampled])
        if token_ids:
            attributes["agl.prompt_token_ids"] = list(call.prompt_token_ids)
            attributes["agl.response_token_ids"] = json.dumps(sampled)
            attributes["agl.logprobs"] = json.dumps([list(choice.logprobs) for choice in call.choices])
    if content:
        attributes |= _content(recorded)
    return attributes


def evaluation(given: RewardGiven) -> dict[str, Any]:
    """A reward as the event `gen_ai.evaluation.result` has it."""
    return {
        "gen_ai.evaluation.name": given.name,
        "gen_ai.evaluation.score.value": given.value,
        "agl.judge": given.judge,
    }


def evaluations(rewards: Iterable[RewardGiven]) -> dict[str, Any]:
    """Rewards as attributes of what they were given to, in OpenInference's names: some tools show only those."""
    return {
        f"evaluations.{place}.evaluation.{name}": value
        for place, given in enumerate(rewards)
        for name, value in (("name", given.name), ("score", given.value), ("annotator_kind", "CODE"))
    }


def _operation(recorded: CallRecorded) -> str:
    return _OPERATIONS.get(recorded.call.dialect, "chat")


def _content(recorded: CallRecorded) -> dict[str, Any]:
    call = recorded.call
    asked = [_turn(message) for message in call.messages]
    answered = [
        {**_turn(choice.message), "finish_reason": choice.finish_reason or "unknown"} for choice in call.choices
    ]
    tools = [
        {"type": "function", "name": tool.name, "description": tool.description, "parameters": tool.parameters}
        for tool in call.tools
    ]
    said = {"input.messages": asked, "output.messages": answered, "tool.definitions": tools}
    return {f"gen_ai.{name}": json.dumps(turns, ensure_ascii=False) for name, turns in said.items() if turns}


def _turn(message: Message) -> dict[str, Any]:
    parts: list[Mapping[str, Any]]
    if message.role == "tool":
        parts = [{"type": "tool_call_response", "id": message.tool_call_id, "response": message.content}]
    else:
        thought = message.extra.get("reasoning") or message.extra.get("reasoning_content")
        parts = [
            *([{"type": "reasoning", "content": thought}] if isinstance(thought, str) else []),
            *_parts(message.content),
            *(_wish(call) for call in message.tool_calls),
        ]
    return {"role": message.role, "parts": parts} | ({"name": message.name} if message.name else {})


def _parts(content: Any) -> list[Mapping[str, Any]]:
    match content:
        case None | "":
            return []
        case list():
            return [
                {"type": "text", "content": part["text"]} if isinstance(part, Mapping) and "text" in part else part
                for part in content
            ]
        case _:
            return [{"type": "text", "content": content}]


def _wish(call: ToolCall) -> dict[str, Any]:
    try:
        arguments = json.loads(call.arguments)
    except ValueError:
        arguments = call.arguments  # as the model wrote them
    return {"type": "tool_call", "id": call.id, "name": call.name, "arguments": arguments}


def _digest(ids: Sequence[Sequence[int]]) -> str:
    digest = hashlib.blake2b(digest_size=32)
    for some in ids:
        digest.update(array("I", [len(some), *some]).tobytes())
    return f"b2:{digest.hexdigest()}"
