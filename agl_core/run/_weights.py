"""The weights of a run: where each checkpoint lies, how it is made again, and which of them are served."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Protocol

from agl_core.engine import Checkpoint
from agl_core.errors import ModelNotFound
from agl_core.run._checkpoints import Checkpoints

__all__ = ["Serving", "Weights"]

_log = logging.getLogger(__name__)

Recipe = Callable[[], Awaitable[Checkpoint]]


class Serving(Protocol):
    """Who serves the policies of a run."""

    def initial(self) -> Mapping[str, Checkpoint]:
        """Policy name to the weights it starts with."""
        ...

    async def load(self, policy: str, checkpoint: Checkpoint, *, version: int) -> None:
        """Serve these weights: calls begun on the old ones end on them."""
        ...

    async def admit(self) -> None:
        """Let agents run: the weights are those they should meet. Called again and again."""
        ...


class Weights:
    """What is wanted, and what is really there. On replay only the first changes."""

    def __init__(self, serving: Serving, checkpoints: Checkpoints) -> None:
        self._serving, self.checkpoints = serving, checkpoints
        self.wanted = dict(serving.initial())
        self._served = {policy: checkpoint.digest for policy, checkpoint in self.wanted.items()}
        self._versions = {(policy, checkpoint.digest): 0 for policy, checkpoint in self.wanted.items()}
        self._recipes: dict[str, Recipe] = {}
        self._remade: dict[str, Checkpoint] = {}

    def want(self, policy: str, checkpoint: Checkpoint, version: int | None = None) -> int:
        """From here on the policy should speak with these; their version, which they keep when they come back."""
        if policy not in self.wanted:
            raise ModelNotFound(policy, known=self.wanted)
        last = max(version for (name, _), version in self._versions.items() if name == policy)
        self.wanted[policy] = checkpoint
        return self._versions.setdefault((policy, checkpoint.digest), last + 1 if version is None else version)

    def version(self, policy: str) -> int:
        """Of the weights that are wanted."""
        if policy not in self.wanted:
            raise ModelNotFound(policy, known=self.wanted)
        return self._versions[policy, self.wanted[policy].digest]

    async def catch_up(self) -> None:
        """Have the engines serve what they should."""
        for policy, checkpoint in self.wanted.items():
            if self._served[policy] != checkpoint.digest:
                version = self._versions[policy, checkpoint.digest]
                await self._serving.load(policy, await self.at_hand(checkpoint), version=version)
                self._served[policy] = checkpoint.digest

    async def admit(self) -> None:
        """Let agents run, on the weights that are wanted: rollouts a dead process left behind wait for this."""
        await self.catch_up()
        await self._serving.admit()

    # --- files

    def recorded(self, digest: str, *, base: Path | None, recipe: Recipe) -> Checkpoint:
        """A checkpoint the log remembers; its files may be gone, and then `recipe` makes them again when needed."""
        self._recipes[digest] = recipe
        return Checkpoint(digest=digest, folder=self.checkpoints.folder(digest), base=base)

    async def take(self, workspace: Path, *, keep: bool, base: Path | None) -> tuple[Checkpoint, dict[str, str], int]:
        """The workspace as a checkpoint, its files' hashes, and its size in bytes."""
        return await asyncio.to_thread(self.checkpoints.take, workspace, keep=keep, base=base)

    async def at_hand(self, checkpoint: Checkpoint) -> Checkpoint:
        """The checkpoint with its files on disk: made again, from the last one that was kept, if need be.

        Raises `CheckpointForeign` where they are there, and are others.
        """
        checkpoint = self._remade.get(checkpoint.digest, checkpoint)
        if checkpoint.folder.is_dir():
            await asyncio.to_thread(self.checkpoints.insist, checkpoint.folder)
            return checkpoint
        if checkpoint.digest not in self._recipes:
            raise ModelNotFound(
                str(checkpoint.folder), why="its files are gone, and the log does not say how it was made"
            )
        made = await self._recipes[checkpoint.digest]()
        if made.digest != checkpoint.digest:
            _log.warning("%s was made again and came out as %s: floats differ here", checkpoint.digest, made.digest)
        self._remade[checkpoint.digest] = replace(made, digest=checkpoint.digest)
        return self._remade[checkpoint.digest]

    def prune(self, *needed: Checkpoint) -> None:
        """Drop the files of what is not kept for good, not needed next, and not served."""
        self.checkpoints.prune({self._remade.get(c.digest, c).folder for c in (*needed, *self.wanted.values())})
