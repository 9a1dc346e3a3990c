"""Every way in, on one page.

*Gather* hooks collect from all plugins and fail loudly, naming the plugin. *First* hooks stop at the first answer.
*Notify* hooks are guests: what they raise becomes `plugin.failed`, and the work goes on. Plugins are called A to Z.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from typing import TYPE_CHECKING, Any

import pluggy

if TYPE_CHECKING:
    import click

    from agl_core.adapter import Adapter
    from agl_core.agents import LitAgent
    from agl_core.algorithm import Algorithm, Reaction
    from agl_core.codec import Codec
    from agl_core.engine import Engine
    from agl_core.events import Event, Upcast
    from agl_core.executors import Executor
    from agl_core.export import Exporter
    from agl_core.judges import AskingJudge, Judge
    from agl_core.log import EventLog
    from agl_core.preflight import Check
    from agl_core.record import Draft, Record
    from agl_core.recorder import Recorder
    from agl_core.run import Run
    from agl_core.runner import Runner
    from agl_core.spans import SpanDialect
    from agl_core.store import AttemptedRollout, EnqueueRolloutRequest, Rollout, Store

__all__ = ["hookimpl", "hookspec"]

hookspec = pluggy.HookspecMarker("agl")
hookimpl = pluggy.HookimplMarker("agl")

# --- gather


@hookspec
def agl_register_events() -> Iterable[type[Event] | Upcast]:
    """New facts a plugin may write, and the rungs from their older schemas. Called when a log is opened."""
    raise AssertionError


@hookspec
def agl_register_adapters() -> Mapping[str, type[Adapter[Any]]]:
    """Name to adapter class. Names are unique over all plugins; a clash is refused at start-up."""
    raise AssertionError


@hookspec
def agl_register_algorithms() -> Mapping[str, type[Algorithm]]:
    """Name to algorithm class; its `config` dataclass becomes the options of `agl train`. Import heavy things late."""
    raise AssertionError


@hookspec
def agl_register_judges() -> Mapping[str, type[Judge | AskingJudge]]:
    """Name to judge class: a frozen dataclass whose fields are the options of `agl judge`. Import heavy things late."""
    raise AssertionError


@hookspec
def agl_register_reactions() -> Mapping[str, type[Reaction[Any]]]:
    """Name to reaction class: a frozen dataclass, whose fields are what `agl train --react NAME:FIELD=VALUE` takes.

    Called where a run has reactions. What one raises in a run becomes `plugin.failed`, and the run goes on without it.
    """
    raise AssertionError


@hookspec
def agl_register_dialects() -> Iterable[SpanDialect]:
    """Ways of saying things in a span, asked before those of the core, A to Z; the first that knows a span reads it.

    A module with `NAME` and `read` is one. Derived on read: a dialect that is gone changes no log.
    """
    raise AssertionError


@hookspec
def agl_register_exporters() -> Mapping[str, type[Exporter[Any]]]:
    """Name to exporter class: `agl export NAME` writes rows with it, and its fields are options there.

    Names are unique over all plugins, and `otlp` is the core's. A class is looked at for help, and made when it writes:
    import what it writes with in its `write`.
    """
    raise AssertionError


@hookspec
def agl_register_commands(cli: click.Group) -> None:
    """Add commands to `agl`. Called once, before the command line is read; import heavy things inside commands."""


@hookspec
def agl_register_checks() -> Iterable[Check]:
    """What `agl doctor` looks at beside the core's own checks. A check changes nothing; one that raises, or does not
    end, is a failed check that names the plugin, and the others go on."""  # noqa: D205, D209 - one paragraph
    raise AssertionError


@hookspec
def agl_install_tracer(recorder: Recorder) -> AbstractContextManager[None] | None:
    """A context manager that patches in on enter and out on exit, leaving every name the very object it was.

    Entered once per process. It must never raise into the agent's code.
    """


# --- first answer wins


@hookspec(firstresult=True)
def agl_open_log(
    url: str,
    readonly: bool,  # noqa: FBT001 - hook arguments go by name
    codec: Codec,
    redact: Callable[[Draft], Draft],
) -> EventLog | None:
    """The log at `url` (`sqlite:///path`, a plain path, `:memory:`), or None when the URL is not yours.

    `codec` knows the events of all plugins, `redact` is all of their `agl_redact`: hand both on.
    """


@hookspec(firstresult=True)
def agl_open_engine(url: str, name: str) -> Engine | None:
    """An engine, not started, for a URL such as `transformers:/path/to/model`, that will answer to model `name`."""


@hookspec(firstresult=True)
def agl_open_executor(name: str, config: Mapping[str, Any]) -> Executor | None:
    """The executor of that name (`inprocess`), or None."""


# --- transform


@hookspec
def agl_redact(draft: Draft) -> Draft | None:
    """The draft without what must not be kept, or None when it is fine. Pure; runs before anything is hashed."""


@hookspec
def on_enqueue(
    request: EnqueueRolloutRequest, store: Store
) -> EnqueueRolloutRequest | Awaitable[EnqueueRolloutRequest | None] | None:
    """Before a task is handed out, and before anything is written: the request changed, or None to leave it.

    Its input, config, metadata and resources may change; mode, run, group and keys say which rollout it is. May return
    an awaitable. Asked once for each rollout: what came of it is recorded, and a run that is resumed gets that. What
    it raises becomes `plugin.failed`, and the request goes on as it was.
    """


# --- notify


@hookspec
def agl_recorded(record: Record) -> None:
    """After commit, off the writer's thread, in the writing process only, never for `plugin.*`.

    Read it, keep it, never change it. Three failures switch the plugin's hook off.
    """


@hookspec
def agl_run_started(run: Run) -> None:
    """A run begins, or is resumed."""


@hookspec
def agl_run_finished(run: Run) -> None:
    """A run ended, well or not."""


@hookspec
def on_rollout_start(agent: LitAgent[Any], runner: Runner[Any], rollout: AttemptedRollout) -> Awaitable[None] | None:
    """Before the agent is entered. May return an awaitable; all are awaited, in order."""


@hookspec
def on_trace_start(
    agent: LitAgent[Any], runner: Runner[Any], tracer: Recorder, rollout: AttemptedRollout
) -> Awaitable[None] | None:
    """Inside the attempt's context, right before the agent's code."""


@hookspec
def on_trace_end(
    agent: LitAgent[Any], runner: Runner[Any], tracer: Recorder, rollout: AttemptedRollout
) -> Awaitable[None] | None:
    """Inside the attempt's context, right after the agent's code, also when it raised."""


@hookspec
def on_rollout_end(
    agent: LitAgent[Any], runner: Runner[Any], rollout: AttemptedRollout, spans: Iterable[Any]
) -> Awaitable[None] | None:
    """After the result was recorded and before the attempt is settled; `spans` are those of the attempt.

    Rewards are among them: `agl.find_final_reward(spans)`.
    """


@hookspec
def on_succeeded(rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> Awaitable[None] | None:
    """A rollout came to a good end; `events` is what each attempt left, by its id.

    Called where rollouts are waited for, before whoever waits goes on: a reward given here, with
    `await store.add_reward(rollout.rollout_id, 0.5, judge="name")`, is in the batch. Once for each rollout; again only
    when the process dies in it.
    """


@hookspec
def on_failed(rollout: Rollout, events: Mapping[str, Sequence[Event]], store: Store) -> Awaitable[None] | None:
    """A rollout failed, and is tried no more; otherwise as `on_succeeded`."""
