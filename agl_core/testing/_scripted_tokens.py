"""A scripted model's tokens: bytes of UTF-8, and a mark at the end of each turn."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import accumulate, pairwise
from typing import Any, Literal, TypeAlias

from agl_core.testing._scripted_values import Answer

__all__ = ["END", "Kind", "Piece", "Sampled", "chat_prompt", "sampled", "token_text", "turn"]

END = 256
"""The token that ends a turn; below it, a token is a byte of UTF-8."""

_CHARACTERS = 4
"""In a piece of a stream, unless the answer says how it is cut."""


Kind: TypeAlias = Literal["reasoning", "text", "refusal", "call", "arguments", "end"]
"""`call` opens a tool call, `end` closes the answer; neither has a text."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Piece:
    """A piece of a streamed answer, with the tokens that it is made of."""

    kind: Kind
    text: str = ""
    call: int = 0
    """Which of the tool calls it is of."""
    token_ids: tuple[int, ...] = ()
    logprobs: tuple[float, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class Sampled:
    """An answer with its tokens."""

    answer: Answer
    """As far as the limit let it come."""
    finish_reason: str
    pieces: tuple[Piece, ...]
    """The last is an `end`; together they have all of the tokens."""
    reasoning_tokens: int

    def pieces_of(self, kind: Kind, *, call: int = 0) -> Iterator[Piece]:
        """The pieces of a kind, each behind the answer's gate."""
        for piece in self.pieces:
            if piece.kind == kind and piece.call == call:
                self.pass_gate(piece)
                yield piece

    def pass_gate(self, piece: Piece) -> None:
        """Wait until the piece may be made; the end waits for nothing."""
        if piece.kind != "end" and self.answer.gate is not None:
            self.answer.gate()

    @property
    def token_ids(self) -> list[int]:
        """All of them."""
        return [id_ for piece in self.pieces for id_ in piece.token_ids]

    @property
    def logprobs(self) -> list[float]:
        """One for each token."""
        return [number for piece in self.pieces for number in piece.logprobs]


def sampled(answer: Answer, *, index: int = 0, limit: int | None = None) -> Sampled:
    """The answer as choice `index`, in no more tokens than `limit` if it did not bring its own."""
    ids, finish = answer.token_ids, "tool_calls" if answer.tool_calls else "stop"
    if ids is None:
        whole = _written(answer)
        ids = whole if limit is None else whole[:limit]
        if len(ids) < len(whole):
            answer, finish = _cut(answer, ids), "length"
    numbers = _logprobs(ids, index) if answer.logprobs is None else answer.logprobs
    if len(numbers) != len(ids):
        raise ValueError(f"{len(numbers)} log-probabilities for {len(ids)} tokens: give one for each")
    pieces, weights = _pieces(answer)
    ends = _spread(len(ids), len(pieces)) if answer.token_ids is not None else list(accumulate(weights, initial=0))
    parts = [
        replace(piece, token_ids=tuple(ids[start:end]), logprobs=tuple(numbers[start:end]))
        for piece, (start, end) in zip(pieces, pairwise([*ends, len(ids)]), strict=True)
    ]
    return Sampled(
        answer=answer,
        finish_reason=answer.finish_reason or finish,
        pieces=tuple(parts),
        reasoning_tokens=sum(len(piece.token_ids) for piece in parts if piece.kind == "reasoning"),
    )


def chat_prompt(messages: Iterable[Mapping[str, Any]]) -> list[int]:
    """The chat as tokens, up to where the model goes on."""
    ids: list[int] = []
    for message in messages:
        ids += [*f"{message.get('role')}:".encode(), *turn(message)]
    return [*ids, *b"assistant:"]


def turn(message: Mapping[str, Any]) -> list[int]:
    """What a message says, as tokens; a model's own message gives the very tokens it sampled."""
    content = message.get("content")
    text = content if isinstance(content, str) else "" if content is None else json.dumps(content)
    text = _thought(message.get("reasoning_content") or "") + text + (message.get("refusal") or "")
    for call in message.get("tool_calls") or ():
        function = call["function"]
        text += _opening(function["name"]) + function["arguments"] + _CLOSING
    return [*text.encode(), END]


def token_text(id_: int) -> str:
    """A token as people read it."""
    return "<end>" if id_ == END else chr(id_) if id_ < 128 else f"<{id_:#x}>"


_CLOSING = "}</tool_call>"


def _opening(name: str) -> str:
    return f'<tool_call>{{"name": "{name}", "arguments": '


def _thought(reasoning: str) -> str:
    return f"<think>{reasoning}</think>" if reasoning else ""


def _written(answer: Answer) -> tuple[int, ...]:
    calls = [_opening(call.name) + call.arguments + _CLOSING for call in answer.tool_calls]
    return (*"".join([_thought(answer.reasoning), answer.text, answer.refusal, *calls]).encode(), END)


def _cut(answer: Answer, ids: Sequence[int]) -> Answer:
    """What can be read of the first tokens: a tool call that broke off is text."""
    thought = len(_thought(answer.reasoning).encode())
    said = bytes(id_ for id_ in ids[thought:] if id_ < END).decode(errors="ignore")
    reasoning = answer.reasoning
    if len(ids) < thought:
        inside = bytes(ids).decode(errors="ignore").removeprefix("<think>")
        reasoning = inside[: len(reasoning)] if len(ids) > len("<think>") else ""
    # As it cut the whole text, as far as that still goes.
    ends = list(accumulate(map(len, answer.pieces), initial=0)) if answer.pieces is not None else []
    pieces = [said[start:end] for start, end in pairwise(ends) if said[start:end]]
    pieces = [*pieces, said[ends[-1] :]] if ends and said[ends[-1] :] else pieces
    return replace(answer, text=said, reasoning=reasoning, refusal="", tool_calls=(), pieces=pieces or None)


def _pieces(answer: Answer) -> tuple[list[Piece], list[int]]:
    """The pieces without their tokens, and how many bytes each stands for; the end stands for what is left."""
    found: list[tuple[Piece, str]] = []

    def add(piece: Piece, *, before: str = "", after: str = "") -> None:
        found.append((piece, before + piece.text + after))

    thoughts = _pieces_of(answer.reasoning)
    for place, text in enumerate(thoughts):
        first, last = place == 0, place == len(thoughts) - 1
        add(
            Piece(kind="reasoning", text=text),
            before="<think>" if first else "",
            after="</think>" if last else "",
        )
    for text in _pieces_of(answer.text) if answer.pieces is None else answer.pieces:
        add(Piece(kind="text", text=text))
    for text in _pieces_of(answer.refusal):
        add(Piece(kind="refusal", text=text))
    for number, call in enumerate(answer.tool_calls):
        arguments = _pieces_of(call.arguments)
        add(Piece(kind="call", call=number), before=_opening(call.name), after="" if arguments else _CLOSING)
        for place, text in enumerate(arguments):
            after = _CLOSING if place == len(arguments) - 1 else ""
            add(Piece(kind="arguments", text=text, call=number), after=after)
    weights = [len(written.encode()) for _, written in found]
    return [*(piece for piece, _ in found), Piece(kind="end")], weights


def _pieces_of(text: str) -> list[str]:
    return [text[start : start + _CHARACTERS] for start in range(0, len(text), _CHARACTERS)]


def _spread(tokens: int, pieces: int) -> list[int]:
    """Where each piece begins, when the tokens say nothing of the text."""
    return [tokens * place // pieces for place in range(pieces)]


def _logprobs(ids: Sequence[int], index: int) -> tuple[float, ...]:
    """Eighths, so that single precision keeps them as they are."""
    return tuple(-(1 + (id_ + place + index) % 16) / 8 for place, id_ in enumerate(ids))
