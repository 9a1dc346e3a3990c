"""How a model writes tool calls in its text, and how they are read back out of it."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any, Protocol

import msgspec

__all__ = ["Call", "Dialect", "Hermes", "dialect_of"]


class Call(msgspec.Struct, frozen=True, kw_only=True):
    """A tool call, as a model wrote it."""

    name: str
    arguments: msgspec.Raw = msgspec.Raw(b"{}")
    """JSON of an object, byte for byte as written."""


class Dialect(Protocol):
    """One way to write tool calls."""

    name: str
    opening: str
    """What every call begins with: no text before it is part of one."""

    def read(self, text: str) -> tuple[str, list[Call]]:
        """What is said, and what is called. What does not parse is said; nothing raises."""
        ...

    def write(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """The calls as the model would write them, for a chat template that leaves them out."""
        ...

    def describe(self, tools: Sequence[Mapping[str, Any]]) -> str:
        """The system text that offers these tools, for a chat template that leaves them out."""
        ...


class Hermes:
    """`<tool_call>{"name": ..., "arguments": {...}}</tool_call>`, any number of them."""

    name = "hermes"
    opening = "<tool_call>"

    _CALL = re.compile(r"<tool_call>(.*?)</tool_call>", re.DOTALL)

    def read(self, text: str) -> tuple[str, list[Call]]:
        """Every closed call whose JSON names a function; the rest of the text, untouched, is what is said."""
        if self.opening not in text:
            return text, []
        calls: list[Call] = []
        said: list[str] = []
        end = 0
        for match in self._CALL.finditer(text):
            call = _call(match[1])
            if call:
                calls.append(call)
                said.append(text[end : match.start()])
                end = match.end()
        said.append(text[end:])
        return "".join(said), calls

    def write(self, calls: Sequence[Mapping[str, Any]]) -> str:
        """One line of tags and JSON for each."""
        return "\n".join(
            f'<tool_call>\n{{"name": {_json(call["function"]["name"])}, '
            f'"arguments": {_raw(call["function"].get("arguments"))}}}\n</tool_call>'
            for call in calls
        )

    def describe(self, tools: Sequence[Mapping[str, Any]]) -> str:
        """The text that models of this dialect were trained with."""
        listed = "\n".join(_json(tool) for tool in tools)
        return (
            "You may call one or more functions to assist with the user query.\n\n"
            "You are provided with function signatures within <tools></tools> XML tags:\n"
            f"<tools>\n{listed}\n</tools>\n\n"
            "For each function call, return a json object with function name and arguments within "
            "<tool_call></tool_call> XML tags:\n"
            '<tool_call>\n{"name": <function-name>, "arguments": <args-json-object>}\n</tool_call>'
        )


def dialect_of(chat_template: str) -> Dialect:  # noqa: ARG001 - the second dialect will look at it
    """The dialect a model's template shows; Hermes when it shows none."""
    return Hermes()


def _call(written: str) -> Call | None:
    try:
        call = msgspec.json.decode(written.strip(), type=Call)
    except (msgspec.DecodeError, UnicodeEncodeError):
        return None
    return call if bytes(call.arguments).lstrip().startswith(b"{") else None


def _json(value: Any) -> str:
    return msgspec.json.format(msgspec.json.encode(value), indent=0).decode()


def _raw(arguments: Any) -> str:
    return arguments if isinstance(arguments, str) else _json(arguments or {})
