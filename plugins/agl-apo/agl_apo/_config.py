"""The hyper-parameters of the beam search, each a line: those of Agent Lightning v0.3 with its defaults, then ours."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from agl_core.errors import BadValue

__all__ = ["ApoConfig"]

_AT_LEAST = {
    "gradient_batch_size": 1, "val_batch_size": 1, "beam_width": 1, "branch_factor": 1, "beam_rounds": 0, "repeat": 1,
    "tries": 1, "longest_prompt": 1, "longest_transcript": 200,
}  # fmt: skip


@dataclass(frozen=True, slots=True, kw_only=True)
class ApoConfig:
    """What may be set."""

    gradient_model: str = "gpt-5-mini"
    """Writes the critiques: a name among the run's models, or an engine URL, `https://host/v1#name`."""
    apply_edit_model: str = "gpt-4.1-mini"
    """Changes prompts as a critique says: a name or a URL, too."""
    diversity_temperature: float = 1.0
    """At which both of them answer."""
    gradient_batch_size: int = 4
    """Training tasks that a critique is about."""
    val_batch_size: int = 16
    """Validation tasks that the candidates of a round are compared on."""
    beam_width: int = 4
    """Candidates that go on to the next round, and prompts that are criticised in one."""
    branch_factor: int = 4
    """Critiques, and edits, of each of these."""
    beam_rounds: int = 3
    """Rounds of criticising, editing and comparing."""
    rollout_batch_timeout: float = 3600.0
    """Seconds that an attempt at a task may take, where the run sets no time-out of its own."""
    run_initial_validation: bool = True
    """Score the base prompt on the whole validation split first; else on what the rounds draw of it."""
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
        for name, least in _AT_LEAST.items():
            if not getattr(self, name) >= least:  # not `<`, which NaN passes
                raise BadValue(name, getattr(self, name), why=f"it must be {least} or more")
        if not (self.diversity_temperature >= 0 and isfinite(self.diversity_temperature)):
            raise BadValue("diversity_temperature", self.diversity_temperature, why="it must be 0 or more")
        if not (self.rollout_batch_timeout > 0 and isfinite(self.rollout_batch_timeout)):
            raise BadValue("rollout_batch_timeout", self.rollout_batch_timeout, why="it is a number of seconds above 0")
        if not 0 < self.min_scored <= 1:
            raise BadValue("min_scored", self.min_scored, why="it is a share: above 0, at most 1")
