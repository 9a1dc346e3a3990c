"""What exporters ask of rows: those of `agl-messages` and `agl-triplets` have it, and anyone's may."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

from agl_core.events import Message, Tool

__all__ = ["Pair", "Tokens", "Transcript"]


class Transcript(Protocol):
    """A conversation: what was said, and which of it the policy said."""

    @property
    def rollout_id(self) -> str: ...
    @property
    def messages(self) -> Sequence[Message]: ...
    @property
    def trained(self) -> Sequence[bool]: ...
    @property
    def tools(self) -> Sequence[Tool]: ...
    @property
    def parallel_tool_calls(self) -> bool | None: ...
    @property
    def reward(self) -> float | None: ...


class Pair(Protocol):
    """Two ways to go on from the same words."""

    @property
    def prompt(self) -> Sequence[Message]: ...
    @property
    def chosen(self) -> Sequence[Message]: ...
    @property
    def chosen_trained(self) -> Sequence[bool]: ...
    @property
    def rejected(self) -> Sequence[Message]: ...
    @property
    def rejected_trained(self) -> Sequence[bool]: ...
    @property
    def tools(self) -> Sequence[Tool]: ...
    @property
    def parallel_tool_calls(self) -> bool | None: ...


class Tokens(Protocol):
    """One sequence of token ids, and which of them were sampled."""

    @property
    def token_ids(self) -> Sequence[int]: ...
    @property
    def prompt_length(self) -> int: ...
    @property
    def mask(self) -> Sequence[int]: ...
