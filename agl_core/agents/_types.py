"""Names for what agents and algorithms are given, for annotations; Agent Lightning's."""

from __future__ import annotations

from typing import Any, Literal, Protocol, TypeVar

from agl_core.agents._litagent import Result

__all__ = ["Dataset", "RolloutMode", "RolloutRawResult", "TaskInput"]

T_co = TypeVar("T_co", covariant=True)

TaskInput = Any
"""A task, as JSON has it."""
RolloutMode = Literal["train", "val", "test"]
"""The split that a rollout's task is of."""
RolloutRawResult = Result
"""What an agent may return."""


class Dataset(Protocol[T_co]):
    """Tasks by number; a list is one."""

    def __getitem__(self, index: int) -> T_co:
        """The task of that number, from 0."""
        ...

    def __len__(self) -> int:
        """How many there are."""
        ...
