"""Peers, each in a virtual environment of its own: made on first use, kept for the next."""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bench._harness import progress

__all__ = ["AGENT_LIGHTNING", "AGENT_LIGHTNING_1", "EVENTSOURCING", "OPENINFERENCE", "Peer", "PeerMissing", "python_of"]

_FOLDER = Path(__file__).with_name(".peers")
_PATIENCE = 900.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Peer:
    """A distribution on PyPI, at the version that was compared."""

    name: str
    version: str
    python: str | None = None
    """The interpreter it wants, such as `python3.12`, where ours is too old for it."""
    beside: tuple[str, ...] = ()
    """What else its environment needs."""

    @property
    def folder(self) -> Path:
        """Its environment. Delete it to have it made again."""
        return _FOLDER / f"{self.name}-{self.version}"


AGENT_LIGHTNING = Peer(name="agentlightning", version="0.3.0")
AGENT_LIGHTNING_1 = Peer(name="agentlightning", version="1.0.2", python="python3.12")
EVENTSOURCING = Peer(name="eventsourcing", version="9.5.6")
OPENINFERENCE = Peer(name="openinference-instrumentation-openai", version="0.1.66", beside=("openai==3.54.0",))


class PeerMissing(Exception):
    """A peer cannot take part; the text says why."""


def python_of(peer: Peer) -> str:
    """The interpreter that can import the peer; `PeerMissing` when its environment cannot be made."""
    why_not = _installed(peer)
    if why_not:
        raise PeerMissing(why_not)
    return _python(peer)


@cache
def _installed(peer: Peer) -> str | None:
    """Make the environment unless it is there. What went wrong, asked once: other benches want the same peer."""
    if (peer.folder / ".ready").exists():
        return None
    progress(f"installing {peer.name} {peer.version} into {peer.folder}: once, a minute or so")
    shutil.rmtree(peer.folder, ignore_errors=True)
    wanted = [f"{peer.name}=={peer.version}", *peer.beside]
    install = [_python(peer), "-m", "pip", "install", "--quiet", "--no-input", *wanted]
    for command in ([peer.python or sys.executable, "-m", "venv", str(peer.folder)], install):
        if why_not := _failure(command):
            return f"{peer.name} {peer.version} could not be installed: {why_not}"
    (peer.folder / ".ready").touch()
    return None


def _python(peer: Peer) -> str:
    return str(peer.folder / "bin" / "python")


def _failure(command: list[str]) -> str | None:
    try:
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=_PATIENCE)
    except FileNotFoundError:
        return f"there is no {command[0]} on PATH"
    except subprocess.TimeoutExpired:
        return f"it took longer than {_PATIENCE:g} s"
    if not done.returncode:
        return None
    return (done.stderr.strip() or done.stdout.strip() or "no reason given").splitlines()[-1]
