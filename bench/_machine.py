"""Where the figures were taken: machine, versions, and how busy it was."""

from __future__ import annotations

import os
import platform
import sqlite3
import sys
from collections.abc import Mapping, Sequence
from importlib import metadata
from typing import Any

from bench._harness import Spread

__all__ = ["machine"]


def machine(calibration: Sequence[float], peers: Mapping[str, str]) -> dict[str, Any]:
    """What a reader must know before comparing with figures from elsewhere."""
    spread = Spread.of(calibration) if calibration else None
    return {
        "platform": platform.platform(),
        "cpus": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "calibration_ms": {"median": spread.median, "low": spread.low, "high": spread.high} if spread else None,
        "versions": {
            "agl-core": metadata.version("agl-core"),
            "Python": ".".join(map(str, sys.version_info[:3])),
            "SQLite": sqlite3.sqlite_version,
            **peers,
        },
    }
