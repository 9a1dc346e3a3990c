"""AutoGen's tools: what each was given, and what came of it."""

from __future__ import annotations

import asyncio
import copy
import functools
from collections.abc import Callable, Mapping
from contextlib import aclosing
from types import ModuleType
from typing import Any

from agl_autogen._heard import Heard, Hearing, here, within
from agl_autogen._places import Place
from agl_autogen._work import Work, by_tool, came_of_tool
from agl_core.errors import OutsideAttempt
from agl_core.recorder import current
from agl_core.spans import plain

__all__ = ["places", "places_of_mcp"]


def places(tools: ModuleType, hearing: Hearing) -> list[Place]:
    """All tools come through the methods of the base class; functions run in one more."""
    takes = "self args cancellation_token call_id"
    return [
        Place(tools.BaseTool, "run_json", lambda run: _running(run, hearing), takes=takes),
        Place(tools.BaseStreamTool, "run_json_stream", lambda run: _streaming(run, hearing), takes=takes),
        Place(tools.FunctionTool, "run", lambda run: _calling(run, hearing), takes="self args cancellation_token"),
    ]


def places_of_mcp(mcp: ModuleType, hearing: Hearing) -> list[Place]:
    """Its workbench has no tools of the base class."""
    takes = "self name arguments call_id"
    return [Place(mcp.McpWorkbench, "call_tool", lambda call: _asking(call, hearing), takes=takes)]


def _running(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    async def run_json(self: Any, args: Any, cancellation_token: Any, call_id: Any = None) -> Any:
        heard = hearing.begun(lambda: _work(self, args, call_id))
        if heard is None:
            return await original(self, args, cancellation_token, call_id)
        with heard.whole(functools.partial(came_of_tool, self)) as results:
            results.append(await original(self, args, cancellation_token, call_id))
            return results[0]

    return run_json


def _streaming(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    async def run_json_stream(self: Any, args: Any, cancellation_token: Any, call_id: Any = None) -> Any:
        heard = hearing.begun(lambda: _work(self, args, call_id))
        stream = original(self, args, cancellation_token, call_id)
        async with aclosing(
            stream if heard is None else heard.steps(stream, functools.partial(came_of_tool, self))
        ) as items:
            async for item in items:
                yield item

    return run_json_stream


def _calling(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    """A plain function runs in a thread, and AutoGen carries no context there: ours, and only ours, is carried."""

    async def run(self: Any, args: Any, cancellation_token: Any) -> Any:
        return await original(_aware(self) if hearing.is_on else self, args, cancellation_token)

    return run


def _aware(tool: Any) -> Any:
    """The same tool, whose function knows in the thread whose work it is."""
    try:
        function, scope, heard = tool._func, current("a tool"), here()  # noqa: SLF001 - nothing public tells
        if asyncio.iscoroutinefunction(function):
            return tool

        def aware(*args: Any, **kwargs: Any) -> Any:
            with within(heard, scope):
                return function(*args, **kwargs)

        # Not the user's own, which other runs use at the same time.
        twin = copy.copy(tool)
        twin._func = aware  # noqa: SLF001
    except OutsideAttempt:
        return tool
    except Exception:  # noqa: BLE001 - the rim: a tool of a shape of its own runs as it would
        return tool
    return twin


def _asking(original: Callable[..., Any], hearing: Hearing) -> Callable[..., Any]:
    async def call_tool(
        self: Any, name: str, arguments: Any = None, cancellation_token: Any = None, call_id: Any = None
    ) -> Any:
        heard = hearing.begun(lambda: by_tool(self, name, arguments, call_id))
        if heard is None:
            return await original(self, name, arguments, cancellation_token, call_id)
        with heard.whole(_came_of_mcp) as results:
            results.append(await original(self, name, arguments, cancellation_token, call_id))
            return results[0]

    return call_tool


def _came_of_mcp(result: Any) -> Mapping[str, Any]:
    said = {"gen_ai.tool.call.result": plain(result.to_text())}
    return {**said, "error.type": "tool_error"} if result.is_error else said


def _work(tool: Any, arguments: Mapping[str, Any], call_id: str | None) -> Work:
    return by_tool(tool, tool.name, arguments, call_id, handed_to=_handed_to(tool, here()))


def _handed_to(tool: Any, caller: Heard | None) -> str | None:
    """The agent that goes on, if this is the hand-off that AutoGen takes: the first of a turn."""
    agent: Any = caller.work.subject if caller is not None and caller.work is not None else None
    if caller is None or caller.has_handed_over:
        return None
    if not any(tool is other for other in getattr(agent, "_handoff_tools", ())):
        return None
    caller.has_handed_over = True
    target: str = agent._handoffs[tool.name].target  # noqa: SLF001 - it has such tools
    return target
