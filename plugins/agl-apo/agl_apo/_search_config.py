"""What every search may be told, each a line: who criticises and edits, on what, and what a candidate must be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from math import isfinite
from typing import ClassVar

from agl_core.errors import BadValue

__all__ = ["SearchConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class SearchConfig:
    """What the searches share."""

    least: ClassVar[Mapping[str, int]] = {
        "gradient_batch_size": 1, "repeat": 1, "tries": 1, "longest_prompt": 1, "longest_transcript": 200,
    }  # fmt: skip
    """Of fields that are counts."""

    gradient_model: str = "gpt-5-mini"
    """Writes the critiques: a name among the run's models, or an engine URL, `https://host/v1#name`."""
    apply_edit_model: str = "gpt-4.1-mini"
    """Changes prompts as a critique says: a name or a URL, too."""
    diversity_temperature: float = 1.0
    """At which both of them answer."""
    gradient_batch_size: int = 4
    """Training tasks that a critique is about."""
    rollout_batch_timeout: float = 3600.0
    """Seconds that an attempt at a task may take, where the run sets no time-out of its own."""
    prompts: tuple[str, ...] = ()
    """Names of the prompts that are improved; all of the bundle's, when empty. They take turns, an edit changes one."""
    prompt: str = ""
    """The prompt to start from, as `prompt_template`, where the run was given none among its resources."""
    repeat: int = 1
    """Rollouts of each task in every comparison; a candidate's score on the task is their mean."""
    tries: int = 3
    """Times that a critique or an edit is asked for before its branch is given up."""
    min_scored: float = 0.8
    """Share of the tasks the base prompt was scored on, of which a candidate that goes on must be scored, too."""
    longest_prompt: int = 16_000
    """Characters that a prompt may have."""
    longest_transcript: int = 6_000
    """Characters of a rollout that a critic is shown; of a longer one its beginning and its end."""

    def __post_init__(self) -> None:
        object.__setattr__(self, "prompts", tuple(self.prompts))  # a list, where a log or a file said so
        for name, least in self.least.items():
            if not getattr(self, name) >= least:  # not `<`, which NaN passes
                raise BadValue(name, getattr(self, name), why=f"it must be {least} or more")
        if not (self.diversity_temperature >= 0 and isfinite(self.diversity_temperature)):
            raise BadValue("diversity_temperature", self.diversity_temperature, why="it must be 0 or more")
        if not (self.rollout_batch_timeout > 0 and isfinite(self.rollout_batch_timeout)):
            raise BadValue("rollout_batch_timeout", self.rollout_batch_timeout, why="it is a number of seconds above 0")
        if not 0 < self.min_scored <= 1:
            raise BadValue("min_scored", self.min_scored, why="it is a share: above 0, at most 1")
