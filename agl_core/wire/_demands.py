"""What may be demanded of an answer: that tools are used, one at a time, or none; that it has a form.

Each dialect says it in its own fields, which are no words of a `ModelCall`. Of a call that is told in another dialect
they are read here, in the words of chat completions, and said there. What is the default anyway is not said.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from agl_core.events import ModelCall

__all__ = ["in_anthropic", "in_chat", "in_responses"]

Demands = dict[str, Any]
_ALIKE = ("none", "required")
"""Choices that OpenAI's routes say alike."""
_FORM = "answer"
"""Anthropic's forms have no name, and OpenAI's need one."""


def in_chat(call: ModelCall) -> Demands:
    """The fields of chat completions that say it: `tool_choice`, `parallel_tool_calls`, `response_format`."""
    match call.dialect:
        case "openai.chat":
            found = _of_chat(call.extra)
        case "openai.responses":
            found = _of_responses(call.extra)
        case "anthropic.messages":
            found = _of_anthropic(call.extra)
        case _:
            return {}
    # Of tools that are not there nothing can be demanded: providers refuse it.
    about_tools = ("tool_choice", "parallel_tool_calls") if not call.tools else ()
    return {name: value for name, value in found.items() if value is not None and name not in about_tools}


def in_responses(call: ModelCall) -> Demands:
    """The same as fields of the responses API."""
    said = in_chat(call)
    match said.get("tool_choice"):
        case {"function": {"name": name}}:
            said["tool_choice"] = {"type": "function", "name": name}
    match said.pop("response_format", None):
        case {"json_schema": dict(form)}:
            said["text"] = {"format": {"type": "json_schema", **form}}
        case dict(form):
            said["text"] = {"format": form}
    return said


def in_anthropic(call: ModelCall) -> Demands:
    """The same as Anthropic's fields; a form without a schema has none."""
    demanded = in_chat(call)
    said: Demands = {}
    match demanded.get("tool_choice"):
        case "none":
            said["tool_choice"] = {"type": "none"}
        case "required":
            said["tool_choice"] = {"type": "any"}
        case {"function": {"name": name}}:
            said["tool_choice"] = {"type": "tool", "name": name}
    if "parallel_tool_calls" in demanded and demanded.get("tool_choice") != "none":
        said["tool_choice"] = {"type": "auto", **said.get("tool_choice", {}), "disable_parallel_tool_use": True}
    match demanded.get("response_format"):
        case {"json_schema": {"schema": dict(schema)}}:
            said["output_config"] = {"format": {"type": "json_schema", "schema": schema}}
    return said


def _of_chat(extra: Mapping[str, Any]) -> Demands:
    choice, form = extra.get("tool_choice"), extra.get("response_format")
    match choice:
        case {"type": "function", "function": {"name": str(name)}}:
            choice = _one(name)
        case _:
            choice = choice if choice in _ALIKE else None
    match form:
        case {"type": "json_schema", "json_schema": {"name": str(), "schema": dict()}} | {"type": "json_object"}:
            pass
        case _:
            form = None
    return {"tool_choice": choice, "parallel_tool_calls": _in_turn(extra), "response_format": form}


def _of_responses(extra: Mapping[str, Any]) -> Demands:
    choice, text = extra.get("tool_choice"), extra.get("text")
    match choice:
        case {"type": "function", "name": str(name)}:
            choice = _one(name)
        case _:
            choice = choice if choice in _ALIKE else None
    form: Demands | None = None
    match text:
        case {"format": {"type": "json_schema", "name": str(), "schema": dict(), **_rest} as told}:
            form = {"type": "json_schema", "json_schema": {name: told[name] for name in told if name != "type"}}
        case {"format": {"type": "json_object"}}:
            form = {"type": "json_object"}
    return {"tool_choice": choice, "parallel_tool_calls": _in_turn(extra), "response_format": form}


def _of_anthropic(extra: Mapping[str, Any]) -> Demands:
    told = extra.get("tool_choice")
    choice: str | Demands | None = None
    in_turn: bool | None = None
    match told:
        case {"type": "any"}:
            choice = "required"
        case {"type": "none"}:
            choice = "none"
        case {"type": "tool", "name": str(name)}:
            choice = _one(name)
    match told:
        case {"disable_parallel_tool_use": True}:
            in_turn = False
    form: Demands | None = None
    match extra.get("output_config"):
        case {"format": {"type": "json_schema", "schema": dict(schema)}}:
            form = {"type": "json_schema", "json_schema": {"name": _FORM, "strict": True, "schema": schema}}
    return {"tool_choice": choice, "parallel_tool_calls": in_turn, "response_format": form}


def _one(name: str) -> Demands:
    return {"type": "function", "function": {"name": name}}


def _in_turn(extra: Mapping[str, Any]) -> bool | None:
    return False if extra.get("parallel_tool_calls") is False else None
