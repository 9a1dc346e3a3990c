"""Peers, each in a virtual environment of its own: made on first use, kept for the next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

from bench._harness import progress

__all__ = ["AGENT_LIGHTNING", "EVENTSOURCING", "Peer", "PeerMissing", "is_installed", "python_of"]

_FOLDER = Path(__file__).with_name(".peers")
_PATIENCE = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A distribution on PyPI, at the version that was compared."""

    name: str
    version: str

    @property
    def folder(self) -> Path:
        """Its environment. Delete it to have it made again."""
        return _FOLDER / f"{self.name}-{self.version}"


AGENT_LIGHTNING = Peer(name="agentlightning", version="0.3.0")
EVENTSOURCING = Peer(name="eventsourcing", version="9.5.6")


class PeerMissing(Exception):
    """A peer cannot take part; the text says why."""


def is_installed(peer: Peer) -> bool:
    """Whether its environment is there, whole."""
    return (peer.folder / ".ready").exists()


def python_of(peer: Peer) -> str:
    """The interpreter that can import the peer; `PeerMissing` when its environment cannot be made."""
    python = str(peer.folder / "bin" / "python")
    if is_installed(peer):
        return python
    progress(f"installing {peer.name} {peer.version} into {peer.folder}: once, a minute or so")
    shutil.rmtree(peer.folder, ignore_errors=True)
    _run(peer, sys.executable, "-m", "venv", str(peer.folder))
    _run(peer, python, "-m", "pip", "install", "--quiet", "--no-input", f"{peer.name}=={peer.version}")
    (peer.folder / ".ready").touch()
    return python


def _run(peer: Peer, *command: str) -> None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except subprocess.TimeoutExpired:
        raise PeerMissing(f"{peer.name} {peer.version}: not installed within {_PATIENCE:g} s") from None
    if done.returncode:
        why = (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
        raise PeerMissing(f"{peer.name} {peer.version} could not be installed: {why}")
