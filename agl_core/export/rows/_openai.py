"""OpenAI's formats of fine-tuning data, which Azure, Together and Fireworks read, too."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar

from agl_core.events import Message, Tool
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._chat import said, toolbox
from agl_core.export.rows._records import write_records
from agl_core.export.rows._rows import Pair, Transcript

__all__ = ["OpenAiDpo", "OpenAiSft", "example", "preference"]


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiSft:
    """`{"messages", "tools"?, "parallel_tool_calls"?}`; an assistant's message that the policy did not say weighs 0."""

    name: ClassVar[str] = "openai-sft"
    help: ClassVar[str] = "OpenAI's chat format for fine-tuning: messages, tools, and weights of what is learnt."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    adapter: ClassVar[str] = "messages"
    options: ClassVar[Mapping[str, Any]] = {}

    def write(self, rows: Iterable[Transcript], path: Path) -> Exported:
        """A line each."""
        return write_records(map(example, rows), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class OpenAiDpo:
    """`{"input": {"messages", "tools"?}, "preferred_output": [message], "non_preferred_output": [message]}`."""

    name: ClassVar[str] = "openai-dpo"
    help: ClassVar[str] = "OpenAI's preference format: a prompt, the answer that earned more, and one that earned less."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    adapter: ClassVar[str] = "preferences"
    options: ClassVar[Mapping[str, Any]] = {"level": "call"}

    def write(self, rows: Iterable[Pair], path: Path) -> Exported:
        """A line each."""
        return write_records(map(preference, rows), path)


def example(row: Transcript) -> dict[str, Any]:
    """A line of `openai-sft`."""
    messages = [
        {**said(message), **({"weight": int(trained)} if message.role == "assistant" else {})}
        for message, trained in zip(row.messages, row.trained, strict=True)
    ]
    return {"messages": messages, **_offered(row.tools, row.parallel_tool_calls)}


def preference(row: Pair) -> dict[str, Any] | Skipped:
    """A line of `openai-dpo`; an output there is a single message."""
    if len(row.chosen) > 1 or len(row.rejected) > 1:
        return Skipped(reason="several_messages")
    asked = {"messages": _all(row.prompt), **_offered(row.tools, row.parallel_tool_calls)}
    return {"input": asked, "preferred_output": _all(row.chosen), "non_preferred_output": _all(row.rejected)}


def _all(messages: Sequence[Message]) -> list[dict[str, Any]]:
    return [said(message) for message in messages]


def _offered(tools: Sequence[Tool], parallel: bool | None) -> dict[str, Any]:  # noqa: FBT001 - as the request said it
    if not tools:
        return {}
    return {"tools": toolbox(tools), **({} if parallel is None else {"parallel_tool_calls": parallel})}
