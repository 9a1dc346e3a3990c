"""TRL's data sets: words for its chat templates, or the very tokens, with a mask over what the policy produced."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import partial
from itertools import chain
from pathlib import Path
from typing import Any, ClassVar, Literal, get_args

from agl_core.errors import BadValue
from agl_core.events import Message, Tool
from agl_core.export._exporter import Exported, Skipped
from agl_core.export.rows._chat import SYSTEM, as_text, dumped, is_plain, said, toolbox
from agl_core.export.rows._records import write_records
from agl_core.export.rows._rows import Pair, Tokens, Transcript

__all__ = ["Shape", "Trl", "answers", "judged", "masked", "preference", "whole"]

Shape = Literal["messages", "prompt-completion", "preference", "kto", "tokens"]
Record = dict[str, Any] | Skipped
_ADAPTERS: Mapping[str, str] = {"preference": "preferences", "tokens": "triplets"}
_OPTIONS: Mapping[str, Mapping[str, Any]] = {
    "preference": {"level": "call"},
    # What keeps tokens out of RL's gradient is no reason here: nobody divides by a group, or by how likely they were.
    "tokens": {"min_group": 1, "allow_truncated_sampling": True},
}


@dataclass(frozen=True, slots=True, kw_only=True)
class Trl:
    """What `SFTTrainer`, `DPOTrainer` and `KTOTrainer` read."""

    name: ClassVar[str] = "trl"
    help: ClassVar[str] = "TRL's formats for SFT, DPO and KTO, from words or from the very tokens."
    suffixes: ClassVar[tuple[str, ...]] = (".jsonl", ".parquet")

    shape: Shape = "messages"
    """`messages` (SFT on all that the assistant said), `prompt-completion` (a row for each answer), `preference` (DPO),
    `kto` (a label for each answer), or `tokens` (SFT on the tokens as they were sampled, none made again from text)."""
    desirable: float = 0.5
    """In `kto`: an answer that earned this much is labelled as desirable."""
    arguments: Literal["object", "text"] = "object"
    """Arguments of tool calls: as chat templates want them, or to the letter. In Parquet they are text: each column
    there has one type, and objects would get each other's fields."""

    def __post_init__(self) -> None:
        if self.shape not in get_args(Shape):
            raise BadValue("shape", self.shape, why=f"it is one of {', '.join(get_args(Shape))}")

    @property
    def adapter(self) -> str:
        """Pairs for preferences, tokens for tokens, else transcripts."""
        return _ADAPTERS.get(self.shape, "messages")

    @property
    def options(self) -> Mapping[str, Any]:
        """Of that adapter."""
        return _OPTIONS.get(self.shape, {})

    def write(self, rows: Iterable[Any], path: Path) -> Exported:
        """A row for each record."""
        return write_records(chain.from_iterable(map(self._records(path), rows)), path)

    def _records(self, path: Path) -> Callable[[Any], Iterable[Record]]:
        as_objects = self.arguments == "object" and path.suffix != ".parquet"
        match self.shape:
            case "messages":
                return lambda row: [whole(row, as_objects=as_objects)]
            case "prompt-completion":
                return partial(answers, as_objects=as_objects)
            case "preference":
                return lambda row: [preference(row, as_objects=as_objects)]
            case "kto":
                return partial(judged, desirable=self.desirable, as_objects=as_objects)
            case "tokens":
                return lambda row: [masked(row)]


def whole(row: Transcript, *, as_objects: bool = True) -> Record:
    """A conversation. TRL learns from every word of an assistant, so one that has other's words is skipped."""
    if any(one.role == "assistant" and not trained for one, trained in zip(row.messages, row.trained, strict=True)):
        return Skipped(reason="others_words")
    if not all(map(is_plain, row.messages)):
        return Skipped(reason="multimodal")
    return {"messages": _said(row.messages, as_objects=as_objects), **_offered(row.tools)}


def answers(row: Transcript, *, as_objects: bool = True) -> Iterator[Record]:
    """Each answer of the policy, after all that stood before it: nothing else is learnt from."""
    for place, trained in enumerate(row.trained):
        if trained:
            yield _completed(row, place, as_objects=as_objects)


def judged(row: Transcript, *, desirable: float, as_objects: bool = True) -> Iterator[Record]:
    """The same, with whether the transcript earned enough."""
    for record in answers(row, as_objects=as_objects):
        if row.reward is None:
            yield Skipped(reason="no_reward")
        else:
            yield record if isinstance(record, Skipped) else {**record, "label": row.reward >= desirable}


def preference(row: Pair, *, as_objects: bool = True) -> Record:
    """A pair. TRL compares every token after the prompt, so one with others' words there is skipped."""
    if not all((*row.chosen_trained, *row.rejected_trained)):
        return Skipped(reason="others_words")
    if not all(map(is_plain, (*row.prompt, *row.chosen, *row.rejected))):
        return Skipped(reason="multimodal")
    return {
        "prompt": _said(row.prompt, as_objects=as_objects),
        "chosen": _said(row.chosen, as_objects=as_objects),
        "rejected": _said(row.rejected, as_objects=as_objects),
        **_offered(row.tools),
    }


def masked(row: Tokens) -> dict[str, Any]:
    """Token ids as they were captured, and a 1 on each that the policy produced.

    Both masks are the same: `assistant_masks` counts wherever it is, `completion_mask` where a trainer is told so.
    """
    mask = [*(0 for _ in range(row.prompt_length)), *row.mask]
    return {"input_ids": list(row.token_ids), "assistant_masks": mask, "completion_mask": mask}


def _completed(row: Transcript, place: int, *, as_objects: bool) -> Record:
    if not all(map(is_plain, row.messages[: place + 1])):
        return Skipped(reason="multimodal")
    return {
        "prompt": _said(row.messages[:place], as_objects=as_objects),
        "completion": _said(row.messages[place : place + 1], as_objects=as_objects),
        **_offered(row.tools),
    }


def _said(messages: Sequence[Message], *, as_objects: bool) -> list[dict[str, Any]]:
    # Templates know one kind of orders, and one kind of content.
    return [
        said(one, content=as_text(one), role="system" if one.role in SYSTEM else None, as_objects=as_objects)
        for one in messages
    ]


def _offered(tools: Sequence[Tool]) -> dict[str, Any]:
    """As JSON text, which TRL reads whatever version of `datasets` is there."""
    return {"tools": dumped(toolbox(tools))} if tools else {}
