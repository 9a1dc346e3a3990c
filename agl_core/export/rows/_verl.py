"""verl's data: tasks to roll out again (RL), and conversations to learn from (SFT), both in Parquet."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal

from agl_core.adapter import Trace
from agl_core.errors import BadValue
from agl_core.events import Message
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._chat import SYSTEM, as_text, dumped, is_plain, said, toolbox
from agl_core.export.rows._records import write_records
from agl_core.export.rows._rows import Transcript

__all__ = ["VerlRl", "VerlSft"]

_ANSWERS = ("ground_truth", "answer", "expected", "solution", "target", "label")
Record = dict[str, Any] | Skipped


@dataclass(frozen=True, slots=True, kw_only=True)
class VerlRl:
    """`{data_source, prompt, ability, reward_model, extra_info, agent_name?}`, one a task: what `RLHFDataset` reads.

    The prompt is what the policy was first asked; what it answered is not in it, since verl samples anew.
    """

    name: ClassVar[str] = "verl-rl"
    help: ClassVar[str] = "verl's RL data: the prompt of each task, with the answer that a reward function looks for."
    suffixes: ClassVar[tuple[str, ...]] = (".parquet", ".jsonl")
    adapter: ClassVar[str] = "attempts"
    options: ClassVar[Mapping[str, Any]] = {}

    data_source: str = "agl"
    """By which verl chooses the reward function."""
    ability: str = "agent"
    """What kind of task it is, for people."""
    ground_truth: str | None = None
    """Field of a task that holds what a reward function looks for; without it the first there is of `ground_truth`,
    `answer`, `expected`, `solution`, `target` and `label`. A task without one is skipped."""
    style: Literal["rule", "model"] = "rule"
    """Who rewards: a rule, or a reward model."""
    agent_name: str | None = None
    """The agent loop that rolls the tasks out, such as `tool_agent`; verl's default, where none is named."""

    def __post_init__(self) -> None:
        if self.style not in {"rule", "model"}:
            raise BadValue("style", self.style, why="it is 'rule' or 'model'")

    def write(self, rows: Iterable[Trace], path: Path) -> Exported:
        """A row for each task."""
        return write_records(self.records(rows), path)

    def records(self, rows: Iterable[Trace]) -> Iterator[Record]:
        """One for the first attempt at each task; others are attempts at what is there already."""
        index, seen = 0, ""
        for trace in rows:
            if trace.task_id == seen:  # rows come task by task
                continue
            seen = trace.task_id
            record = self._record(trace, index)
            index += not isinstance(record, Skipped)
            yield record

    def _record(self, trace: Trace, index: int) -> Record:
        first = next((call.call for call in trace.calls if call.role == "policy" and call.call.messages), None)
        if first is None:
            return Skipped(reason="no_prompt")
        if any(message.tool_calls or message.role == "tool" for message in first.messages):
            return Skipped(reason="tools_in_prompt")
        if not all(map(is_plain, first.messages)):
            return Skipped(reason="multimodal")
        truth = self._truth(trace.input)
        if truth is None:
            return Skipped(reason="no_ground_truth")
        return {
            "data_source": self.data_source,
            "prompt": [_turn(message) for message in first.messages],
            "ability": self.ability,
            "reward_model": {"style": self.style, "ground_truth": truth},
            "extra_info": {
                "split": trace.mode or "train",
                "index": index,
                "task_id": trace.task_id,
                "rollout_id": trace.rollout_id,
                "task": dumped(trace.input),
            },
            **({"agent_name": self.agent_name} if self.agent_name else {}),
        }

    def _truth(self, task: Any) -> str | None:
        """As text, of which a column is made whatever tasks there are."""
        names = _ANSWERS if self.ground_truth is None else (self.ground_truth,)
        found = (task.get(name) for name in names) if isinstance(task, Mapping) else ()
        value = next((one for one in found if one is not None), None)
        return value if value is None or isinstance(value, str) else dumped(value)


@dataclass(frozen=True, slots=True, kw_only=True)
class VerlSft:
    """`{messages, tools, enable_thinking?}`: what `MultiTurnSFTDataset` reads, which learns every assistant's word."""

    name: ClassVar[str] = "verl-sft"
    help: ClassVar[str] = "verl's SFT data: conversations with their tools, learnt from turn by turn."
    suffixes: ClassVar[tuple[str, ...]] = (".parquet",)
    adapter: ClassVar[str] = "messages"
    options: ClassVar[Mapping[str, Any]] = {}

    enable_thinking: bool | None = None
    """What chat templates that know the switch are told."""
    tools: Literal["exact", "merged"] = "exact"
    """Parquet has one type a column, so tools of several shapes get each other's fields, as nulls that a chat template
    prints, and an object without fields becomes text. `exact` skips what would come back otherwise than it was, so all
    but the first shape; `merged` lets it."""

    def __post_init__(self) -> None:
        if self.tools not in {"exact", "merged"}:
            raise BadValue("tools", self.tools, why="it is 'exact' or 'merged'")

    def write(self, rows: Iterable[Transcript], path: Path) -> Exported:
        """A row for each conversation."""
        return write_records(self.records(rows), path)

    def records(self, rows: Iterable[Transcript]) -> Iterator[Record]:
        """One for each, in order."""
        from agl_core.export.rows._columns import kind_of

        shape: Any = None
        for row in rows:
            record = self._record(row)
            if not isinstance(record, Skipped) and self.tools == "exact":
                kinds = [kind_of(tool) for tool in record["tools"]]
                shape = shape or next(iter(kinds), None)
                if any(kind != shape or not _is_exact(kind) for kind in kinds):
                    record = Skipped(reason="tools_of_other_shapes")
            yield record

    def _record(self, row: Transcript) -> Record:
        if any(one.role == "assistant" and not trained for one, trained in zip(row.messages, row.trained, strict=True)):
            return Skipped(reason="others_words")
        if not all(map(is_plain, row.messages)):
            return Skipped(reason="multimodal")
        return {
            # Templates print a content that is null as a word.
            "messages": [said(one, content=as_text(one) or "", role=_role(one)) for one in row.messages],
            "tools": toolbox(row.tools),
            **({} if self.enable_thinking is None else {"enable_thinking": self.enable_thinking}),
        }


def _is_exact(kind: Any) -> bool:
    """Whether a column of that kind gives back what it was given."""
    from agl_core.export.rows._columns import Fields, Items

    match kind:
        case Items(of=inner):
            return _is_exact(inner)
        case Fields(of=fields):
            return bool(fields) and all(_is_exact(inner) for inner in fields.values())
    return bool(kind != "json")


def _turn(message: Message) -> dict[str, str]:
    return {"role": _role(message), "content": as_text(message) or ""}


def _role(message: Message) -> str:
    return "system" if message.role in SYSTEM else message.role
