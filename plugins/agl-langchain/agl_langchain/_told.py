"""What a run says of itself when it has ended, in AGL's words and OpenTelemetry's where they have some."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any

from agl_core.events import SpanRecorded
from agl_core.spans import plain
from agl_langchain._run import Run

__all__ = ["told"]

_PREFIX = "langchain."
_DEPTH = 16
"""So many maps in maps are told; what is deeper, as text."""


def told(run: Run, output: Any, error: BaseException | None) -> SpanRecorded:
    """The fact."""
    around = [above for above in run.above if above.scope.attempt_id == run.scope.attempt_id]
    shown = (above.span_id for above in around if above.what != "hidden")
    next_ = _gone_to(output)
    attributes = {
        "agl.span.kind": "handoff" if run.what == "tool" and next_ else _kind(run),
        f"{_PREFIX}type": run.what,
        f"{_PREFIX}name": run.name,
        **_attributes(run, output, next_),
    }
    wrong = error if error is not None and not _is_signal(error) else None
    if wrong is not None:
        attributes["error.type"] = type(wrong).__name__
    elif error is not None and type(error).__name__ == "GraphInterrupt":
        attributes[f"{_PREFIX}interrupted"] = True
    return SpanRecorded(
        rollout_id=run.scope.rollout_id,
        attempt_id=run.scope.attempt_id,
        span_id=run.span_id,
        parent_id=next(shown, None),
        trace_id=(around[-1] if around else run).run_id.hex,
        name=_title(run, next_),
        agent=run.agent,
        started_at=run.started_at,
        ended_at=time.time_ns(),
        status="ok" if wrong is None else "error",
        status_message=str(wrong) if wrong is not None else None,
        attributes={name: value for name, value in attributes.items() if value is not None},
    )


def _kind(run: Run) -> str:
    match run.what:
        case "graph":
            return "agent" if run.is_agent else "task"
        case "tool" | "retriever":
            return run.what
        case "prompt" | "parser":
            return "other"
        case _:
            return "task"


def _title(run: Run, next_: Sequence[str]) -> str:
    match run.what:
        case "graph" if run.is_agent:
            return f"invoke_agent {run.agent}"
        case "tool" if next_:
            return f"handoff {', '.join(next_)}"
        case "tool":
            return f"execute_tool {run.name}"
        case "retriever":
            return f"retrieval {run.name}"
        case what:
            return f"{what} {run.name}"


def _attributes(run: Run, output: Any, next_: Sequence[str]) -> dict[str, Any]:
    match run.what:
        case "graph":
            known = (
                {"gen_ai.operation.name": "invoke_agent", "gen_ai.agent.name": run.agent}
                if run.is_agent
                else {"gen_ai.operation.name": "invoke_workflow", "gen_ai.workflow.name": run.name}
            )
            thread = run.metadata.get("thread_id")
            return known | {"gen_ai.conversation.id": str(thread) if thread is not None else None}
        case "node":
            goto = {f"{_PREFIX}goto": list(next_)} if next_ else {}
            return {f"{_PREFIX}step": _plain(run.metadata.get("langgraph_step")), **goto}
        case "tool":
            return {
                "agl.handoff.agent.name": next_[0] if len(next_) == 1 else None,
                "gen_ai.operation.name": "execute_tool",
                "gen_ai.tool.name": run.name,
                "gen_ai.tool.call.id": run.tool_call_id,
                "gen_ai.tool.call.arguments": _plain(run.inputs),
                "gen_ai.tool.call.result": _result(output, run.tool_call_id),
            }
        case "retriever":
            return {
                "gen_ai.operation.name": "retrieval",
                "gen_ai.tool.call.arguments": _plain(run.inputs),
                "gen_ai.tool.call.result": _plain(output),
            }
        case _:
            return {}


def _gone_to(output: Any) -> tuple[str, ...]:
    """The nodes that a `Command` names to go on."""
    goto = getattr(output, "goto", None) if type(output).__name__ == "Command" else None
    several = goto if isinstance(goto, list | tuple) else (goto,)
    # A `Send` has the node it is for.
    names = (one if isinstance(one, str) else getattr(one, "node", None) for one in several)
    return tuple(name for name in names if isinstance(name, str))


def _result(output: Any, tool_call_id: str | None) -> Any:
    """What the model hears of it: of a `Command`, the message that answers the call, not all that it hands over."""
    if type(output).__name__ != "Command":
        return _plain(output)
    update = getattr(output, "update", None)
    said = update.get("messages") if isinstance(update, Mapping) else None
    for message in said if isinstance(said, list | tuple) else ():
        if getattr(message, "type", None) == "tool" and getattr(message, "tool_call_id", None) == tool_call_id:
            return _plain(message)
    return None


def _is_signal(error: BaseException) -> bool:
    """What is raised where nothing went wrong: somebody listens no more, or LangGraph goes on elsewhere or later."""
    return isinstance(error, GeneratorExit) or any(kind.__name__ == "GraphBubbleUp" for kind in type(error).__mro__)


def _plain(value: Any, depth: int = _DEPTH) -> Any:
    """As JSON has it; of a message or a document, what it says."""
    match value:
        case Mapping() if depth:
            return {str(name): _plain(inner, depth - 1) for name, inner in value.items()}
        case list() | tuple() if depth:
            return [_plain(inner, depth - 1) for inner in value]
        case Mapping() | list() | tuple():
            return str(value)
    if depth and hasattr(value, "page_content"):
        return _plain({"page_content": value.page_content, "metadata": getattr(value, "metadata", {})}, depth - 1)
    if depth and hasattr(value, "content") and hasattr(value, "type"):
        return _plain(value.content, depth - 1)
    return plain(value)
