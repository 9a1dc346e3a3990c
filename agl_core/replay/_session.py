"""Attempts that are run again: a log of their own, a gateway that remembers, and every lifetime in between."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Collection, Mapping, Sequence
from concurrent.futures import Future
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent
from agl_core.errors import ReplayError, UnknownId
from agl_core.events import (
    CallRecorded,
    Component,
    PluginFailed,
    ReplayDeparted,
    ReplayFinished,
    ReplayStarted,
    RunStarted,
)
from agl_core.gateway import Gateway, Question
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Draft
from agl_core.recorder import Recorder, ToolWay
from agl_core.replay._alike import Alike
from agl_core.replay._ending import Ending, ending
from agl_core.replay._matching import Matcher
from agl_core.replay._recording import Recording
from agl_core.replay._remembering import OnCall, Remembering
from agl_core.replay._tools import RecordedTools
from agl_core.replay.network import Denied, no_network
from agl_core.resources import LLM, ProxyLLM, dump, load
from agl_core.runner import GATEWAY, Runner
from agl_core.store import Store

__all__ = ["Options", "Replayed", "Session", "session"]

_log = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class Options:
    """How what is asked is compared with what was, and what tools are to do."""

    strict: bool = False
    ignore: Sequence[str] = ()
    tools: Mapping[str, ToolWay] = field(default_factory=dict)
    on_call: OnCall | None = None
    is_timed: bool = True
    """Whether the agent's time-out holds; not where somebody looks at each call."""
    allow_network: bool = False
    """Whether code of agents may reach other machines."""

    def to_json(self) -> dict[str, Any]:
        """As the log keeps them."""
        said = {
            "strict": self.strict, "ignore": list(self.ignore), "tools": dict(self.tools),
            "allow_network": self.allow_network,
        }  # fmt: skip
        return {name: value for name, value in said.items() if value}


@dataclass(frozen=True, slots=True, kw_only=True)
class Replayed:
    """What came of one attempt that was run again."""

    replay_id: str
    rollout_id: str
    attempt_id: str
    log: Path
    """The replay's own."""
    departed: ReplayError | None
    """Why it was stopped, if it was."""
    calls: int
    """Recorded."""
    answered: int
    """Model calls that were answered from the log."""
    tools: int
    """Tool calls that were."""
    denied: tuple[str, ...]
    """Other machines that code of this process wanted to reach meanwhile, and could not."""
    plugins: Mapping[str, tuple[str | None, str | None]]
    """Plugins that were there then and are others now, or gone: name to version then, and now."""
    then: Ending
    now: Ending
    differs: Mapping[str, Any]
    """What ended otherwise: `reward`, `exit_status`, `unasked` to what was and what is."""

    @property
    def is_same(self) -> bool:
        """Whether all that was done then was done again, and ended as it did."""
        return self.departed is None and not self.differs


class Session:
    """Runs attempts of one log again, each once."""

    def __init__(self, source: SqliteLog, log: SqliteLog, *, plugins: Plugins, options: Options) -> None:
        self.source, self.log, self.plugins, self.options = source, log, plugins, options
        self.store = Store(log)
        self.recorder = Recorder(log)
        self.models: Collection[str] = frozenset()
        self.denied = Denied()
        self._base = ""
        self._attempts: dict[str, Remembering] = {}

    async def start(self, gateway: Gateway) -> None:
        """Listen."""
        self._base = await gateway.start()

    async def recall(self, question: Question) -> CallRecorded | None:
        """What the attempt's tape says."""
        attempt = self._attempts.get(question.admission.attempt_id)
        if attempt is None:
            raise UnknownId("attempt", question.admission.attempt_id)
        return await attempt.recall(question)

    async def replay(
        self, recording: Recording, agent: LitAgent[Any], component: Component, *, replay_id: str | None = None
    ) -> Replayed:
        """Run it again, to its end, or to where it departs from what is recorded."""
        replay_id = replay_id or new_id("rp")
        going = _Going(self, recording, replay_id)
        self._attempts[recording.attempt_id] = going.remembering
        self.models = {*self.models, *recording.models()}
        await self._prepare(recording, replay_id, component)
        runner: Runner[Any] = Runner(self.recorder, gateway=self._base, replaying=going.tools)
        rollout = await self.store.start_attempt(recording.rollout_id, again=recording.started)
        with runner.run_context(agent=agent, store=self.store):
            await runner.run(rollout)
        del self._attempts[recording.attempt_id]
        return await going.finished(self.denied.addresses)

    async def _prepare(self, recording: Recording, replay_id: str, component: Component) -> None:
        """Say what is to be done, and put the task where a runner finds it, with what it was given."""
        asked, given = recording.enqueued, recording.resources
        config = replace(asked.config, max_attempts=1, retry_condition=())
        if not self.options.is_timed:
            config = replace(config, timeout_seconds=None)
        started = ReplayStarted(
            replay_id=replay_id,
            source=recording.source,
            head=recording.head,
            rollout_id=recording.rollout_id,
            attempt_id=recording.attempt_id,
            agent=component,
            options=self.options.to_json(),
        )
        stream = f"rollout/{recording.rollout_id}"
        if given is not None:
            event = replace(given, resources={name: _bound(one) for name, one in given.resources.items()})
            key = f"resources/{given.resources_id}@{given.version}"
            await self.log.soon([Draft(stream=f"resources/{given.resources_id}", event=event, key=key)])
        await self.log.soon([
            Draft(stream=stream, event=replace(asked, config=config), correlation_id=asked.run_id or asked.rollout_id),
            Draft(stream=stream, event=started, correlation_id=replay_id),
        ])  # fmt: skip


