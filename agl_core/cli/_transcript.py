"""What an agent and its model said to each other, put together from the calls of an attempt."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.events import CallRecorded, Message

__all__ = ["conversation", "conversations"]


def conversations(calls: Sequence[CallRecorded]) -> list[list[CallRecorded]]:
    """Calls by conversation: each one's messages begin with those of the call before it.

    The last call of a conversation holds all of it. A call goes on from the one it repeats most of, the later one on
    a tie, and from one whose answer it took up before one whose answer it left.
    """
    parents: dict[int, int | None] = {}
    taken: set[int] = set()
    for index, call in enumerate(calls):
        open_ends = [at for at in range(index) if at not in taken and _goes_on(calls[at], call)]
        parent = max(
            open_ends, key=lambda at: (_is_answered(calls[at], call), len(calls[at].call.messages), at), default=None
        )
        parents[index] = parent
        if parent is not None:
            taken.add(parent)
    found = []
    for index in range(len(calls)):
        if index in taken:
            continue
        chain: list[CallRecorded] = []
        at: int | None = index
        while at is not None:
            chain.append(calls[at])
            at = parents[at]
        found.append(chain[::-1])
    return found


def _goes_on(before: CallRecorded, after: CallRecorded) -> bool:
    old, new = before.call.messages, after.call.messages
    return len(old) < len(new) and new[: len(old)] == old and before.agent == after.agent and before.role == after.role


def _is_answered(before: CallRecorded, after: CallRecorded) -> bool:
    """Whether what came next is what the model said: by its words and wishes, as agents rewrite the rest."""
    following = after.call.messages[len(before.call.messages)]
    return any(_said(choice.message) == _said(following) for choice in before.call.choices)


def _said(message: Message) -> tuple[str, Any, tuple[tuple[str, str], ...]]:
    return message.role, message.content or "", tuple((wish.name, wish.arguments) for wish in message.tool_calls)


def conversation(calls: Sequence[CallRecorded]) -> dict[str, Any]:
    """A conversation for programs: every message once, the model's own with the call that made it."""
    last = calls[-1]
    shown = [_message(said) for said in last.call.messages]
    for call, following in pairwise(calls):
        if _is_answered(call, following):
            shown[len(call.call.messages)]["call"] = _figures(call)
    shown += [{**_message(choice.message), "call": _figures(last)} for choice in last.call.choices]
    return {
        "model": last.call.model,
        "agent": last.agent,
        "role": last.role,
        "tools": [tool.name for tool in last.call.tools],
        "messages": shown,
        "calls": [_figures(call) for call in calls],
    }


def _figures(call: CallRecorded) -> dict[str, Any]:
    usage, choices = call.call.usage, call.call.choices
    return {
        "call_id": call.call_id,
        "status": call.status,
        "error": call.error,
        "finish_reason": choices[0].finish_reason if choices else None,
        "prompt_tokens": usage.prompt_tokens or len(call.call.prompt_token_ids),
        "completion_tokens": usage.completion_tokens or sum(len(choice.token_ids) for choice in choices),
        "latency": call.latency,
        "policy_version": call.policy_version,
    }


def _message(said: Message) -> dict[str, Any]:
    """What is empty is left out."""
    shown: dict[str, Any] = {"role": said.role, "content": said.content}
    if said.tool_calls:
        shown["tool_calls"] = [
            {"id": wish.id, "name": wish.name, "arguments": wish.arguments} for wish in said.tool_calls
        ]
    if said.tool_call_id:
        shown["tool_call_id"] = said.tool_call_id
    if said.name:
        shown["name"] = said.name
    return shown
