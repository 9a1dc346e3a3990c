"""Rows as they are: lines of JSON, or a data set of Hugging Face's."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, fields
from pathlib import Path
from typing import Any, ClassVar, Literal

import msgspec

from agl_core.events import Message, Tool
from agl_core.export._exporter import Exported
from agl_core.export.rows._chat import as_text, dumped, is_plain, said, toolbox
from agl_core.export.rows._places import new_folder
from agl_core.export.rows._records import Tally, write_records

__all__ = ["Hf", "Jsonl", "V03Triplets", "plain", "triplet"]

Rows = Literal["messages", "preferences", "triplets"]
_ALONE: Mapping[Rows, Mapping[str, Any]] = {"triplets": {"min_group": 1}}
"""What an adapter is told so that it takes a rollout that no other one is compared with."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Jsonl:
    """Every field of a row, a row a line."""

    name: ClassVar[str] = "jsonl"
    help: ClassVar[str] = "Rows as they are, with every field: ids, rewards, masks."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".json", ".parquet")

    rows: Rows = "messages"
    """Of which adapter."""

    @property
    def adapter(self) -> str:
        """As it was told."""
        return self.rows

    @property
    def options(self) -> Mapping[str, Any]:
        """A row needs no other one to compare it with."""
        return _ALONE.get(self.rows, {})

    def write(self, rows: Iterable[Any], path: Path) -> Exported:
        """A row each."""
        return write_records((plain(row, in_columns=path.suffix == ".parquet") for row in rows), path)


@dataclass(frozen=True, slots=True, kw_only=True)
class Hf:
    """A folder that `datasets.load_from_disk` opens."""

    name: ClassVar[str] = "hf"
    help: ClassVar[str] = "A Hugging Face data set: a folder for datasets.load_from_disk, with every field of a row."
    suffixes: ClassVar[tuple[str, ...]] = ()

    rows: Rows = "messages"
    """Of which adapter."""

    @property
    def adapter(self) -> str:
        """As it was told."""
        return self.rows

    @property
    def options(self) -> Mapping[str, Any]:
        """A row needs no other one to compare it with."""
        return _ALONE.get(self.rows, {})

    def write(self, rows: Iterable[Any], path: Path) -> Exported:
        """The folder."""
        # Imported here: DuckDB takes a while, and only this needs it.
        from agl_core.export.rows._columns import write_dataset

        tally = Tally()
        with new_folder(path) as folder:
            write_dataset(tally(plain(row, in_columns=True) for row in rows), folder)
        return tally.exported(path)


@dataclass(frozen=True, slots=True, kw_only=True)
class V03Triplets:
    """`{"prompt": {"token_ids"}, "response": {"token_ids"}, "reward", "metadata"}`, a line for each answer."""

    name: ClassVar[str] = "triplets"
    help: ClassVar[str] = "Agent Lightning's triplets of prompt, response and reward, in token ids."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl",)
    adapter: ClassVar[str] = "triplets"
    options: ClassVar[Mapping[str, Any]] = {"level": "transition", "min_group": 1}

    def write(self, rows: Iterable[Any], path: Path) -> Exported:
        """A line each."""
        return write_records(map(triplet, rows), path)


def plain(row: Any, *, in_columns: bool = False) -> dict[str, Any]:
    """The row's fields, messages and tools in OpenAI's words.

    In columns of one type each, tools are JSON text, and so are the parts of a content that has more than text: they
    stand in `parts` then.
    """
    return {field.name: _plain(getattr(row, field.name), in_columns=in_columns) for field in fields(row)}


def triplet(row: Any) -> dict[str, Any]:
    """A line of `triplets`, of a row that is a single answer."""
    kept = ("rollout_id", "attempt_id", "task_id", "repeat", "call_ids", "policy_versions")
    return {
        "prompt": {"token_ids": list(row.token_ids[: row.prompt_length])},
        "response": {"token_ids": list(row.token_ids[row.prompt_length :]), "logprobs": list(row.logprobs)},
        "reward": row.reward,
        "metadata": {name: msgspec.to_builtins(getattr(row, name)) for name in kept},
    }


def _plain(value: Any, *, in_columns: bool) -> Any:
    match value:
        case tuple() if value and isinstance(value[0], Message):
            return [_message(one, in_columns=in_columns) for one in value]
        case tuple() if value and isinstance(value[0], Tool):
            return dumped(toolbox(value)) if in_columns else toolbox(value)
    return msgspec.to_builtins(value)


def _message(message: Message, *, in_columns: bool) -> dict[str, Any]:
    if not in_columns:
        return said(message)
    if is_plain(message):
        return said(message, content=as_text(message))
    return {**said(message, content=None), "parts": dumped(message.content)}
