"""Everything we raise: one tree, each leaf with a code, what happened, and the cure.

    AglError
    ├── LogError        VersionConflict KeyReused LogCorrupt LogTooNew LogReadOnly LogNotFound LogUnsupported
    │                   LogBusy LogExists LogGone LogFull DiskFailed ContentErased BadQuery QueryCut
    ├── CodecError      UpcastGap BadPayload
    ├── StoreError      UnknownId BadValue LeaseLost RunHeld OutsideAttempt AlreadySettled
    ├── PluginError     MissingExtra PluginBroken UnknownName
    ├── RunError        ReplayDiverged AmbiguousLabel RunNotImportable RunNotResumable NoTrainingData NotFast
    │                   NotImportable NoRunnersLeft RewardMissing CaptureNone StepFailed
    └── EngineError     ModelNotFound PromptTooLong PolicyNotLoaded PortBusy EngineFailed

A bug raises a plain `AssertionError` or `TypeError`; those are not ours to catch.
"""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches
from reprlib import Repr
from typing import Any, ClassVar

__all__ = [
    "AglError",
    "AlreadySettled",
    "AmbiguousLabel",
    "BadPayload",
    "BadQuery",
    "BadValue",
    "CaptureNone",
    "CodecError",
    "ContentErased",
    "DiskFailed",
    "EngineError",
    "EngineFailed",
    "KeyReused",
    "LeaseLost",
    "LogBusy",
    "LogCorrupt",
    "LogError",
    "LogExists",
    "LogFull",
    "LogGone",
    "LogNotFound",
    "LogReadOnly",
    "LogTooNew",
    "LogUnsupported",
    "MissingExtra",
    "ModelNotFound",
    "NoRunnersLeft",
    "NoTrainingData",
    "NotFast",
    "NotImportable",
    "OutsideAttempt",
    "PluginBroken",
    "PluginError",
    "PolicyNotLoaded",
    "PortBusy",
    "PromptTooLong",
    "QueryCut",
    "ReplayDiverged",
    "RewardMissing",
    "RunError",
    "RunHeld",
    "RunNotImportable",
    "RunNotResumable",
    "StepFailed",
    "StoreError",
    "UnknownId",
    "UnknownName",
    "UpcastGap",
    "VersionConflict",
]


class AglError(Exception):
    """The root: catch this to catch everything that is ours."""

    code: ClassVar[str] = "AGL_ERROR"
    """A stable name for programs; the message is for people."""

    def __init__(self, message: str, **facts: Any) -> None:
        super().__init__(message)
        self.facts: dict[str, Any] = facts

    def __getattr__(self, name: str) -> Any:
        """The facts of the error, as attributes."""
        facts = self.__dict__.get("facts", {})
        if name in facts:
            return facts[name]
        raise AttributeError(name)

    def __reduce__(self) -> tuple[Any, ...]:
        """An error crosses to another process as it is: the builders take other arguments than they pass on."""
        return _again, (type(self), str(self), self.facts)


def _again(cls: type[AglError], message: str, facts: dict[str, Any]) -> AglError:
    error = cls.__new__(cls)
    AglError.__init__(error, message, **facts)
    return error


# --- the log


class LogError(AglError):
    """The log refused, or cannot be what it should be."""

    code = "LOG_ERROR"


class VersionConflict(LogError):
    """Somebody else wrote to the stream first."""

    code = "VERSION_CONFLICT"

    def __init__(self, stream: str, *, expected: int, actual: int) -> None:
        super().__init__(
            f"stream {stream!r} is at version {actual}, not {expected}: read it again, then decide again",
            stream=stream,
            expected=expected,
            actual=actual,
        )


class KeyReused(LogError):
    """An idempotency key came back with other content."""

    code = "KEY_REUSED"

    def __init__(self, key: str, *, position: int, differs: str) -> None:
        super().__init__(
            f"key {key!r} already names the event at position {position}, with another {differs}: "
            "use a new key for a new fact",
            key=key,
            position=position,
            differs=differs,
        )


class LogCorrupt(LogError):
    """The file is not a log, or is damaged."""

    code = "LOG_CORRUPT"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"{path} cannot be read as a log: {why}. Restore a copy, or save what is left with "
            f"`agl log recover {path} NEW`",
            path=path,
            why=why,
        )


