"""Models that agents ask: engines of ours that can be given new weights, and those that others serve."""

from __future__ import annotations

from agl_core.engine._engine import Checkpoint, Endpoint, Engine
from agl_core.engine._hosted import Hosted
from agl_core.engine._loopback import Answer, Loopback, Refusal
from agl_core.engine._places import refuse_strange

__all__ = ["Answer", "Checkpoint", "Endpoint", "Engine", "Hosted", "Loopback", "Refusal", "refuse_strange"]
