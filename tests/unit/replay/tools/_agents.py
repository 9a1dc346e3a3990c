"""An agent whose tools are recorded, and what its log has of them."""

from __future__ import annotations

import asyncio

import agl_core as agl
from agl_core.replay._tool_tape import ToolTape


def tape_of(store, rollout):
    """The tools of the attempt that settled the rollout."""
    attempt = asyncio.run(store.get_latest_attempt(rollout.rollout_id))
    return ToolTape.of(store.log, rollout.rollout_id, attempt.attempt_id)


def agent_of(body):
    """One that does `body`, in its loop."""

    @agl.rollout
    async def agent(task):
        done = body()
        if asyncio.iscoroutine(done):
            await done

    return agent