class LogTooNew(LogError):
    """The file was written by a later release."""

    code = "LOG_TOO_NEW"

    def __init__(self, path: str, *, what: str, found: int, known: int) -> None:
        super().__init__(
            f"{path} has {what} at version {found}; this release knows {known}: upgrade agl-core to open it",
            path=path,
            what=what,
            found=found,
            known=known,
        )


class LogReadOnly(LogError):
    """This process may read the log, and not write to it."""

    code = "LOG_READ_ONLY"

    def __init__(self, path: str, *, why: str, cure: str) -> None:
        super().__init__(f"{path} is open for reading only: {why}. {cure}", path=path, why=why, cure=cure)


class LogNotFound(LogError):
    """There is no log at that place."""

    code = "LOG_NOT_FOUND"

    def __init__(self, url: str) -> None:
        super().__init__(f"no log at {url}: check the path, or start a run with `--log {url}`", url=url)


class LogExists(LogError):
    """A copy would be written over something."""

    code = "LOG_EXISTS"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is there already: choose another name, or remove it first", path=path)


class LogGone(LogError):
    """The file is not where it was opened any more: what would be written to it now, nobody would ever read."""

    code = "LOG_GONE"

    def __init__(self, path: str) -> None:
        super().__init__(
            f"{path} was removed or replaced while it was open: nothing was written. Put the file back, or open the "
            "log again to begin a new one",
            path=path,
        )


class LogFull(LogError):
    """There is no space left for what was to be written; nothing of it was."""

    code = "LOG_FULL"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"{path} cannot grow: {why}. Nothing was written; make space, and write again: the log goes on",
            path=path,
            why=why,
        )


class DiskFailed(LogError):
    """The disk did not do what it was told."""

    code = "DISK_FAILED"

    def __init__(self, path: str, *, why: str) -> None:
        super().__init__(
            f"{path} could not be read or written: {why}. What was not acknowledged may be lost; look at the disk, "
            "then run `agl log verify --deep`",
            path=path,
            why=why,
        )


class ContentErased(LogError):
    """What was asked for was erased from the log on purpose."""

    code = "CONTENT_ERASED"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"the content of {what} was erased on purpose: `blobs.erased` in the log says when and why; only a copy "
            "made before has it",
            what=what,
        )


class LogUnsupported(LogError):
    """No plugin opens this URL, or a live run must not write there."""

    code = "LOG_UNSUPPORTED"

    def __init__(self, url: str, *, why: str, cure: str) -> None:
        super().__init__(f"cannot open {url!r} as a log: {why}. {cure}", url=url, why=why, cure=cure)


class LogBusy(LogError):
    """Somebody else held the file for longer than we wait."""

    code = "LOG_BUSY"

    def __init__(self, path: str) -> None:
        super().__init__(f"{path} is being written by another process: wait for it, and try again", path=path)


class BadQuery(LogError):
    """A query that cannot be answered from the log."""

    code = "BAD_QUERY"

    def __init__(self, why: str) -> None:
        super().__init__(f'{why.strip()}\n`agl log query "show tables"` lists what there is to ask', why=why)


class QueryCut(LogError):
    """A query was stopped before its answer was whole."""

    code = "QUERY_CUT"

    def __init__(self, at: str, *, cure: str) -> None:
        super().__init__(f"the answer was cut at {at}, and there is more. {cure}", at=at, cure=cure)


# --- the codec


class CodecError(AglError):
    """An event could not be written down or read back."""

    code = "CODEC_ERROR"


class UpcastGap(CodecError):
    """The ladder from an old schema to today's misses a rung, or has one too many."""

    code = "UPCAST_GAP"

    def __init__(self, type_: str, *, schema: int, why: str) -> None:
        super().__init__(
            f"event type {type_!r} has no single way up from schema {schema}: {why}", type=type_, schema=schema, why=why
        )


class BadPayload(CodecError):
    """The data of an event does not fit its type."""

    code = "BAD_PAYLOAD"

    def __init__(self, type_: str, *, why: str) -> None:
        super().__init__(f"data of {type_!r} does not fit: {why}", type=type_, why=why)


# --- the store


class StoreError(AglError):
    """A command or a query the domain cannot honour."""

    code = "STORE_ERROR"


class UnknownId(StoreError):
    """Nothing has that id."""

    code = "UNKNOWN_ID"

    def __init__(self, kind: str, id_: str) -> None:
        lists = "rollouts" if kind == "attempt" else f"{kind.removesuffix('s')}s"  # attempts are shown with theirs
        shows = '`agl log query "from workers"`' if kind == "worker" else f"`agl {lists} list`"
        super().__init__(f"no {kind} {id_!r} in this log: {shows} shows what there is", kind=kind, id=id_)


