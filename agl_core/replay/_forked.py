"""The algorithm that forks a rollout, and the runner whose attempts are its forks."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from agl_core.errors import NotReplayable
from agl_core.events import Component, ReplayStarted
from agl_core.record import Draft
from agl_core.replay._again import AgainConfig, prepared
from agl_core.replay._changes import Changes
from agl_core.replay._fork import Fork
from agl_core.replay._original import Original
from agl_core.run import Run
from agl_core.runner import Runner
from agl_core.runner._attempt import Ended
from agl_core.store import AttemptedRollout, Outcome, Rollout

__all__ = ["ForkRunner", "Forked", "ForkedConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class ForkedConfig(AgainConfig):
    """Which rollout, from which call on, how often, and with what changed."""

    fork_at: int = 0
    changed: Mapping[str, Any] = field(default_factory=dict)


class Forked:
    """New rollouts that share a past, and know it as their parent's."""

    name = "fork"

    def __init__(
        self,
        config: ForkedConfig | None = None,
        *,
        found: Original | None = None,
        fork: Fork | None = None,
        changes: Changes | None = None,
        **options: Any,
    ) -> None:
        """Without `fork`, as a log has it: it cannot go on."""
        self.config = config or ForkedConfig(**options)
        self._found, self._fork, self._changes = found, fork, changes or Changes()

    async def run(self, run: Run) -> None:
        """Serve what spoke then, publish what was given then with its changes, hand the task out, say what came."""
        found, fork = self._found, self._fork
        if found is None or fork is None:
            why = "a fork is made in one go: what was recalled is not in its log in the order in which it was asked"
            raise NotReplayable(run.id, why=why, cure="Fork once more with `agl replay ROLLOUT --fork-at STEP`")
        fork.write_to(run.store.log)
        given = self._changes.applied(found.resources)
        bundle = await prepared(run, found, given, others=self.config.others, why=f"fork of {found.rollout_id}")
        outcomes = await run.again(self._task(found.rollout), resources=bundle, times=self.config.times)
        came = {outcome.rollout_id: outcome for outcome in outcomes}
        for branch in fork.branches:
            event = await asyncio.to_thread(branch.finished, _differs(found, came[branch.rollout_id]))
            await asyncio.wrap_future(fork.note(event))

    def _task(self, rollout: Rollout) -> Rollout:
        """As it was handed out; what was set of its sampling goes over what its round had said of it."""
        told = self._changes.sampled
        metadata = dict(rollout.metadata)
        if sampling := metadata.get("sampling"):
            metadata["sampling"] = {name: told.get(name, value) for name, value in sampling.items()}
        # Other seeds than its own: with those, a model that keeps to seeds says what it said. Once each: what departs
        # would depart again.
        config = replace(rollout.config, max_attempts=1)
        return replace(rollout, metadata=metadata, repeat=rollout.repeat + 1, config=config)


class ForkRunner(Runner[Any]):
    """Runs each attempt as a fork."""

    def __init__(self, fork: Fork, *, agent: Component, changes: Changes, options: Mapping[str, Any]) -> None:
        super().__init__()
        self._fork, self._component, self._changes, self._options = fork, agent, changes, options

    async def _run(self, rollout: AttemptedRollout) -> Ended:
        branch = self._fork.branch(rollout.rollout_id, rollout.attempt_id)
        past = self._fork.past
        event = ReplayStarted(
            replay_id=branch.replay_id,
            source=past.source,
            head=past.head,
            rollout_id=past.tape.rollout_id,
            attempt_id=past.tape.attempt_id,
            agent=self._component,
            fork_at=past.count,
            changed=self._changes.to_json(),
            options=self._options,
        )
        stream = f"rollout/{rollout.rollout_id}"
        await self.store.log.soon([Draft(stream=stream, event=event, actor="agl-core replay")])
        self.replaying = branch
        return await super()._run(rollout)


def _differs(found: Original, came: Outcome) -> dict[str, Any]:
    """Where its end is another one than its parent's."""
    both = {
        "reward": (found.reward, came.reward),
        "exit_status": (found.rollout.exit_status, came.exit_status),
    }
    return {name: {"then": then, "now": now} for name, (then, now) in both.items() if then != now}
