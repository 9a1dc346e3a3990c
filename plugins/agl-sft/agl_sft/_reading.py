"""Rows of another log: what other runs, or an import, left there. No agent runs, and nothing is sampled."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from agl_core.adapter import Adapted, Adapter, Trace
from agl_core.engine import Checkpoint
from agl_core.errors import BadValue
from agl_core.run import Selection

if TYPE_CHECKING:
    from agl_core.log import SqliteLog
    from agl_sft._tuner import Row, Tuner

__all__ = ["Reader", "Source"]

_ROLLOUTS = (
    "select rollout_id, run_id, task_id, mode from rollouts "
    "where hidden = 0 and position <= ?1 and (?2 is null or run_id = ?2) order by position"
)
_COMPARED = 64
"""Answers whose tokens are read, to see whose they are."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Source:
    """Which log, and what of it."""

    log: str
    run: str | None = None
    select: Mapping[str, Sequence[str]]
    """As a trainer's `select`."""


class Reader:
    """Reads rows, and tunes on them: a run records what was read by its digest, and reads it again when resumed."""

    def __init__(
        self,
        adapter: Adapter[Row],
        tuner: Tuner,
        policy: Path,
        *,
        opened: Callable[[str], SqliteLog],
        at: int | None = None,
    ) -> None:
        """`policy` is the folder with the tokenizer; `opened` opens a log for reading; `at` is how far it is read, to
        where it stands when null."""  # noqa: D205, D209 - one sentence
        self._adapter, self._tuner, self._policy, self._opened, self._at = adapter, tuner, policy, opened, at
        self._read: tuple[str, list[Row]] | None = None

    def look(self, source: Source) -> dict[str, Any]:
        """What is there, as plain JSON: how far the log went, the digest of the rows, and how many of what.

        Raises `BadValue` for a run that is not there, and for tokens that the tokenizer of the policy reads
        differently from what the log says they mean.
        """
        with closing(self._opened(source.log)) as log:
            if source.run is not None and not log.rows("select 1 from runs where run_id = ?", (source.run,)):
                raise BadValue("from_run", source.run, why=f"{source.log} has no such run: `agl runs list` shows them")
            head = log.head()
            if self._at is not None and self._at > head:
                raise BadValue("at", self._at, why=f"{source.log} ends at position {head}")
            as_of = self._at or head
            rows, found, answers = self._rows(log, source, as_of)
        _refuse_others(answers, self._policy, source.log)
        self._read = _digest(rows), rows
        return {"as_of": as_of, "digest": self._read[0], **found}

    def tune(
        self, checkpoint: Checkpoint, out: Path, source: Source, found: Mapping[str, Any], number: int
    ) -> dict[str, float]:
        """`Tuner.tune`, on the rows that `look` found."""
        if self._read is None or self._read[0] != found["digest"]:
            with closing(self._opened(source.log)) as log:
                rows, _, _ = self._rows(log, source, found["as_of"])
            if _digest(rows) != found["digest"]:
                why = "it gives other rows than it did: something of it was erased, or it is another file"
                raise BadValue("from_log", source.log, why=why)
            self._read = found["digest"], rows
        return self._tuner.tune(checkpoint, out, self._read[1], number)

    def _rows(
        self, log: SqliteLog, source: Source, as_of: int
    ) -> tuple[list[Row], dict[str, Any], list[tuple[Sequence[int], str]]]:
        # Imported here: every command loads this plugin, and few read another log.
        from agl_core.export.rows import Chosen, RowsOf

        tasks: dict[str, list[tuple[str, str | None]]] = defaultdict(list)
        others = 0
        for rollout_id, run_id, task_id, mode in log.rows(_ROLLOUTS, (as_of, source.run)):
            if mode in {None, "train"}:
                tasks[task_id].append((rollout_id, run_id))
            else:
                others += 1
        adapter = _Selecting(self._adapter, Selection.of(source.select) if source.select else Selection())
        stood: Any = _AsOf(log, as_of)
        read = RowsOf(stood, adapter, Chosen(tasks=list(tasks.values())))
        rows: list[Row] = list(read)
        rewards = {row.rollout_id: row.reward for row in rows if row.reward is not None}
        found = {
            "rollouts": sum(map(len, tasks.values())),
            "left_out": others,
            "erased": read.erased,
            "chosen": len(rewards),
            "tasks": len({row.task_id for row in rows}),
            "reward": sum(rewards.values()) / len(rewards) if rewards else None,
            "rows": len(rows),
            "kept": read.kept,
            "dropped": dict(sorted(read.dropped.items())),
        }
        return rows, found, adapter.answers


class _Selecting:
    """An adapter that is handed the calls that are selected; it keeps some answers, and how they read."""

    def __init__(self, adapter: Adapter[Any], selection: Selection) -> None:
        self.name = adapter.name
        self.answers: list[tuple[Sequence[int], str]] = []
        self._adapter, self._selection = adapter, selection

    def __call__(self, traces: Sequence[Trace]) -> Adapted[Any]:
        selected, others = self._selection.parted(traces)
        made = self._adapter(selected)
        kept = {call_id for row in made.rows for call_id in row.call_ids}
        self.answers += _answers(selected, kept) if len(self.answers) < _COMPARED else ()
        return replace(made, dropped=(*others, *made.dropped))


@dataclass(frozen=True, slots=True)
class _AsOf:
    """A log as it stood: what is read of a stream ends there."""

    log: SqliteLog
    position: int

    def read(self, **given: Any) -> Iterator[Any]:
        return self.log.read(until=self.position, **given)


def _answers(traces: Sequence[Trace], kept: set[str]) -> Iterator[tuple[Sequence[int], str]]:
    """What was said in words alone: a tool call is written in other words than it was sampled in."""
    for trace in traces:
        for recorded in trace.calls:
            for choice in recorded.call.choices:
                said = choice.message.content
                is_plain = isinstance(said, str) and said.strip() and not choice.message.tool_calls
                if recorded.call_id in kept and is_plain and choice.token_ids:
                    yield choice.token_ids, str(said)


def _refuse_others(answers: Sequence[tuple[Sequence[int], str]], policy: Path, log: str) -> None:
    """Tokens of another model's tokenizer would be learnt without an error, and mean something else."""
    file = policy / "tokenizer.json"
    if not answers or not file.exists():
        return
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_file(str(file))
    if not any(said.strip() in tokenizer.decode(list(ids)) for ids, said in answers[:_COMPARED]):
        why = f"not one of {len(answers[:_COMPARED])} answers in it reads the same in the policy's tokens: they were "
        raise BadValue(
            "from_log", log, why=f"{why}sampled by a model with another tokenizer; `select` takes a model's calls alone"
        )


def _digest(rows: Sequence[Row]) -> str:
    return hashlib.blake2b(msgspec.json.encode(rows, order="sorted"), digest_size=16).hexdigest()