class BadValue(StoreError):
    """A value from outside that no fact may carry."""

    code = "BAD_VALUE"

    def __init__(self, what: str, value: object, *, why: str) -> None:
        super().__init__(f"{what} = {_shown(value)} is refused: {why}", what=what, value=value, why=why)


def _shown(value: object) -> str:
    """A value may be a whole data set, or too deep for `repr`: its beginning is enough to know it by."""
    short = Repr()
    short.maxlevel, short.maxstring, short.maxother = 3, 200, 200
    return short.repr(value)


class LeaseLost(StoreError):
    """The attempt belongs to nobody any more, or to somebody else."""

    code = "LEASE_LOST"

    def __init__(self, attempt_id: str, *, why: str) -> None:
        super().__init__(
            f"attempt {attempt_id} is no longer yours: {why}; its result is kept in the log and never trained on",
            attempt_id=attempt_id,
            why=why,
        )


class RunHeld(StoreError):
    """Another living process drives this run."""

    code = "RUN_HELD"

    def __init__(self, run_id: str, *, holder: str) -> None:
        super().__init__(
            f"run {run_id} is held by {holder}: wait for it, or stop that process first", run_id=run_id, holder=holder
        )


class OutsideAttempt(StoreError):
    """Something was emitted where no attempt is under way."""

    code = "OUTSIDE_ATTEMPT"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"{what} belongs to an attempt, and none is under way here: call it inside an agent that a Runner or "
            "Trainer runs, or pass propagate=False",
            what=what,
        )


class AlreadySettled(StoreError):
    """It has come to its end, and ends are final."""

    code = "ALREADY_SETTLED"

    def __init__(self, kind: str, id_: str, *, status: str) -> None:
        super().__init__(
            f"{kind} {id_} is {status}, and that is final: enqueue the task again for another try",
            kind=kind,
            id=id_,
            status=status,
        )


# --- plugins and registries


class PluginError(AglError):
    """A plugin is missing, broken, or misused."""

    code = "PLUGIN_ERROR"


class MissingExtra(PluginError):
    """An optional dependency is not installed."""

    code = "MISSING_EXTRA"

    def __init__(self, module: str, *, install: str) -> None:
        super().__init__(f"{module} is not installed: run `{install}`", module=module, install=install)


class PluginBroken(PluginError):
    """A plugin that was required could not be loaded, or answered a hook wrongly."""

    code = "PLUGIN_BROKEN"

    def __init__(self, plugin: str, *, why: str) -> None:
        super().__init__(f"plugin {plugin!r} is broken: {why}. `agl plugins` lists all", plugin=plugin, why=why)


class UnknownName(PluginError):
    """No component goes by that name."""

    code = "UNKNOWN_NAME"

    def __init__(self, kind: str, name: str, *, known: Iterable[str] = (), cure: str = "") -> None:
        names = sorted(known)
        near = get_close_matches(name, names, n=1)
        hint = f"did you mean {near[0]!r}?" if near else f"known: {', '.join(names) or 'none'}"
        super().__init__(
            f"no {kind} is called {name!r}; {hint}" + (f" {cure}" if cure else ""), kind=kind, name=name, known=names
        )


# --- runs


class RunError(AglError):
    """A run cannot start, or cannot go on."""

    code = "RUN_ERROR"


class ReplayDiverged(RunError):
    """Today's code asks for something else than the log remembers."""

    code = "REPLAY_DIVERGED"

    def __init__(self, key: str, *, position: int, recorded: str, asked: str) -> None:
        super().__init__(
            f"movement {key!r} is recorded at position {position} as {recorded}, the code now asks for {asked}: "
            "run the code that wrote the log, or start a new run",
            key=key,
            position=position,
            recorded=recorded,
            asked=asked,
        )


class AmbiguousLabel(RunError):
    """Two movements under way share scope, kind and label, so that their order is chance."""

    code = "AMBIGUOUS_LABEL"

    def __init__(self, kind: str, label: str) -> None:
        super().__init__(
            f"two {kind} movements labelled {label!r} are under way at once: give each its own `run.scope(name)`",
            kind=kind,
            label=label,
        )


