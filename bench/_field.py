"""The contestants of a bench: processes that start when they are first asked for, and end with it."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from contextlib import ExitStack
from pathlib import Path
from select import select
from typing import Any, Self

from bench._harness import Measure, Options, Report, Rounds
from bench._peers import Peer, PeerMissing, python_of

__all__ = ["Field", "Process", "answers", "environment"]

ROOT = Path(__file__).parents[1]
_PATIENCE = 10.0
"""Seconds that a contestant has to end."""


def environment(python: str = sys.executable) -> dict[str, str]:
    """What a contestant is started with. A peer finds this folder on its path, and nothing else of ours."""
    paths = os.environ.get("PYTHONPATH", "") if python == sys.executable else ""
    return {
        **os.environ,
        "PYTHONFAULTHANDLER": "1",  # a contestant that crashes says where
        "PYTHONPATH": os.pathsep.join(filter(None, [str(ROOT), paths])),
        "LITELLM_LOCAL_MODEL_COST_MAP": "True",  # otherwise Agent Lightning's import asks the network
    }


class Process:
    """A contestant in a process of its own, which does one workload at a time."""

    def __init__(self, module: str, *, python: str = sys.executable) -> None:
        self.module = module
        self._errors = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the process
        self._program = subprocess.Popen(
            [python, "-P", "-m", f"bench._contestants.{module}"],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=self._errors, env=environment(python), text=True,
        )  # fmt: skip

    @property
    def pid(self) -> int:
        """The process's number."""
        return self._program.pid

    def ask(self, workload: str, **arguments: Any) -> Any:
        """Do a workload; what it found."""
        self.send(workload, **arguments)
        return self.receive()

    def send(self, workload: str, **arguments: Any) -> None:
        """Ask without waiting."""
        assert self._program.stdin is not None
        self._program.stdin.write(json.dumps({"workload": workload, **arguments}) + "\n")
        self._program.stdin.flush()

    def receive(self) -> Any:
        """The answer to what was sent."""
        assert self._program.stdout is not None
        line = self._program.stdout.readline()
        if not line:
            raise RuntimeError(f"{self.module} ended with {self._program.wait()}:\n{self._said()}")
        answer = json.loads(line)
        if "error" in answer:
            raise RuntimeError(f"{self.module}: {answer['error']}")
        return answer["result"]

    def close(self) -> None:
        """Let it end by itself, if it does; what another's failure left at work does not."""
        try:
            self._program.communicate(timeout=_PATIENCE)
        except subprocess.TimeoutExpired:
            self._program.kill()
            self._program.communicate()
        self._errors.close()

    def fileno(self) -> int:
        """Where its answers come from, for whoever waits for the first of several."""
        assert self._program.stdout is not None
        return self._program.stdout.fileno()

    def _said(self) -> str:
        self._errors.seek(0)
        return self._errors.read().decode(errors="replace")[-4000:]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self.close()


def answers(*processes: Process) -> list[Any]:
    """What each answers to what it was sent; the first that fails is not kept waiting by the others."""
    found: dict[Process, Any] = {}
    while len(found) < len(processes):
        ready, _, _ = select([process for process in processes if process not in found], [], [])
        found.update((process, process.receive()) for process in ready)
    return [found[process] for process in processes]


class Field:
    """Starts contestants, remembers which peers could not come, and ends all of them."""

    def __init__(self, options: Options) -> None:
        self._options = options
        self._running = ExitStack()
        self._versions: dict[str, str] = {}
        self._missing: dict[str, None] = {}

    def start(self, module: str) -> Process:
        """A process of `bench/_contestants/MODULE.py`, in this environment."""
        return self._running.enter_context(Process(module))

    def peer(self, peer: Peer) -> Process | None:
        """A peer in its own environment; None when it cannot be installed, or was not wanted."""
        if not self._options.peers:
            return None
        try:
            python = python_of(peer)
        except PeerMissing as missing:
            self._missing[str(missing)] = None
            return None
        self._versions[peer.name] = peer.version
        return self._running.enter_context(Process(peer.name, python=python))

    def report(self, *parts: tuple[Rounds, Iterable[Measure]], notes: Iterable[str] = ()) -> Report:
        """What was found, who took part, and who could not."""
        return Report.of(*parts, notes=notes, versions=self._versions, missing=self._missing)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_exc: object) -> None:
        self._running.close()
