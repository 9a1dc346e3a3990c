"""What stops a run."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

from agl_core.errors._base import AglError

__all__ = [
    "AmbiguousLabel",
    "BudgetSpent",
    "BudgetTooSmall",
    "CaptureNone",
    "NoRunnersLeft",
    "NoTrainingData",
    "NotFast",
    "NotImportable",
    "PriceUnknown",
    "ReplayDiverged",
    "RewardMissing",
    "RolloutFailed",
    "RunError",
    "RunNotImportable",
    "RunNotResumable",
    "SelectsNothing",
    "StepFailed",
    "TooFewScored",
    "TooManyFailed",
]


class RunError(AglError):
    """A run cannot start, or cannot go on."""

    code = "RUN_ERROR"


class ReplayDiverged(RunError):
    """Today's code asks for something else than the log remembers."""

    code = "REPLAY_DIVERGED"

    def __init__(
        self,
        key: str,
        *,
        position: int | None,
        recorded: str,
        asked: str,
        difference: Sequence[Mapping[str, Any]] = (),
        where: str = "",
        by: str = "",
    ) -> None:
        """`difference` is where the two sides part, the first place first: `at`, `recorded` and `asked`."""
        by_whom = f", by {by}" if by else ""
        there = f" (recorded at position {position}{by_whom})" if position is not None else ""
        first = difference[0] if difference and difference[0].get("at") else None
        if first is not None:
            then, now = (repr(first[side]) if side in first else "nothing" for side in ("recorded", "asked"))
            told = f"{first['at']} was {then} and is {now} now{there}"
        else:
            told = f"the log has {recorded}{there}, the code now asks for {asked}"
        at = f", at {where}" if where else ""
        super().__init__(
            f"movement {key!r} diverges{at}: {told}. Run the code that wrote the log, or start a new run",
            key=key,
            position=position,
            recorded=recorded,
            asked=asked,
            difference=tuple(difference),
            where=where,
            by=by,
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


class RolloutFailed(RunError):
    """A rollout ended in a way that the run is to stop for."""

    code = "ROLLOUT_FAILED"

    def __init__(self, ended: Mapping[str, int], *, example: str, error: str) -> None:
        worst = max(ended, key=lambda end: ended[end])
        super().__init__(
            f"{_counted(ended)} rollout(s), and this run stops for that (first: {example}: {error}): mend it and start "
            f'a new run, or say what else becomes of them, such as failures={{"{worst}": "mask"}} '
            f"(`--failures {worst}=mask`)",
            ended=dict(ended),
            rollouts=sum(ended.values()),
            example=example,
            error=error,
        )


class TooManyFailed(RunError):
    """Of the rollouts that were asked for at once, more came to nothing than the run allows."""

    code = "TOO_MANY_FAILED"

    def __init__(self, ended: Mapping[str, int], *, of: int, most: float, example: str, error: str) -> None:
        failed = sum(ended.values())
        super().__init__(
            f"{failed} of {of} rollouts are masked ({_counted(ended)}), more than max_failed_fraction={most:g} allows "
            f"(first: {example}: {error}): mend it and start a new run, or resume this one with more "
            "(`--max-failed-fraction`)",
            ended=dict(ended),
            failed=failed,
            of=of,
            most=most,
            example=example,
            error=error,
        )


class TooFewScored(RunError):
    """What everything else is compared with was scored on so few tasks that nothing can be compared."""

    code = "TOO_FEW_SCORED"

    def __init__(self, scored: int, *, of: int, lost: Mapping[str, int], example: str) -> None:
        super().__init__(
            f"the base was scored on {scored} of {of} tasks ({_counted(lost)}; first: {example}), and what is better "
            f"than it cannot be told: see `agl rollouts show {example}`, mend it and start a new run, or say what such "
            "rollouts count as, such as failures={'timeout': 'zero'}",
            scored=scored,
            of=of,
            lost=dict(lost),
            example=example,
        )


def _counted(ended: Mapping[str, int]) -> str:
    return ", ".join(f"{count} {end}" for end, count in sorted(ended.items()))


class SelectsNothing(RunError):
    """Of the calls that were made, none is of those that are to be learnt from."""

    code = "SELECTS_NOTHING"

    def __init__(self, selected: str, *, of: int, agents: Iterable[str]) -> None:
        there = tuple(agents)
        cure = (
            f"those there are, by agent: {', '.join(there)}. Select one of these, or name the agent with agl.agent(...)"
            if of
            else "no call was captured: the agent must call the model at `llm.endpoint` with `llm.api_key`"
        )
        super().__init__(
            f"{selected} keeps none of {of} policy call(s); {cure}",
            selected=selected,
            of=of,
            agents=there,
        )


class BudgetSpent(RunError):
    """A run was about to ask a model more than its budget covers."""

    code = "BUDGET_SPENT"

    def __init__(self, spent: Mapping[str, float], *, limit: Mapping[str, float]) -> None:
        went = ", ".join(f"{spent.get(name, 0):.6g} of {most:.6g} {name}" for name, most in limit.items())
        super().__init__(
            f"the budget is spent ({went}): nothing that is recorded is lost, and the run goes on from here when it is "
            "resumed with a larger one, `budget=` or `--budget`",
            spent=dict(spent),
            limit=dict(limit),
        )


class BudgetTooSmall(RunError):
    """Nothing useful would come of a budget, and nothing was spent."""

    code = "BUDGET_TOO_SMALL"

    def __init__(self, limit: Mapping[str, float], *, why: str) -> None:
        given = ", ".join(f"{name}={most:.6g}" for name, most in limit.items())
        super().__init__(
            f"a budget of {given} is too small ({why}): give more, or plan less; `agl train ... --plan` says what it "
            "would go for",
            limit=dict(limit),
            why=why,
        )


class PriceUnknown(RunError):
    """A budget in money is asked for, and nobody knows what a model costs."""

    code = "PRICE_UNKNOWN"

    def __init__(self, model: str, *, others: Iterable[str] = ()) -> None:
        models = (model, *others)
        super().__init__(
            f"a budget in usd needs the price of each model, and none is known of {', '.join(models)}: say it with "
            f'prices={{"{model}": (0.15, 0.60)}} (`--price {model}=0.15/0.60`), USD for a million tokens of prompts, '
            "and of answers; 0/0 is one that costs nothing",
            models=models,
        )


class StepFailed(RunError):
    """An effect of an algorithm raised."""

    code = "STEP_FAILED"

    def __init__(self, label: str, *, why: str) -> None:
        super().__init__(f"step {label!r} failed: {why}", label=label, why=why)
