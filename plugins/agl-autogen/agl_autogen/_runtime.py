"""AutoGen's core: agents that handle messages in a runtime's tasks, those of teams among them."""

from __future__ import annotations

import importlib
import uuid
from collections.abc import Callable
from types import ModuleType
from typing import Any

from agl_autogen._carried import carried, restored
from agl_autogen._heard import Hearing
from agl_autogen._places import Place
from agl_autogen._work import Work, by_agent

__all__ = ["modules_of_teams", "places"]

_TEAMS = "autogen_agentchat.teams._group_chat"
_OF_TEAMS = {
    "_chat_agent_container": ("ChatAgent", "ChatAgentContainer", "GroupChatRequestPublish"),
    "_base_group_chat_manager": (
        "BaseGroupChatManager",
        "GroupChatAgentResponse",
        "GroupChatStart",
        "GroupChatTeamResponse",
    ),
}


def places(core: ModuleType, hearing: Hearing) -> list[Place]:
    """Sending, publishing and handling of messages."""
    runtime = core.SingleThreadedAgentRuntime
    return [
        Place(
            runtime,
            "send_message",
            lambda send: _sending(send, hearing, is_published=False),
            takes="message message_id",
        ),
        Place(
            runtime,
            "publish_message",
            lambda send: _sending(send, hearing, is_published=True),
            takes="message message_id",
        ),
        Place(core.BaseAgent, "on_message", lambda handle: _handling(handle, hearing), takes="self message ctx"),
    ]


def _sending(original: Callable[..., Any], hearing: Hearing, *, is_published: bool) -> Callable[..., Any]:
    async def sending(*args: Any, **kwargs: Any) -> Any:
        if hearing.is_on:
            # A new one, if none is given, is what AutoGen makes too.
            kwargs["message_id"] = carried(kwargs.get("message_id") or str(uuid.uuid4()), is_published=is_published)
        return await original(*args, **kwargs)

    return sending


def _handling(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    async def on_message(self: Any, message: Any, ctx: Any) -> Any:
        with restored(getattr(ctx, "message_id", None)):
            heard = hearing.begun(lambda: _work(self, message, hearing.teams))
            if heard is None:
                return await original(self, message, ctx)
            with heard.whole():
                return await original(self, message, ctx)

    return on_message


def modules_of_teams() -> tuple[Any, Any]:
    """Those of a team's members and its manager. Raises where they are not what they were: nothing public has them."""
    found: tuple[Any, ...] = tuple(importlib.import_module(f"{_TEAMS}.{name}") for name in _OF_TEAMS)
    missing = [
        name
        for module, names in zip(found, _OF_TEAMS.values(), strict=True)
        for name in names
        if not hasattr(module, name)
    ]
    if missing:
        raise TypeError(f"teams are not what they were: there is no {', '.join(missing)}")
    container, manager = found
    return container, manager


def _work(handler: Any, message: Any, teams: tuple[Any, Any] | None) -> Work | None:
    """What a message has an agent do. In a team most of them only tell the others what was said."""
    if teams is None:
        is_of_core = not type(handler).__module__.startswith("autogen_agentchat.")
        return by_agent(handler, handler.id.type, address=handler.id, message=message) if is_of_core else None
    container, manager = teams
    if isinstance(handler, container.ChatAgentContainer):
        member = handler._agent  # noqa: SLF001 - nothing public tells
        # A team in a team is heard where it runs.
        is_turn = isinstance(message, container.GroupChatRequestPublish) and isinstance(member, container.ChatAgent)
        return by_agent(member, member.name, address=handler.id, message=message) if is_turn else None
    if isinstance(handler, manager.BaseGroupChatManager):
        turns = (manager.GroupChatStart, manager.GroupChatAgentResponse, manager.GroupChatTeamResponse)
        # One that asks a model is an agent itself; one that goes by a rule is none.
        is_turn = isinstance(message, turns) and getattr(handler, "_model_client", None) is not None
        return by_agent(handler, handler._name, address=handler.id, message=message) if is_turn else None  # noqa: SLF001
    return by_agent(handler, handler.id.type, address=handler.id, message=message)
