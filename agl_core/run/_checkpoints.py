"""Checkpoints on disk: a folder for each, named by the hash of what is in it, synced before anyone hears of it."""

from __future__ import annotations

import errno
import hashlib
import json
import os
import shutil
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from agl_core.engine import Checkpoint
from agl_core.errors import CheckpointForeign, CheckpointUnwritten, ModelNotFound, StepFailed
from agl_core.ids import canonical, content_id, new_id

__all__ = ["Checkpoints", "describe"]

MANIFEST = "manifest.json"
_CHUNK = 1 << 22
_DISK = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG, errno.EROFS, errno.EIO}
"""What a step meets on a disk, and did not do itself."""


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
        self._trusted: set[Path] = set()
        self._kept, self._scratch = root / "checkpoints", root / "scratch" / run_id
        for folder in (root, self._kept, self._scratch.parent, self._scratch):
            folder.mkdir(parents=True, exist_ok=True, mode=0o700)

    @contextmanager
    def filling(self) -> Iterator[Path]:
        """An empty folder to write the next checkpoint into; it is gone again when that fails.

        Raises `CheckpointUnwritten` where the disk has no room, or will not.
        """
        folder = self._scratch / new_id("ck")
        try:
            folder.mkdir(mode=0o700)
            yield folder
        except Exception as error:
            shutil.rmtree(folder, ignore_errors=True)
            disk = error.__cause__ if isinstance(error, StepFailed) else error
            if isinstance(disk, OSError) and (disk is error or disk.errno in _DISK):
                raise CheckpointUnwritten(str(self._scratch), why=disk.strerror or str(disk)) from error
            raise

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
        if target.exists() and _changed(target) is None:
            shutil.rmtree(workspace)  # the same bytes were there before
        else:
            shutil.rmtree(target, ignore_errors=True)
            workspace.rename(target)
        self._trusted.add(target)
        if keep:
            _sync(root)
        size = sum(path.stat().st_size for path in target.rglob("*") if path.is_file())
        return Checkpoint(digest=found, folder=target, base=base), files, size

    def insist(self, folder: Path) -> None:
        """Raise `CheckpointForeign` unless it holds what its name says; asked once of what another process wrote."""
        if folder in self._trusted or folder.parent not in {self._kept, self._scratch}:
            return
        if (file := _changed(folder)) is not None:
            raise CheckpointForeign(str(folder), file=file)
        self._trusted.add(folder)

    def prune(self, needed: Collection[Path]) -> None:
        """Drop what is not kept for good and not among `needed`; workspaces that are being filled stay."""
        for folder in self._scratch.glob("*"):
            if folder not in needed and not folder.name.startswith("ck-"):
                shutil.rmtree(folder, ignore_errors=True)

    def clear(self) -> None:
        """Drop everything that is not kept for good."""
        shutil.rmtree(self._scratch, ignore_errors=True)


def _changed(folder: Path) -> str | None:
    """The first file of a checkpoint that is not what it was, was not there, or is there no more."""
    try:
        manifest = (folder / MANIFEST).read_bytes()
    except OSError:
        return MANIFEST
    if content_id(manifest) != f"b2:{folder.name}":
        return MANIFEST
    was, is_ = json.loads(manifest), hashes(folder)
    return next((file for file in sorted({*was, *is_}) if was.get(file) != is_.get(file)), None)


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
