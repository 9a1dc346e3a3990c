"""The steps of a trajectory as a chat: what each model call of it was asked, and what it answered."""

from __future__ import annotations

import json
from array import array
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import msgspec

from agl_core.events import Choice, Message, ModelCall, Sampling, Tool, ToolCall, Usage
from agl_core.spans._attributes import at, count, text

__all__ = ["Chat", "Turn", "chat", "nanoseconds"]

OBSERVATION = "observation"
"""Name of what an environment says that no tool was asked for: models are told it as a user's message."""
_REPLACED = ("timestamp", "model_name", "reasoning_effort", "llm_call_count", "is_copied_context")
_TOKENS = frozenset({"prompt_token_ids", "completion_token_ids", "logprobs"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Turn:
    """A model call."""

    step: Mapping[str, Any]
    call: ModelCall
    at: int
    """Nanoseconds since the epoch; 0 where nothing says when."""
    policy_version: int | None = None


@dataclass(slots=True)
class Chat:
    """A trajectory, and what of it no call tells."""

    turns: list[Turn] = field(default_factory=list)
    beside: dict[str, dict[str, Any]] = field(default_factory=dict)
    """Step to those of its fields that have no word in a call."""
    tail: list[Mapping[str, Any]] = field(default_factory=list)
    """Steps after the last call, as they came."""
    times: tuple[int, int] = (0, 0)


def chat(trajectory: Mapping[str, Any]) -> Chat:
    """What was said, in order. Steps that are no model's, or are copies of what was before, are history only."""
    steps: Sequence[Mapping[str, Any]] = trajectory["steps"]
    agent = trajectory["agent"]
    tools = tuple(_tools(agent.get("tool_definitions") or ()))
    found = Chat()
    said: list[Message] = []
    moments = [nanoseconds(step["timestamp"]) for step in steps if step.get("timestamp")]
    found.times = (min(moments), max(moments)) if moments else (0, 0)
    last = max((place for place, step in enumerate(steps) if _is_call(step)), default=-1)
    now = found.times[0]
    for place, step in enumerate(steps):
        now = nanoseconds(step["timestamp"]) if step.get("timestamp") else now
        if place > last:
            found.tail.append(step)
            continue
        if beside := _beside(step, is_last=place == last):
            found.beside[str(step["step_id"])] = beside
        if step["source"] != "agent":
            said.append(Message(role=step["source"], content=_content(step["message"])))
        else:
            message = _answer(step)
            if _is_call(step):
                asked = ModelCall(
                    model=step.get("model_name") or agent.get("model_name") or "", messages=tuple(said), tools=tools
                )
                version = _version(at(step, "extra", "agl", "policy_version"))
                call = _answered(asked, step, message)
                found.turns.append(Turn(step=step, call=call, at=now, policy_version=version))
            said.append(message)
        said += _observed(step)
    return found


def nanoseconds(timestamp: str) -> int:
    """Of ISO 8601; without a zone it is UTC."""
    moment = datetime.fromisoformat(timestamp)
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return round(moment.timestamp() * 1e6) * 1000


def _is_call(step: Mapping[str, Any]) -> bool:
    return step["source"] == "agent" and step.get("llm_call_count") != 0 and not step.get("is_copied_context")


def _answered(asked: ModelCall, step: Mapping[str, Any], message: Message) -> ModelCall:
    metrics = step.get("metrics") or {}
    # Of several calls in one, nobody can tell which token was whose.
    is_one = step.get("llm_call_count") in {None, 1}
    prompt = tuple(metrics.get("prompt_token_ids") or ()) if is_one else ()
    sampled = tuple(metrics.get("completion_token_ids") or ()) if is_one else ()
    logprobs = tuple(array("f", metrics.get("logprobs") or ())) if is_one else ()
    own = at(step, "extra", "agl")
    own = own if isinstance(own, Mapping) else {}
    choice = Choice(
        message=message,
        finish_reason=text(own, "finish_reason"),
        token_ids=sampled,
        logprobs=logprobs if len(logprobs) == len(sampled) else (),
    )
    return ModelCall(
        model=asked.model,
        messages=asked.messages,
        tools=asked.tools,
        choices=(choice,),
        prompt_token_ids=prompt,
        usage=Usage(
            prompt_tokens=metrics.get("prompt_tokens") or 0, completion_tokens=metrics.get("completion_tokens") or 0
        ),
        provenance="engine" if prompt and sampled else "absent",
        logprobs_mode=(text(own, "logprobs_mode") or "raw") if choice.logprobs else None,
        sampling=_sampling(own.get("sampling")),
    )


def _version(said: Any) -> int | None:
    return count({"version": said}, "version")


def _sampling(said: Any) -> Sampling:
    """How tokens were drawn, where `agl export atif` says so."""
    try:
        return msgspec.convert(said, Sampling) if isinstance(said, Mapping) else Sampling()
    except msgspec.ValidationError:
        return Sampling()


def _answer(step: Mapping[str, Any]) -> Message:
    thought = step.get("reasoning_content")
    return Message(
        role="assistant",
        content=_content(step["message"]),
        tool_calls=tuple(
            ToolCall(
                id=call["tool_call_id"],
                name=call["function_name"],
                arguments=_arguments(call),
            )
            for call in step.get("tool_calls") or ()
        ),
        extra={"reasoning_content": thought} if thought is not None else {},
    )


def _arguments(call: Mapping[str, Any]) -> str:
    """As the model wrote them, where `agl export atif` kept that because it was no JSON of an object."""
    written = at(call, "extra", "agl", "arguments")
    return written if isinstance(written, str) else json.dumps(call["arguments"], ensure_ascii=False)


def _observed(step: Mapping[str, Any]) -> Iterator[Message]:
    for result in (step.get("observation") or {}).get("results", ()):
        if result.get("content") is None:
            continue
        content = _content(result["content"])
        if result.get("source_call_id") is None:
            yield Message(role="user", content=content, name=OBSERVATION)
        else:
            yield Message(role="tool", content=content, tool_call_id=result["source_call_id"])


def _content(said: Any) -> Any:
    """Text; or parts, an image in OpenAI's words, and sound as it came."""
    if isinstance(said, str):
        return said
    return [
        {"type": "image_url", "image_url": {"url": part["source"]["path"]}} if part["type"] == "image" else part
        for part in said
    ]


def _tools(definitions: Sequence[Mapping[str, Any]]) -> Iterator[Tool]:
    for one in definitions:
        function = one.get("function", one)
        if isinstance(function, Mapping) and isinstance(function.get("name"), str):
            parameters = function.get("parameters")
            yield Tool(
                name=function["name"],
                description=str(function.get("description") or ""),
                parameters=parameters if isinstance(parameters, Mapping) else {},
            )


def _beside(step: Mapping[str, Any], *, is_last: bool) -> dict[str, Any]:
    beside = {name: step[name] for name in _REPLACED if step.get(name) is not None}
    # What `agl export atif` says of a step is ours, and said anew.
    if extra := {name: value for name, value in (step.get("extra") or {}).items() if name != "agl"}:
        beside["extra"] = extra
    metrics = step.get("metrics")
    if metrics is not None:
        hidden = _TOKENS if step.get("llm_call_count") in {None, 1} else frozenset()
        beside["metrics"] = {name: value for name, value in metrics.items() if name not in hidden and value is not None}
    if any(call.get("extra") for call in step.get("tool_calls") or ()):
        beside["tool_calls"] = step["tool_calls"]
    results = (step.get("observation") or {}).get("results", ())
    plain = all(
        set(result) <= {"source_call_id", "content"} and result.get("content") is not None for result in results
    )
    # Of the last call no other was asked: nothing else tells what came of it.
    if results and (is_last or not plain or step["source"] != "agent"):
        beside["observation"] = step["observation"]
    if isinstance(step["message"], list):
        beside["message"] = step["message"]
    return beside
