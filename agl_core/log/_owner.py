"""Which process holds something, in words that outlive it."""

from __future__ import annotations

import os
import socket
from dataclasses import dataclass
from functools import cache
from pathlib import Path

__all__ = ["Owner", "is_alive"]


@dataclass(frozen=True, slots=True)
class Owner:
    """A process, told apart from a later one with the same number."""

    host: str
    boot: str
    """Identity of the machine's boot: after a restart, nobody from before is alive."""
    pid: int
    started: str
    """When the process began, in the kernel's ticks."""

    @classmethod
    def me(cls) -> Owner:
        """This process."""
        return cls.of(os.getpid())

    @classmethod
    def of(cls, pid: int) -> Owner:
        """The process of that number on this host."""
        return _of(pid)

    @classmethod
    def parse(cls, text: str) -> Owner:
        """What `str` wrote."""
        host, boot, pid, started = text.split("|")
        return cls(host, boot, int(pid), started)

    def __str__(self) -> str:
        return f"{self.host}|{self.boot}|{self.pid}|{self.started}"


@cache
def _of(pid: int) -> Owner:
    return Owner(socket.gethostname(), _boot(), pid, _started(pid))


def is_alive(owner: Owner) -> bool | None:
    """Whether the process still runs; None when it is on another host and nobody here can tell."""
    if owner.host != socket.gethostname():
        return None
    if owner.boot != _boot():
        return False
    try:
        os.kill(owner.pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        pass
    started = _started(owner.pid)
    return started == owner.started or not started


@cache
def _boot() -> str:
    try:
        return Path("/proc/sys/kernel/random/boot_id").read_text().strip()
    except OSError:
        return ""


def _started(pid: int) -> str:
    """Field 22 of /proc/PID/stat; a zombie has ended. Empty where there is no /proc."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    except OSError:
        return "" if not Path("/proc/self/stat").exists() else "gone"
    return "gone" if fields[0] in "ZX" else fields[19]
