"""Pre-flight and doctor: what would waste a run is found on one rollout, or on none."""

from __future__ import annotations

from agl_core.preflight._check import Check, Finding, Given, examined, looked, told
from agl_core.preflight._codes import DOCTOR, page_of
from agl_core.preflight._evidence import Evidence, compared, faults, gathered
from agl_core.preflight._needs import Learns, Need, foreseen, needs_of
from agl_core.preflight._own import CHECKS
from agl_core.preflight._probe import Probe
from agl_core.preflight._scout import Preflight, judge

__all__ = [
    "CHECKS",
    "DOCTOR",
    "Check",
    "Evidence",
    "Finding",
    "Given",
    "Learns",
    "Need",
    "Preflight",
    "Probe",
    "compared",
    "examined",
    "faults",
    "foreseen",
    "gathered",
    "judge",
    "looked",
    "needs_of",
    "page_of",
    "told",
]
