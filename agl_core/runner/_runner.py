"""The runner: takes rollouts one after the other and runs the agent on them."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from typing import Generic, Protocol, TypeVar

from agl_core.agents import LitAgent
from agl_core.emit import returned
from agl_core.errors import AglError, BadValue, EngineFailed, UnknownId
from agl_core.events import AttemptStarted, ExitStatus, RewardGiven
from agl_core.ids import new_id
from agl_core.recorder import Recorder, Replaying, Scope, attributed, carry, numbered
from agl_core.resources import LLM, NamedResources, ProxyLLM, Resource
from agl_core.runner import _hooks
from agl_core.runner._attempt import Ended, run_agent
from agl_core.runner._hooks import Hook
from agl_core.store import AttemptedRollout, Rollout, Span, Store

__all__ = ["GATEWAY", "LitAgentRunner", "Runner"]

GATEWAY = "gateway:"
"""Endpoint of an LLM that is served behind whichever gateway the process has: ports change, resources do not."""
T = TypeVar("T")
_log = logging.getLogger(__name__)


class StopSignal(Protocol):
    """What tells a runner to take no more."""

    def is_set(self) -> bool: ...


class Runner(Generic[T]):
    """Runs one agent on rollouts of one store.

    `gateway` is the base URL of the gateway that `gateway:` endpoints mean. `max_rollouts` is how many it takes
    before it stops by itself. `replaying` is the replay that its attempts are run again in.
    """

    def __init__(
        self,
        tracer: Recorder | None = None,
        max_rollouts: int | None = None,
        *,
        gateway: str | None = None,
        patience: float = 0.5,
        replaying: Replaying | None = None,
    ) -> None:
        self.tracer = tracer
        self.max_rollouts = max_rollouts
        self.gateway = gateway
        self.replaying = replaying
        self._patience = patience
        self.worker_id = new_id("wk")
        self._agent: LitAgent[T] | None = None
        self._store: Store | None = None
        self._hooks: Sequence[Hook] = ()

    def init(self, agent: LitAgent[T], hooks: Sequence[Hook] | Hook | None = None) -> None:
        """Say which agent to run."""
        self._agent = agent
        agent.set_runner(self)
        self._hooks = [hooks] if isinstance(hooks, Hook) else list(hooks or ())

    def init_worker(self, worker_id: int | str, store: Store) -> None:
        """Say where rollouts come from, and under which name they are taken."""
        self.worker_id = worker_id if isinstance(worker_id, str) else f"Worker-{worker_id}"
        self._store = store
        self.tracer = self.tracer or Recorder(store.log)

    @property
    def store(self) -> Store:
        """Where rollouts come from."""
        if self._store is None:
            raise BadValue("runner", self.worker_id, why="it has no store: call init_worker, or use run_context")
        return self._store

    @property
    def agent(self) -> LitAgent[T]:
        """What it runs."""
        if self._agent is None:
            raise BadValue("runner", self.worker_id, why="it has no agent: call init, or use run_context")
        return self._agent

    @contextmanager
    def run_context(
        self,
        *,
        agent: LitAgent[T],
        store: Store,
        hooks: Sequence[Hook] | None = None,
        worker_id: int | str | None = None,
    ) -> Iterator[Runner[T]]:
        """A runner ready for `step` and `iter`, without a Trainer."""
        self.init(agent, hooks)
        self.init_worker(worker_id if worker_id is not None else self.worker_id, store)
        yield self

    async def iter(self, *, event: StopSignal | None = None) -> int:
        """Take rollouts until `event` is set, `max_rollouts` were taken, or the task is cancelled; how many."""
        taken = 0
        while not (event and event.is_set()) and (self.max_rollouts is None or taken < self.max_rollouts):
            rollout = await self.store.dequeue_rollout(self.worker_id, timeout=self._patience if event else None)
            if rollout is None:
                continue
            taken += 1
            _log.debug("%s: task received %s", self.worker_id, rollout.rollout_id)
            await self._run(rollout)
        return taken

    async def step(
        self,
        input: T,
        *,
        resources: NamedResources | None = None,
        mode: str | None = None,
        event: StopSignal | None = None,
    ) -> Rollout:
        """Run the agent on one task, past the queue. What the agent raises is raised here, once it is recorded."""
        bundle = await self.store.add_resources(resources) if resources is not None else None
        rollout = await self.store.start_rollout(
            input, mode, bundle.resources_id if bundle else None, worker_id=self.worker_id
        )
        ended = await self._run(rollout)
        if ended.raised is not None:
            raise ended.raised
        return await self.store.get_rollout_by_id(rollout.rollout_id)

    async def run(self, rollout: AttemptedRollout) -> Rollout:
        """Run the agent on an attempt that somebody has begun for it; what became of the rollout."""
        await self._run(rollout)
        return await self.store.get_rollout_by_id(rollout.rollout_id)

    async def _run(self, rollout: AttemptedRollout) -> Ended:
        assert self.tracer is not None
        scope = Scope(
            recorder=self.tracer,
            run_id=rollout.run_id,
            rollout_id=rollout.rollout_id,
            attempt_id=rollout.attempt_id,
            gateway=self.gateway,
            key=self.store.ask.attempt_key(rollout.attempt_id),
            replaying=self.replaying,
        )
        try:
            ended = await self._attempt(rollout, scope)
        except asyncio.CancelledError:
            # The worker stops, not the rollout: somebody else will run it.
            await asyncio.shield(self._give_back(rollout))
            raise
        return ended

    async def _attempt(self, rollout: AttemptedRollout, scope: Scope) -> Ended:
        self.agent.set_runner(self)  # in this context: other runners may run the same agent
        arguments = {"agent": self.agent, "runner": self, "rollout": rollout}
        try:
            resources = await self._resources(rollout)
        except AglError as error:
            ended = Ended("agent_raised", error=f"[{error.code}] {error}", raised=error)
        else:
            await _hooks.call(self._hooks, "on_rollout_start", **arguments)
            stop = self.replaying.departed if self.replaying is not None else None
            carry()
            with attributed(scope), numbered():
                await _hooks.call(self._hooks, "on_trace_start", tracer=self.tracer, **arguments)
                ended = await run_agent(self.agent, rollout, resources, stop=stop)
                await _hooks.call(self._hooks, "on_trace_end", tracer=self.tracer, **arguments)
        ended = await self._keep(ended, rollout, scope)
        if self._hooks:
            spans: Sequence[Span] = ()
            with suppress(UnknownId):  # it was deleted meanwhile
                spans = await self.store.query_spans(rollout.rollout_id, rollout.attempt_id)
            await _hooks.call(self._hooks, "on_rollout_end", spans=spans, **arguments)
        finished = await self.store.finish_attempt(rollout.attempt, self._explained(ended, rollout), error=ended.error)
        _log.log(
            logging.WARNING if ended.error else logging.DEBUG,
            "%s: attempt %s finished: %s%s%s",
            self.worker_id,
            rollout.attempt_id,
            finished.exit_status,
            " (too late, not counted)" if finished.late else "",
            f": {ended.error}" if ended.error else "",
        )
        return ended

    async def _keep(self, ended: Ended, rollout: AttemptedRollout, scope: Scope) -> Ended:
        """Write the result down, and wait until everything the attempt emitted has landed."""
        assert self.tracer is not None
        try:
            for event in returned(ended.result, scope):
                scope.expect(self.tracer.record(event, scope))
                if isinstance(event, RewardGiven):
                    _log.debug("%s: reward %s of %s recorded", self.worker_id, event.value, rollout.rollout_id)
        except AglError as error:
            ended = replace(ended, exit_status="agent_raised", error=f"[{error.code}] {error}", raised=error)
        lost = await self._landed(scope)
        if lost is None:
            return ended
        with suppress(AglError):  # it fails as the first did, or says which calls are missing
            await asyncio.wrap_future(self.tracer.own_up())
        code = lost.code if isinstance(lost, AglError) else type(lost).__name__
        return replace(ended, exit_status="capture_lost", error=f"[{code}] {lost}", raised=lost)

    async def _landed(self, scope: Scope) -> BaseException | None:
        """What kept the first write from landing that failed, if one did."""
        assert self.tracer is not None
        lost: BaseException | None = None
        for write in [*scope.pending, *self.tracer.of_children(scope.attempt_id)]:
            if not write.done():
                # Nothing is raised here: those after one that failed are to land too.
                await asyncio.gather(asyncio.wrap_future(write), return_exceptions=True)
            lost = lost or write.exception()
        return lost

    def _explained(self, ended: Ended, rollout: AttemptedRollout) -> ExitStatus:
        """What an exception, or a time-out, stands for: the calls of the attempt tell."""
        if ended.exit_status not in {"agent_raised", "timeout"}:
            return ended.exit_status
        calls = self.store.log.rows(
            "select status, error, latency from calls where attempt_id = ? order by position", (rollout.attempt_id,)
        )
        if ended.exit_status == "timeout":
            waited = sum(latency for _, _, latency in calls)
            limit = rollout.config.timeout_seconds
            return "stalled" if limit is not None and waited > limit / 2 else "timeout"
        _, error, _ = calls[-1] if calls else ("ok", None, 0.0)
        if error and "context_length_exceeded" in error:
            return "prompt_too_long"
        if error and any(code in error for code in _ENDPOINT_DOWN):
            return "endpoint_down"
        return "agent_raised"

    async def _resources(self, rollout: AttemptedRollout) -> dict[str, Resource]:
        if rollout.resources_id is None:
            return {}
        bundle = await self.store.get_resources_by_id(rollout.resources_id, rollout.resources_version)
        _log.debug("%s: resources %s@%d fetched", self.worker_id, bundle.resources_id, bundle.version)
        return {
            name: self._bound(name, bundle.resources_id, inner, rollout) for name, inner in bundle.resources.items()
        }

    def _bound(self, name: str, resources_id: str, resource: Resource, rollout: AttemptedRollout) -> Resource:
        """The resource as this attempt uses it: its own URL and key, the sampling its rollout asks for."""
        if not isinstance(resource, LLM):
            return resource
        sampling = {**resource.sampling_parameters, **rollout.metadata.get("sampling", {})}
        if not isinstance(resource, ProxyLLM):
            key = self.store.api_key(resources_id, name)
            return replace(resource, api_key=key, sampling_parameters=sampling)
        if resource.endpoint.startswith(GATEWAY):
            if self.gateway is None:
                raise EngineFailed(resource.endpoint, why="this runner has no gateway; run it under a Trainer")
            resource = replace(resource, endpoint=self.gateway + resource.endpoint.removeprefix(GATEWAY))
        key = self.store.ask.attempt_key(rollout.attempt_id)
        return replace(resource.with_attempted_rollout(rollout), api_key=key, sampling_parameters=sampling)

    async def _give_back(self, rollout: AttemptedRollout) -> None:
        attempt = rollout.attempt
        await self.store.give_back(
            AttemptStarted(
                rollout_id=rollout.rollout_id,
                attempt_id=attempt.attempt_id,
                sequence=attempt.sequence_id,
                worker_id=self.worker_id,
                token=attempt.token,
            )
        )


_ENDPOINT_DOWN = ("endpoint_down", "upstream_unreachable", "upstream_timeout", "ENGINE_FAILED")


class LitAgentRunner(Runner[T]):
    """Agent Lightning's name for it."""
