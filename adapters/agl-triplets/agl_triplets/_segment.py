"""A row in the making: turns whose tokens follow each other exactly."""

from __future__ import annotations

from bisect import bisect_right
from dataclasses import dataclass, field

from agl_core.events import CallRecorded, Choice
from agl_triplets._prefixes import Tokens

__all__ = ["Beginning", "Segment", "temperature"]


@dataclass(frozen=True, slots=True)
class Beginning:
    """Why a row begins where it does, and what stood there instead; `Row` says what each means."""

    why: str
    differs_at: int | None = None
    differs_from: str | None = None
    expected: Tokens = ()


@dataclass(slots=True)
class Segment:
    """Grows turn by turn, and never changes what it has."""

    beginning: Beginning
    prompt_length: int
    temperature: float
    tokens: Tokens = ()
    mask: list[int] = field(default_factory=list)
    logprobs: list[float] = field(default_factory=list)
    turns: list[tuple[CallRecorded, Choice]] = field(default_factory=list)
    ends: list[int] = field(default_factory=list)
    """Where each turn's last token is followed by the next prompt's own."""

    def take(self, recorded: CallRecorded, choice: Choice) -> Tokens:
        """Append a turn whose prompt starts with these tokens; the tokens there are now."""
        prompt = recorded.call.prompt_token_ids
        known = len(self.tokens) or self.prompt_length
        self.mask += [0] * (len(prompt) - known) + [1] * len(choice.token_ids)
        self.logprobs += choice.logprobs
        self.tokens = (*prompt, *choice.token_ids)
        self.turns.append((recorded, choice))
        self.ends.append(len(self.tokens))
        return self.tokens

    def turn_at(self, index: int) -> int:
        """The turn that put the token there: in its prompt, or as its answer; the last one beyond the end."""
        return min(bisect_right(self.ends, index), len(self.turns) - 1)

    def is_spoken(self, index: int) -> bool:
        """Whether the token there was sampled."""
        turn = self.turn_at(index)
        return self.ends[turn] - len(self.turns[turn][1].token_ids) <= index < self.ends[turn]


def temperature(recorded: CallRecorded) -> float:
    """What the call was sampled at; 1, as every provider has it, when the request left it open."""
    asked = recorded.call.sampling.temperature
    return 1.0 if asked is None else asked
