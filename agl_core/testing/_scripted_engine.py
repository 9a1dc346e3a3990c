"""A test double for an engine: a scripted model behind the `Engine` protocol."""

from __future__ import annotations

from agl_core.engine import Checkpoint, Endpoint
from agl_core.testing._scripted_model import Reply, Script, ScriptedModel

__all__ = ["ScriptedEngine"]


class ScriptedEngine:
    """Starts, changes its version and stops as an engine does; what it says comes from a script."""

    def __init__(self, script: Script | Reply = "ok", *, model: str = "policy", max_len: int = 32_768) -> None:
        self.model = ScriptedModel(script, model=model, max_len=max_len, version=0)
        self.loaded: list[tuple[Checkpoint, int]] = []
        """Every checkpoint it was given, with its version."""

    async def start(self) -> Endpoint:
        """Listen."""
        self.model.start()
        return self.model.endpoint

    async def load(self, checkpoint: Checkpoint, *, version: int) -> None:
        """Say `version` from now on; the script stays the same."""
        self.loaded.append((checkpoint, version))
        self.model.version = version

    async def stop(self) -> None:
        """Listen no more."""
        self.model.stop()
