"""Anthropic's tools to ours and back.

A tool without a schema of its own runs at the provider, and is no tool of ours; the layout says where it stood.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from agl_core.events import Tool
from agl_core.wire._anthropic_blocks import are_blocks
from agl_core.wire._leftover import leftover, merged

__all__ = ["Layout", "foreign", "read", "render"]

Layout = list[dict[str, Any]]
"""An entry a tool: `{"tool": left}` is the next of ours, and what it said beside; `{"server": raw}` is none of ours."""


def read(raw: Any) -> tuple[tuple[Tool, ...], Layout | None]:
    """Our tools, and a layout when they alone would not give `raw` back; nothing when none is ours."""
    if not are_blocks(raw):
        return (), None
    found = [_tool(one) for one in raw]
    tools = tuple(tool for tool in found if tool is not None)
    layout = [
        {"server": one} if tool is None else {"tool": leftover(one, _say(tool))}
        for one, tool in zip(raw, found, strict=True)
    ]
    return tools, layout if tools and any(entry != {"tool": {}} for entry in layout) else None


def render(tools: Sequence[Tool], layout: Layout | None) -> list[dict[str, Any]]:
    """All tools, each in its place; a layout for other tools than these is as none."""
    ours = [_say(tool) for tool in tools]
    if layout is None or sum("tool" in entry for entry in layout) != len(ours):
        return ours
    coming = iter(ours)
    return [merged(next(coming), entry["tool"]) if "tool" in entry else entry["server"] for entry in layout]


def foreign(tool: Tool) -> dict[str, Any]:
    """A tool of another dialect: Anthropic refuses one without a schema."""
    said = _say(tool)
    return said if tool.parameters else {**said, "input_schema": {"type": "object", "properties": {}}}


def _tool(raw: dict[str, Any]) -> Tool | None:
    name, schema, description = raw.get("name"), raw.get("input_schema"), raw.get("description")
    if not isinstance(name, str) or not isinstance(schema, dict):
        return None
    return Tool(name=name, description=description if isinstance(description, str) else "", parameters=schema)


def _say(tool: Tool) -> dict[str, Any]:
    said: dict[str, Any] = {"name": tool.name, "input_schema": tool.parameters}
    if tool.description:
        said["description"] = tool.description
    return said
