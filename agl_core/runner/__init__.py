"""How one attempt runs: claim, enter its context, call the agent, flush, settle."""

from __future__ import annotations

from agl_core.runner._hooks import Hook, QueueHooks
from agl_core.runner._runner import GATEWAY, LitAgentRunner, Runner

__all__ = ["GATEWAY", "Hook", "LitAgentRunner", "QueueHooks", "Runner"]