class _Going:
    """One attempt under way: what its code asks, and what is heard of it."""

    def __init__(self, session: Session, recording: Recording, replay_id: str) -> None:
        options, redact = session.options, session.plugins.redact
        self._session, self._recording, self._replay_id = session, recording, replay_id
        self._matcher = Matcher(recording.tape, strict=options.strict, ignore=options.ignore)
        departed: Future[None] = Future()
        # The first to hear it: what stops the agent finds it written down.
        departed.add_done_callback(self._departed)
        self.remembering = Remembering(
            self._matcher, redact=redact, departed=departed, on_call=options.on_call, began_at=recording.started_at
        )
        self.tools = RecordedTools(
            recording.tools,
            ways=options.tools,
            alike=Alike(strict=options.strict, ignore=options.ignore),
            origin=self.remembering.origin,
            redact=redact,
            departed=departed,
        )

        self.tools.is_timed = options.is_timed

    def _departed(self, departed: Future[None]) -> None:
        error = departed.exception()
        if not isinstance(error, ReplayError):
            return
        self._append(
            ReplayDeparted(
                replay_id=self._replay_id,
                rollout_id=self._recording.rollout_id,
                code=error.code,
                why=str(error),
                recorded=error.facts.get("recorded"),
                difference=tuple(error.facts.get("difference", ())),
            )
        )

    async def finished(self, denied: tuple[str, ...]) -> Replayed:
        """How it ended, beside how it did then."""
        recording, log = self._recording, self._session.log
        then, now = ending(recording), ending(Recording.of(log, recording.rollout_id, recording.attempt_id))
        departed = self.tools.departed.exception() if self.tools.departed.done() else None
        differs: dict[str, Any] = then.differs(now) if departed is None else {}
        calls = (one.call_id for one in self._matcher.left() if not self.tools.covers(one.call))
        unasked = [*calls, *(one.span_id for one in self.tools.left())]
        if departed is None and unasked:
            differs["unasked"] = unasked
        event = ReplayFinished(
            replay_id=self._replay_id,
            rollout_id=recording.rollout_id,
            outcome="departed" if departed is not None or differs else "same",
            answered=self._matcher.answered,
            tools=self.tools.answered,
            differs=differs,
        )
        await asyncio.to_thread(self._append, event)
        return Replayed(
            replay_id=self._replay_id,
            rollout_id=recording.rollout_id,
            attempt_id=recording.attempt_id,
            log=log.path,
            departed=departed if isinstance(departed, ReplayError) else None,
            calls=len(recording.tape),
            answered=self._matcher.answered,
            tools=self.tools.answered,
            denied=denied,
            plugins=_changed(recording.plugins, self._session.plugins),
            then=then,
            now=now,
            differs=differs,
        )

    def _append(self, event: ReplayDeparted | ReplayFinished) -> None:
        stream = f"rollout/{self._recording.rollout_id}"
        self._session.log.append([Draft(stream=stream, event=event, correlation_id=self._replay_id)])


@asynccontextmanager
async def session(
    source: SqliteLog,
    into: Path,
    *,
    plugins: Plugins,
    options: Options,
    run: RunStarted | None = None,
) -> AsyncIterator[Session]:
    """While it lasts, attempts of `source` can be run again, into a log of their own; those of `run`, if it is one."""
    overrides = run.config.sampling if run is not None else {}
    with plugins.open_log(str(into)) as log:
        made = Session(source, log, plugins=plugins, options=options)
        gateway = Gateway(made.recorder, made.store.ask, log=log, overrides=overrides, memory=made)
        try:
            await made.start(gateway)
            with ExitStack() as closing:
                if not options.allow_network:
                    made.denied = closing.enter_context(no_network())
                closing.enter_context(plugins.tracing(made.recorder, _untraced(log)))
                yield made
        finally:
            await gateway.stop()
            made.store.close()


def _changed(then: Mapping[str, str | None], plugins: Plugins) -> dict[str, tuple[str | None, str | None]]:
    now = {one.name: one.version for one in plugins.loaded if not one.error}
    others = [name for name, version in then.items() if name not in now or now[name] != version]
    return {name: (then[name], now.get(name)) for name in others}


def _untraced(log: SqliteLog) -> Callable[[PluginFailed], None]:
    def untraced(event: PluginFailed) -> None:
        _log.warning("tracer %s cannot attach, and the replay goes on without it: %s", event.name, event.why)
        log.submit([Draft(stream="log", event=event)])

    return untraced


def _bound(resource: Mapping[str, Any]) -> dict[str, Any]:
    """As it was given; every model behind the gateway of the replay, whoever served it then."""
    loaded = load(resource)
    if not isinstance(loaded, LLM):
        return dict(resource)
    sampling = dict(loaded.sampling_parameters)
    return dump(ProxyLLM(endpoint=f"{GATEWAY}/v1", model=loaded.model, sampling_parameters=sampling))
