"""ShareGPT, as LLaMA-Factory reads it: a folder with the conversations, and with what it must know of them."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import groupby
from pathlib import Path
from typing import Any, ClassVar

import msgspec

from agl_core.events import Message
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._chat import SYSTEM, arguments, as_text, dumped, is_plain, toolbox
from agl_core.export.rows._places import new_folder
from agl_core.export.rows._records import write_records
from agl_core.export.rows._rows import Transcript

__all__ = ["ShareGpt", "conversation"]

_FILE = "conversations.jsonl"
_ASKING, _ANSWERING = ("human", "observation"), ("gpt", "function_call")


@dataclass(frozen=True, slots=True, kw_only=True)
class ShareGpt:
    """`{"conversations": [{"from", "value"}], "system", "tools"}`, in turns, and dataset_info.json."""

    name: ClassVar[str] = "sharegpt"
    help: ClassVar[str] = "ShareGPT conversations and the dataset_info.json that LLaMA-Factory wants beside them."
    suffixes: ClassVar[tuple[str, ...]] = ()
    adapter: ClassVar[str] = "messages"
    options: ClassVar[Mapping[str, Any]] = {}

    dataset: str = "agl"
    """Name that dataset_info.json gives it."""

    def write(self, rows: Iterable[Transcript], path: Path) -> Exported:
        """The folder."""
        with new_folder(path) as folder:
            told = write_records(map(conversation, rows), folder / _FILE)
            info = {
                self.dataset: {
                    "file_name": _FILE,
                    "formatting": "sharegpt",
                    "columns": {"messages": "conversations", "system": "system", "tools": "tools"},
                }
            }
            (folder / "dataset_info.json").write_bytes(msgspec.json.format(msgspec.json.encode(info)) + b"\n")
        return Exported(path=path, written=told.written, skipped=told.skipped)


def conversation(row: Transcript) -> dict[str, Any] | Skipped:
    """A line of it. Skipped is what its two sides in turn cannot say: who speaks twice, words beside a tool call,
    pictures, and an assistant's words that are not the policy's, for all of those are learnt from."""  # noqa: D205, D209 - one paragraph
    messages = list(row.messages)
    if any(message.role == "assistant" and not trained for message, trained in zip(messages, row.trained, strict=True)):
        return Skipped(reason="others_words")
    if not all(map(is_plain, messages)):
        return Skipped(reason="multimodal")
    if any(message.tool_calls and as_text(message) for message in messages):
        return Skipped(reason="words_beside_tool_calls")
    system = as_text(messages.pop(0)) if messages[0].role in SYSTEM else ""
    turns = list(_turns(messages))
    if any(turn["from"] not in (_ASKING, _ANSWERING)[place % 2] for place, turn in enumerate(turns)) or len(turns) % 2:
        return Skipped(reason="roles_do_not_alternate")
    tools = [tool["function"] for tool in toolbox(row.tools)]
    return {"conversations": turns, "system": system or "", "tools": dumped(tools) if tools else ""}


def _turns(messages: Sequence[Message]) -> Iterator[dict[str, str]]:
    for role, group in groupby(messages, key=lambda message: message.role):
        run = list(group)
        texts = [as_text(message) or "" for message in run]
        match role:
            case "tool":
                # Results of calls that were made at once: there is one place for all of them.
                yield {"from": "observation", "value": "\n".join(texts)}
            case "assistant":
                yield from map(_answer, run)
            case "user":
                yield from ({"from": "human", "value": text} for text in texts)
            case _:
                yield {"from": role, "value": ""}


def _answer(message: Message) -> dict[str, str]:
    if not message.tool_calls:
        return {"from": "gpt", "value": as_text(message) or str(message.extra.get("refusal") or "")}
    calls = [{"name": call.name, "arguments": arguments(call.arguments)} for call in message.tool_calls]
    return {"from": "function_call", "value": dumped(calls[0] if len(calls) == 1 else calls)}
