"""Steps of a trajectory out of messages: what each call was asked anew, and what it answered."""

from __future__ import annotations

import mimetypes
from collections.abc import Collection, Mapping
from dataclasses import fields
from datetime import UTC, datetime
from typing import Any

from agl_core.events import CallRecorded, Choice, Message
from agl_core.export.rows._chat import SYSTEM, arguments, dumped, said

__all__ = ["Steps"]

_OBSERVATION = "observation"
"""Name of a user's message that is what an environment said; `agl import atif` gives it."""
_MEDIA = ("image/jpeg", "image/png", "image/gif", "image/webp")


class Steps:
    """The steps of one chat, in order.

    Each step of an agent says which call of ours it was; where they are told `as_it_came`, only if a reward is for it.
    """

    def __init__(self, *, as_it_came: bool = False, rewarded: Collection[str] = ()) -> None:
        self.all: list[dict[str, Any]] = []
        self._as_it_came, self._rewarded = as_it_came, rewarded
        self._said = 0

    def add(self, call: CallRecorded) -> dict[str, Any]:
        """Put in what was said since the last call, and the answer; the step that it is."""
        for message in call.call.messages[self._said :]:
            self._heard(message)
        self._said = len(call.call.messages) + 1
        choice = call.call.choices[0]
        step = self._step("agent", choice.message)
        if call.started_at:
            step["timestamp"] = _timestamp(call.started_at + round(call.latency * 1e9))
        if call.call.model:
            step["model_name"] = call.call.model
        if metrics := _metrics(call, choice):
            step["metrics"] = metrics
        if call.call_id in self._rewarded or not self._as_it_came:
            step["extra"] = {"agl": {"call_id": call.call_id}}
        if not self._as_it_came:
            step["llm_call_count"] = 1
            step["extra"]["agl"].update(_beside(call, choice))
        return step

    def _heard(self, message: Message) -> None:
        match message.role:
            case "tool":
                self._observed(message, message.tool_call_id)
            case "user" if message.name == _OBSERVATION and self.all:
                self._observed(message, None)
            case "assistant":
                # Nobody here was asked for it: it was said before, or is an example.
                self._step("agent", message)["is_copied_context"] = True
            case role:
                self._step("system" if role in SYSTEM else "user", message)

    def _observed(self, message: Message, of: str | None) -> None:
        """A result goes to the agent's step before it that wished for it; one that nobody wished for, to the last."""
        if not self.all:
            self._step("user", message)
            return
        step = next(
            (
                one
                for one in reversed(self.all)
                if any(call["tool_call_id"] == of for call in one.get("tool_calls", ()))
            ),
            None,
        )
        if step is None:
            step, of = self.all[-1], self._unanswered(self.all[-1]) if message.role == "tool" else None
        results = step.setdefault("observation", {"results": []})["results"]
        results.append({**({"source_call_id": of} if of else {}), "content": _content(message.content)})

    def _unanswered(self, step: Mapping[str, Any]) -> str | None:
        """The first wish of it without a result: some clients leave the ids out."""
        answered = {one.get("source_call_id") for one in step.get("observation", {}).get("results", ())}
        wished = (call["tool_call_id"] for call in step.get("tool_calls", ()))
        return next((id_ for id_ in wished if id_ not in answered), None)

    def _step(self, source: str, message: Message) -> dict[str, Any]:
        number = len(self.all) + 1
        step: dict[str, Any] = {"step_id": number, "source": source, "message": _content(message.content)}
        if source == "agent":
            thought = message.extra.get("reasoning_content", message.extra.get("reasoning"))
            if isinstance(thought, str):
                step["reasoning_content"] = thought
            if message.tool_calls:
                step["tool_calls"] = [
                    {
                        "tool_call_id": call.id or f"call_{number}_{place}",
                        "function_name": call.name,
                        **_arguments(call.arguments),
                    }
                    for place, call in enumerate(message.tool_calls)
                ]
        self.all.append(step)
        return step


def _beside(call: CallRecorded, choice: Choice) -> dict[str, Any]:
    """What ATIF has no word for, and rows may depend on."""
    drawn = call.call.sampling
    sampling = {one.name: getattr(drawn, one.name) for one in fields(drawn)}
    beside = {
        "policy_version": call.policy_version,
        "finish_reason": choice.finish_reason,
        "logprobs_mode": call.call.logprobs_mode,
        "sampling": {name: value for name, value in sampling.items() if value not in (None, ())},
        "other_choices": [said(other.message) for other in call.call.choices[1:]],
    }
    return {name: value for name, value in beside.items() if value not in (None, {}, [])}


def _arguments(text: str) -> dict[str, Any]:
    """An object there; what the model wrote and is none, as it wrote it."""
    found = arguments(text)
    return {"arguments": found} if isinstance(found, dict) else {"arguments": {}, "extra": {"agl": {"arguments": text}}}


def _metrics(call: CallRecorded, choice: Choice) -> dict[str, Any]:
    usage = call.call.usage
    prompt, sampled = list(call.call.prompt_token_ids), list(choice.token_ids)
    said_of = {
        "prompt_tokens": usage.prompt_tokens or len(prompt),
        "completion_tokens": usage.completion_tokens or len(sampled),
        "prompt_token_ids": prompt,
        "completion_token_ids": sampled,
        "logprobs": list(choice.logprobs),
    }
    # Ids that were made again from text are not what was sampled, and there is no way to say so.
    if call.call.provenance == "retokenised":
        del said_of["prompt_token_ids"], said_of["completion_token_ids"], said_of["logprobs"]
    return {name: value for name, value in said_of.items() if value}


def _content(content: Any) -> Any:
    """Text, or parts of text and images; any other part as text, which is JSON."""
    if content is None:
        return ""
    if isinstance(content, str):
        return content
    return [_part(part) for part in content] if isinstance(content, list | tuple) else dumped(content)


def _part(part: Any) -> dict[str, Any]:
    match part:
        case {"type": "text", "text": str() as text}:
            return {"type": "text", "text": text}
        case {"type": "image_url", "image_url": {"url": str() as url}}:
            return {"type": "image", "source": {"media_type": _media(url), "path": url}}
        case {"type": "audio", "source": dict() as source}:
            return {"type": "audio", "source": source}
    return {"type": "text", "text": dumped(part)}


def _media(url: str) -> str:
    said_itself = url.removeprefix("data:").partition(";")[0] if url.startswith("data:") else None
    kind = said_itself or mimetypes.guess_type(url)[0]
    return kind if kind in _MEDIA else "image/png"


def _timestamp(at: int) -> str:
    seconds, rest = divmod(at, 1_000_000_000)  # as one float it would be off by some hundred nanoseconds
    return datetime.fromtimestamp(seconds, UTC).replace(microsecond=rest // 1000).isoformat().replace("+00:00", "Z")
