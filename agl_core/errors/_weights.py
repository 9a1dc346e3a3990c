"""What goes wrong with weights on disk: they cannot be tuned, cannot be written, or are others than they were."""

from __future__ import annotations

from agl_core.errors._engine import EngineError

__all__ = ["CheckpointForeign", "CheckpointUnwritten", "NotTunable"]


class NotTunable(EngineError):
    """A model is there, and cannot be trained as asked."""

    code = "NOT_TUNABLE"

    def __init__(self, model: str, *, why: str) -> None:
        super().__init__(f"{model!r} cannot be tuned: {why}", model=model, why=why)


class CheckpointUnwritten(EngineError):
    """There was no way to write new weights; what was begun is gone again."""

    code = "CHECKPOINT_UNWRITTEN"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"no checkpoint could be written below {path}: {why}. Nothing of it is left; make space, and go on with "
            "`agl resume`: no rollout runs again",
            path=path,
            why=why,
        )


class CheckpointForeign(EngineError):
    """The files of a checkpoint are not those that the run wrote."""

    code = "CHECKPOINT_FOREIGN"

    def __init__(self, path: str, *, file: str) -> None:
        super().__init__(
            f"{path} is not the checkpoint that this run wrote: {file} is another file there, or none. Put it back; or "
            "delete the folder and go on with `agl resume`, which makes it again from the rows it was trained on",
            path=path,
            file=file,
        )
