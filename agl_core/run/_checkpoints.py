"""Checkpoints on disk: a folder for each, named by the hash of what is in it, synced before anyone hears of it."""

from __future__ import annotations

import hashlib
import os
import shutil
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from agl_core.engine import Checkpoint
from agl_core.errors import ModelNotFound
from agl_core.ids import canonical, content_id, new_id

__all__ = ["Checkpoints", "describe"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 22


def describe(folder: Path, *, base: Path | None = None, metadata: Mapping[str, Any] | None = None) -> Checkpoint:
    """The checkpoint that a folder is, wherever it lies."""
    if not folder.is_dir():
        raise ModelNotFound(str(folder), why="there is no such folder")
    files = hashes(folder)
    return Checkpoint(digest=content_id(canonical(files)), folder=folder.absolute(), base=base, metadata=metadata or {})


def hashes(folder: Path) -> dict[str, str]:
    """Name to content hash of every file in a folder, the manifest itself left out."""
    return {
        path.relative_to(folder).as_posix(): "b2:" + _hash(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.name != MANIFEST
    }


class Checkpoints:
    """The folder beside a log: `checkpoints/<hash>` for good, `scratch/<run>/` until something newer is there."""

    def __init__(self, root: Path, run_id: str) -> None:
        self._kept, self._scratch = root / "checkpoints", root / "scratch" / run_id
        for folder in (root, self._kept, self._scratch.parent, self._scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    def workspace(self) -> Path:
        """An empty folder to write the next checkpoint into."""
        folder = self._scratch / new_id("ck")
        folder.mkdir(mode=0o700)
        return folder

    def folder(self, digest: str) -> Path:
        """Where the checkpoint of that digest lies, or lay."""
        kept, scratch = (root / digest.removeprefix("b2:") for root in (self._kept, self._scratch))
        return kept if kept.is_dir() else scratch

    def take(self, workspace: Path, *, keep: bool, base: Path | None) -> tuple[Checkpoint, dict[str, str], int]:
        """Give the workspace its name; the checkpoint, its files' hashes, its size. Synced when it is kept."""
        files = hashes(workspace)
        manifest = canonical(files)
        (workspace / MANIFEST).write_bytes(manifest)
        found = content_id(manifest)
        root = self._kept if keep else self._scratch
        target = root / found.removeprefix("b2:")
        if keep:
            for path in workspace.rglob("*"):
                _sync(path)
            _sync(workspace)
        if target.exists():
            shutil.rmtree(workspace)  # the same bytes were there before
        else:
            workspace.rename(target)
        if keep:
            _sync(root)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        return Checkpoint(digest=found, folder=target, base=base), files, size

    def prune(self, needed: Collection[Path]) -> None:
        """Drop what is not kept for good and not among `needed`; workspaces that are being filled stay."""
        for folder in self._scratch.glob("*"):
            if folder not in needed and not folder.name.startswith("ck-"):
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Drop everything that is not kept for good."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def _hash(path: Path) -> str:
    found = hashlib.blake2b(digest_size=32)
    with path.open("rb") as file:
        while chunk := file.read(_CHUNK):
            found.update(chunk)
    return found.hexdigest()


def _sync(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
