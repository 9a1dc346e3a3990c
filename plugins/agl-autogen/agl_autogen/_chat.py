"""AutoGen's agents and teams, as their users call them."""

from __future__ import annotations

import importlib
from collections.abc import Callable
from contextlib import aclosing
from types import ModuleType
from typing import Any

from agl_autogen._heard import Hearing, here
from agl_autogen._places import Place
from agl_autogen._runtime import modules_of_teams
from agl_autogen._work import Work, by_agent, by_team, came_of_team

__all__ = ["places_of_agents", "places_of_teams"]

_BASE = "autogen_agentchat.base"


def places_of_agents(agents: ModuleType, hearing: Hearing) -> list[Place]:
    """Running an agent; and having one of AutoGen's own answer, as agents do that are made of others."""
    base = agents.BaseChatAgent
    kinds = [kind for kind in vars(agents).values() if isinstance(kind, type) and issubclass(kind, base)]
    return [
        Place(base, "run", lambda run: _running(run, hearing), takes="self task"),
        Place(base, "run_stream", lambda run: _streaming(run, hearing), takes="self task"),
        *(
            Place(kind, "on_messages_stream", lambda answer: _streaming(answer, hearing), takes="self messages")
            for kind in kinds
            if "on_messages_stream" in vars(kind)
        ),
    ]


def places_of_teams(teams: ModuleType, hearing: Hearing) -> list[Place]:
    """Running a team: `run` is made of `run_stream`, and its members are told by messages."""
    hearing.teams = modules_of_teams()
    return [Place(teams.BaseGroupChat, "run_stream", lambda run: _together(run, hearing), takes="self task")]


def _running(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    async def run(self: Any, *args: Any, **kwargs: Any) -> Any:
        heard = hearing.begun(lambda: _work(self))
        if heard is None:
            return await original(self, *args, **kwargs)
        with heard.whole():
            return await original(self, *args, **kwargs)

    return run


def _streaming(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    base = importlib.import_module(_BASE)
    last = (base.Response, base.TaskResult)

    async def run_stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        heard = hearing.begun(lambda: _work(self))
        stream = original(self, *args, **kwargs)
        async with aclosing(stream if heard is None else heard.steps(stream, last=last)) as items:
            async for item in items:
                yield item

    return run_stream


def _together(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    last: type = importlib.import_module(_BASE).TaskResult

    async def run_stream(self: Any, *args: Any, **kwargs: Any) -> Any:
        heard = hearing.begun(lambda: by_team(self))
        stream = original(self, *args, **kwargs)
        async with aclosing(stream if heard is None else heard.steps(stream, came_of_team, last=last)) as items:
            async for item in items:
                yield item

    return run_stream


def _work(agent: Any) -> Work | None:
    above = here()
    # It is heard already, where it was called: one turn is one span.
    is_known = above is not None and above.work is not None and above.work.subject is agent
    return None if is_known else by_agent(agent, agent.name)