class RunNotImportable(RunError):
    """The run's agent or algorithm cannot be found again by name."""

    code = "RUN_NOT_IMPORTABLE"

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(
            f"{what} cannot be imported again ({why}): resume from the code that has it, "
            "with `trainer.fit(..., resume=run_id)`",
            what=what,
            why=why,
        )


class NotImportable(RunError):
    """What was named on the command line cannot be imported."""

    code = "NOT_IMPORTABLE"

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(
            f"{what} cannot be imported: {why}. Write it as `module:name`, with the module in this folder or installed",
            what=what,
            why=why,
        )


class RunNotResumable(RunError):
    """The run cannot go on from its log."""

    code = "RUN_NOT_RESUMABLE"

    def __init__(self, run_id: str, *, why: str) -> None:
        super().__init__(f"run {run_id} cannot be resumed: {why}", run_id=run_id, why=why)


class NoTrainingData(RunError):
    """There is nothing to learn from."""

    code = "NO_TRAINING_DATA"

    def __init__(self, why: str) -> None:
        super().__init__(f"{why}: pass `train_dataset=` (or `--train FILE`) with at least one task", why=why)


class NoRunnersLeft(RunError):
    """The algorithm waits for rollouts that nobody will run."""

    code = "NO_RUNNERS_LEFT"

    def __init__(self, why: str) -> None:
        super().__init__(f"no runner is left ({why}): the run stops here and can be resumed", why=why)


class NotFast(RunError):
    """`Trainer.dev` was given an algorithm that does not finish quickly."""

    code = "NOT_FAST"

    def __init__(self, algorithm: str) -> None:
        super().__init__(
            f"Trainer.dev runs fast algorithms only, and {algorithm} is not one: use Baseline, or `fit`",
            algorithm=algorithm,
        )


class RewardMissing(RunError):
    """Rollouts that should have been scored were not."""

    code = "REWARD_MISSING"

    def __init__(self, rollouts: int, *, example: str) -> None:
        super().__init__(
            f"{rollouts} finished rollout(s) have no reward (first: {example}): return a number from the agent, "
            "or call agl.emit_reward(...)",
            rollouts=rollouts,
            example=example,
        )


class CaptureNone(RunError):
    """Agents ran, and no model call of theirs was seen."""

    code = "CAPTURE_NONE"

    def __init__(self, rollouts: int, *, example: str) -> None:
        super().__init__(
            f"no model call was captured in {rollouts} finished rollout(s) (first: {example}): "
            "the agent must call the model at `llm.endpoint` with `llm.api_key`",
            rollouts=rollouts,
            example=example,
        )


class StepFailed(RunError):
    """An effect of an algorithm raised."""

    code = "STEP_FAILED"

    def __init__(self, label: str, *, why: str) -> None:
        super().__init__(f"step {label!r} failed: {why}", label=label, why=why)


# --- engines and the gateway


class EngineError(AglError):
    """A model cannot be served as asked."""

    code = "ENGINE_ERROR"


class ModelNotFound(EngineError):
    """No endpoint or folder has that model."""

    code = "MODEL_NOT_FOUND"

    def __init__(self, model: str, *, known: Iterable[str] = (), why: str = "") -> None:
        names = sorted(known)
        detail = why or f"registered: {', '.join(names) or 'none'}"
        super().__init__(f"no model {model!r}: {detail}", model=model, known=names)


class PromptTooLong(EngineError):
    """The prompt does not fit the model's context."""

    code = "PROMPT_TOO_LONG"

    def __init__(self, tokens: int, *, limit: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens and this model takes {limit}: shorten the history",
            tokens=tokens,
            limit=limit,
        )


class PolicyNotLoaded(EngineError):
    """The weights that were asked for are not the ones that are served."""

    code = "POLICY_NOT_LOADED"

    def __init__(self, policy: str, *, version: int, served: int) -> None:
        super().__init__(
            f"policy {policy!r} serves version {served}, not {version}", policy=policy, version=version, served=served
        )


class PortBusy(EngineError):
    """Somebody else listens there."""

    code = "PORT_BUSY"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is taken: stop what listens there, or use port 0 for any free one",
            host=host,
            port=port,
        )


class EngineFailed(EngineError):
    """An engine did not start, or died."""

    code = "ENGINE_FAILED"

    def __init__(self, url: str, *, why: str) -> None:
        super().__init__(f"engine {url} failed: {why}", url=url, why=why)
