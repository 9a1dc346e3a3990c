"""Weights that a run kept, as a folder that transformers and peft read, with a model card."""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass
from fnmatch import fnmatch
from pathlib import Path, PurePosixPath
from typing import TYPE_CHECKING, Any

from agl_core.errors import CheckpointForeign, ExportRefused, FilesNotKept, UnknownName

if TYPE_CHECKING:
    from collections.abc import Mapping

    from agl_core.log import SqliteLog

__all__ = ["Weights", "export_weights", "folder_of"]

ADAPTER = "adapter_config.json"
CARD = "README.md"
_CHUNK = 1 << 22
_LEFT = ("manifest.json", "optimizer.*", "state.json", CARD)
"""What only the next update needs; and the card of the model that it began with."""
_SERVED = "select version, checkpoint from policies where run_id = ? and policy = ? order by position"


@dataclass(frozen=True, slots=True, kw_only=True)
class Weights:
    """A version of a policy whose files are there."""

    run_id: str
    policy: str
    version: int
    digest: str
    folder: Path
    files: Mapping[str, str]
    """Name to content hash."""
    size: int
    is_last: bool
    """Nothing was served after it."""

    @property
    def name(self) -> str:
        """`policy@version`."""
        return f"{self.policy}@{self.version}"

    @property
    def exported(self) -> list[str]:
        """Those of its files that say what the model is."""
        return [name for name in self.files if not any(fnmatch(name, pattern) for pattern in _LEFT)]

    @property
    def base(self) -> str | None:
        """Of adapters, the model that they belong to."""
        if ADAPTER not in self.files:
            return None
        config = json.loads((self.folder / ADAPTER).read_text())
        return str(config.get("base_model_name_or_path") or "") or None


def folder_of(log: SqliteLog, digest: str) -> Path | None:
    """Where the files of a checkpoint lie, beside the log; None when they do not."""
    name = digest.removeprefix("b2:")
    folder = log.artefacts / "checkpoints" / name
    return folder if name.isalnum() and folder.is_dir() else None


def export_weights(log: SqliteLog, run_id: str, given: str, to: Path) -> dict[str, Any]:
    """Copy what `NAME[@V]` means, but for what only training needs, and write its card beside it."""
    from agl_core.cli._resources_card import card
    from agl_core.export.rows import new_folder

    weights = _found(log, run_id, given)
    if to.exists() and not to.is_dir():
        raise ExportRefused(str(to), why="it is a file", cure="Name a folder")
    with new_folder(to) as part:
        for name in weights.exported:
            _copy(weights.folder, part, name, weights.files[name])
        (part / CARD).write_text(card(log, weights), "utf-8")
    base = weights.base
    notes = [f"they are adapters of {base}: peft.PeftModel.from_pretrained(base, {str(to)!r})"] if base else []
    return {
        "run_id": run_id,
        "policy": weights.policy,
        "version": weights.version,
        "checkpoint": weights.digest,
        "base": base,
        "path": str(to),
        "what": f"the weights of {weights.name}",
        "notes": notes,
    }


def _found(log: SqliteLog, run_id: str, given: str) -> Weights:
    """By `NAME@V`, or the newest of `NAME`; raises `FilesNotKept` where the log has no more of it than its name."""
    policy, at, number = given.rpartition("@")
    if not at or not number.isdecimal():
        policy, number = given, ""
    rows = log.rows(_SERVED, (run_id, policy))
    served: dict[int, str] = dict(rows)
    if not served:
        known = [name for (name,) in log.rows("select distinct policy from policies where run_id = ?", (run_id,))]
        raise UnknownName("policy", policy, known=known, cure=f"{run_id} served no other")
    # Which came last: a version that is served again keeps its number.
    version = int(number) if number else rows[-1][0]
    saved = _saved(log, run_id)
    kept = [f"{policy}@{one}" for one, digest in sorted(served.items()) if _is_kept(log, digest, saved)]
    name = f"{policy}@{version}"
    if name not in kept:
        raise FilesNotKept(name, why=_why(log, run_id, policy, version, served, saved), kept=kept)
    digest = served[version]
    folder = folder_of(log, digest)
    assert folder is not None
    files, size = saved[digest]
    return Weights(
        run_id=run_id, policy=policy, version=version, digest=digest, folder=folder, files=files, size=size,
        is_last=version == rows[-1][0],
    )  # fmt: skip


def _saved(log: SqliteLog, run_id: str) -> dict[str, tuple[Mapping[str, str], int]]:
    """Digest to the files of each checkpoint that the run kept for good, and their size."""
    from agl_core.events import CheckpointSaved

    return {
        record.event.digest: (record.event.files, record.event.bytes)
        for record in log.read(stream=f"run/{run_id}", types=[CheckpointSaved.type])
        if isinstance(record.event, CheckpointSaved)
    }


def _is_kept(log: SqliteLog, digest: str, saved: Mapping[str, Any]) -> bool:
    return digest in saved and folder_of(log, digest) is not None


def _why(
    log: SqliteLog, run_id: str, policy: str, version: int, served: Mapping[int, str], saved: Mapping[str, Any]
) -> str:
    if version not in served:
        return f"as {run_id} served no such version"
    if version == 0:
        from agl_core.events import RunStarted

        record = log.get(run_id)
        began = record.event.models.get(policy) if record and isinstance(record.event, RunStarted) else None
        return f"for it is what the run began with{f', {began}' if began else ''}"
    if served[version] in saved:
        return (
            "though the log says that they were kept: they lie in a folder beside it, which may have been left behind"
        )
    return "for no checkpoint was made of it"


def _copy(source: Path, target: Path, name: str, digest: str) -> None:
    """Bytes that are not those the log names are refused; so is a name that leads out of the folder."""
    leads_out = PurePosixPath(name).is_absolute() or ".." in PurePosixPath(name).parts
    if leads_out or not (source / name).is_file():
        raise CheckpointForeign(str(source), file=name)
    found = hashlib.blake2b(digest_size=32)
    (target / name).parent.mkdir(parents=True, exist_ok=True)
    with (source / name).open("rb") as read, (target / name).open("xb") as write:
        while chunk := read.read(_CHUNK):
            found.update(chunk)
            write.write(chunk)
    if f"b2:{found.hexdigest()}" != digest:
        raise CheckpointForeign(str(source), file=name)
