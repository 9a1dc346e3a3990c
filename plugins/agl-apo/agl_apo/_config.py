"""The hyper-parameters of the beam search, each a line: those of Agent Lightning v0.3 with its defaults, then ours."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import ClassVar

from agl_apo._search_config import SearchConfig

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
