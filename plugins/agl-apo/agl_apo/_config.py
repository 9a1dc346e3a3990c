"""The hyper-parameters of the beam search, each a line: those of Agent Lightning v0.3 with its defaults, then ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agl_apo._search_config import SearchConfig
from agl_core.errors import BadValue

__all__ = ["ApoConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ApoConfig(SearchConfig):
    """What may be set."""

    least: ClassVar[Mapping[str, int]] = {
        **SearchConfig.least, "val_batch_size": 1, "beam_width": 1, "branch_factor": 1, "beam_rounds": 0,
    }  # fmt: skip

    val_batch_size: int = 16
    """Validation tasks that the candidates of a round are compared on."""
    beam_width: int = 4
    """Candidates that go on to the next round, and prompts that are criticised in one."""
    branch_factor: int = 4
    """Critiques, and edits, of each of these."""
    beam_rounds: int = 3
    """Rounds of criticising, editing and comparing."""
    run_initial_validation: bool = True
    """Score the base prompt on the whole validation split first; else on what the rounds draw of it."""
    from_log: str | None = None
    """Criticise and edit the prompt that the rollouts of this log were given, once, and publish what comes of it: a
    path, a URL, or an export of a log. No agent runs, and nothing is compared."""
    from_run: str | None = None
    """With `from_log`: by the rollouts of this run alone."""
    from_version: str | None = None
    """With `from_log`: this version of the prompt, `rs-...@2`; that which most rollouts were given, when null."""
    at: int | None = None
    """With `from_log`: by the log as it stood at this position; null for as it stands."""
    reward: str = "primary"
    """With `from_log`: name of the reward that a critic is told, `primary` or that of a judge."""

    def __post_init__(self) -> None:
        SearchConfig.__post_init__(self)  # no `super()` in a class with slots
        if self.from_log is None:
            for name in ("from_run", "from_version", "at"):
                if getattr(self, name) is not None:
                    raise BadValue(name, getattr(self, name), why="it is of `from_log`, and none is named")
        elif self.prompt:
            raise BadValue("prompt", self.prompt, why="with `from_log` the prompt is that of the log: leave one out")
        if self.at is not None and self.at < 1:
            raise BadValue("at", self.at, why="positions are counted from 1")
