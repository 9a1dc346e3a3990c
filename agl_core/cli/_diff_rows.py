"""Rows beside rows: which are the same, which say something else and in which fields, and what tasks earn in them."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from hashlib import blake2b
from math import fsum
from pathlib import Path
from typing import Any

import msgspec

from agl_core.cli._diff_tasks import paired
from agl_core.errors import BadValue

__all__ = ["Rows", "compared_files", "compared_rows"]

_WHOSE = ("rollout_id", "attempt_id", "call_id", "call_ids", "chosen_calls", "rejected_calls")
"""Fields that say which calls a row is made of: rows of both sides with the same ones are one row."""
_LENGTH = 8
"""Bytes of a field's hash: of a hundred thousand rows, none is taken for another's."""
_encode = msgspec.json.Encoder(order="sorted").encode


@dataclass(slots=True)
class _Row:
    task: str
    worth: float | None
    names: tuple[str, ...]
    hashes: bytes

    def differing(self, other: _Row) -> list[str]:
        """Fields that are not the same."""
        mine, others = (dict(zip(one.names, one.parts(), strict=True)) for one in (self, other))
        return sorted(name for name in {*mine, *others} if mine.get(name) != others.get(name))

    def parts(self) -> Iterator[bytes]:
        """The hash of each field."""
        return (self.hashes[at : at + _LENGTH] for at in range(0, len(self.hashes), _LENGTH))


@dataclass(slots=True)
class Rows:
    """What is kept of one side's rows: a few bytes of each field, however many tokens it has."""

    by_calls: dict[str, _Row] = field(default_factory=dict)
    """By the calls they are made of, and the how manieth of those it is."""

    @classmethod
    def of(cls, rows: Iterable[Mapping[str, Any]]) -> Rows:
        """Of all, in order."""
        found, counts = cls(), Counter[str]()
        known: dict[tuple[str, ...], tuple[str, ...]] = {}
        for row in rows:
            calls = _encode({name: row[name] for name in _WHOSE if name in row}).decode()
            counts[calls] += 1
            names = known.setdefault(tuple(row), tuple(row))
            hashes = b"".join(blake2b(_encode(row[name]), digest_size=_LENGTH).digest() for name in names)
            key = calls if counts[calls] == 1 else f"{calls} #{counts[calls]}"
            found.by_calls[key] = _Row(task=_task(row), worth=_worth(row), names=names, hashes=hashes)
        return found

    @property
    def tasks(self) -> set[str]:
        """Those that have a row."""
        return {row.task for row in self.by_calls.values()}

    @property
    def worth(self) -> dict[str, float]:
        """What a task's rows are worth on average, where any says so."""
        values: dict[str, list[float]] = defaultdict(list)
        for row in self.by_calls.values():
            if row.worth is not None:
                values[row.task].append(row.worth)
        return {task: fsum(them) / len(them) for task, them in values.items()}


def compared_files(a: Path, b: Path) -> dict[str, Any]:
    """Of two files or folders, as `agl replay --mode project` or `agl export jsonl` wrote them."""
    return compared_rows(Rows.of(_read(a)), Rows.of(_read(b)))


def compared_rows(a: Rows, b: Rows) -> dict[str, Any]:
    """Row by row, and task by task by what they are worth: credit, or reward."""
    changed = [
        {"row": calls, "fields": fields}
        for calls, row in a.by_calls.items()
        if calls in b.by_calls and (fields := row.differing(b.by_calls[calls]))
    ]
    counts = {
        "a": len(a.by_calls),
        "b": len(b.by_calls),
        "same": sum(calls in b.by_calls for calls in a.by_calls) - len(changed),
        "changed": len(changed),
        "only_a": sum(calls not in b.by_calls for calls in a.by_calls),
        "only_b": sum(calls not in a.by_calls for calls in b.by_calls),
    }
    return {
        "same": counts["same"] == counts["a"] == counts["b"],
        "rows": counts,
        "fields": dict(Counter(name for one in changed for name in one["fields"]).most_common()),
        "changed": changed,
        "splits": [{"split": None, **paired(a.worth, b.worth, all_a=sorted(a.tasks), all_b=sorted(b.tasks))}],
    }


def _task(row: Mapping[str, Any]) -> str:
    """Rows that know no task are told apart by rollout."""
    return str(row.get("task_id") or row.get("rollout_id") or "")


def _worth(row: Mapping[str, Any]) -> float | None:
    """Of its calls, what they earned; of a pair, by how much one is better; else its reward."""
    match row:
        case {"credits": [_, *_] as credits}:
            return fsum(credits) / len(credits)
        case {"terms": list() as terms}:
            return fsum(term["weight"] * term["value"] for term in terms)
        case {"chosen_reward": float() | int() as better, "rejected_reward": float() | int() as worse}:
            return float(better - worse)
        case {"reward": float() | int() as reward}:
            return float(reward)
    return None


def _read(path: Path) -> Iterator[Mapping[str, Any]]:
    files = sorted(path.glob("*.jsonl")) if path.is_dir() else [path]
    if not files:
        raise BadValue("rows", str(path), why="no .jsonl file is in that folder")
    for file in files:
        try:
            with file.open("rb") as lines:
                yield from (_row(file, number, line) for number, line in enumerate(lines, start=1))
        except OSError as error:
            raise BadValue("rows", str(file), why=error.strerror or str(error)) from None


def _row(file: Path, number: int, line: bytes) -> Mapping[str, Any]:
    try:
        found = msgspec.json.decode(line)
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise BadValue("rows", f"{file}:{number}", why=f"it is no line of JSON: {error}") from None
    if not isinstance(found, dict):
        raise BadValue("rows", f"{file}:{number}", why="it is JSON, and no object: a row has named fields")
    return found
