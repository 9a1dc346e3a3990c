"""The side of a contestant: a line of JSON asks for a workload, a line answers. Runs in any environment."""

from __future__ import annotations

import json
import os
import sys
import traceback
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

__all__ = ["megabytes", "serve"]

Workload = Callable[..., Any]


def serve(workloads: Mapping[str, Workload]) -> None:
    """Do what each line asks for until there are no more.

    Answers go to what was stdout; whatever else is printed goes to stderr, so that no library can break the protocol.
    """
    answers = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)
    for line in sys.stdin:
        asked = json.loads(line)
        try:
            answer = {"result": workloads[asked.pop("workload")](**asked)}
        except Exception:  # noqa: BLE001 - whoever asked must hear of it
            answer = {"error": traceback.format_exc()}
        answers.write(json.dumps(answer) + "\n")
        answers.flush()


def megabytes() -> float:
    """Resident memory of this process now; not a number where there is no /proc."""
    try:
        pages = int(Path("/proc/self/statm").read_text().split()[1])
    except OSError:
        return float("nan")
    return pages * os.sysconf("SC_PAGE_SIZE") / 2**20
