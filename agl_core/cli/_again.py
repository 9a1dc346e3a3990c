"""What `agl rollouts rerun` and a fork share: the code found, the run driven, and then and now beside each other."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Collection, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._failing import warn
from agl_core.cli._tables import facts, print_json, print_table
from agl_core.cli._words import duration, number
from agl_core.errors import AglError, EngineFailed, LogExists

if TYPE_CHECKING:
    from agl_core.replay import Original
    from agl_core.run import Estimate

__all__ = ["chosen", "drive_again", "own_log", "tell", "warn_of_changes"]

PARTIAL = 3
_DONE = """
select r.rollout_id, r.status, r.exit_status, finished_at, enqueued_at,
  (select count(*) from calls c where c.rollout_id = r.rollout_id),
  (select coalesce(sum(prompt_tokens + completion_tokens), 0) from calls c where c.rollout_id = r.rollout_id),
  (select error from attempts a where a.attempt_id = r.attempt_id)
from rollouts r where r.parent = ? order by r.position
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Done:
    """What came of one."""

    rollout_id: str
    status: str
    exit_status: str | None
    reward: float | None
    counts: bool
    """Whether it is in the mean: it was scored, and its policy caused how it ended."""
    calls: int
    tokens: int
    seconds: float | None
    error: str | None = None

    def to_json(self) -> dict[str, Any]:
        """As `--json` prints it."""
        return {name: getattr(self, name) for name in self.__slots__}


def chosen(agent: str | None, found: Original) -> Any:
    """The agent that is to run: `module:name` as it was typed, or else as the log has it."""
    from agl_core.cli._code import find_code
    from agl_core.replay import agent_of

    path = agent or agent_of(found)
    try:
        return find_code(path)
    except AglError as error:
        if agent is None:
            error.add_note("the log names it; where the code is elsewhere now, say so with --agent MODULE:AGENT")
        raise


def own_log(found: Original, into: Path | None, name: str) -> Path:
    """Where the new log is to be; raises `LogExists` for a path that is taken, that of the source among them."""
    path = into.expanduser() if into else found.artefacts / "replays" / f"{name}.db"
    if path.exists():
        raise LogExists(str(path))
    return path.absolute()


def warn_of_changes(found: Original, models: Mapping[str, str]) -> None:
    """Say on the side what is not as it was then, though nobody asked for it."""
    if found.is_redacted:
        warn("something of its task was redacted: the agent gets what the log has")
    for spoke in found.spoke:
        if spoke.policy not in models and spoke.checkpoint is None and spoke.why:
            warn(f"{spoke.name} spoke then, and {spoke.why}: what its run began with answers now")


def drive_again(
    found: Original,
    algorithm: Any,
    agent: Any,
    *,
    run_id: str,
    into: Path,
    models: Mapping[str, str],
    times: int,
    quiet: bool,
    seed: int | None = None,
    can_resume: bool = True,
    **more: Any,
) -> None:
    """Run it to the end; where it could not even begin, no log is left. `more` is what only a fork has."""
    from agl_core.cli._driving import driving
    from agl_core.cli.progress import Progress
    from agl_core.trainer import trainer_again

    progress, missing = Progress(quiet=quiet), [folder for folder in into.parents if not folder.exists()]
    trainer = trainer_again(
        found, algorithm, into=into, models=models, times=times, seed=seed, on_records=progress.heard, **more
    )
    try:
        with driving(progress, str(into)) if can_resume else progress:
            trainer.fit(agent, [found.rollout.input], run_id=run_id)
    except EngineFailed as error:
        error.add_note("its run had it there: where another one is to answer now, name it with --model NAME=URL")
        raise
    finally:
        if progress.run_id is None:
            _remove(into, missing)


def _remove(log: Path, folders: Sequence[Path]) -> None:
    """The log, what lies beside it, and the folders that came with it."""
    for file in (log, *log.parent.glob(f"{log.name}-*")):
        file.unlink(missing_ok=True)
    shutil.rmtree(log.with_name(f"{log.name}.d"), ignore_errors=True)
    for folder in folders:
        with suppress(OSError):  # there is something else in it by now, or it never came to be
            folder.rmdir()


def tell(
    found: Original,
    into: Path,
    *,
    models: Mapping[str, str],
    as_json: bool,
    head: Mapping[str, Any] = MappingProxyType({}),
    of_each: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
) -> None:
    """Then and now; exit with 3 where some failed, with 1 where all did, or one departed from its past.

    `head` is told before them, `of_each` beside each, by its id; what departed counts for nothing.
    """
    from agl_core.run import Estimate

    departed = {id_ for id_, told in of_each.items() if told.get("outcome") == "departed"}
    done = _done(found, into, departed)
    rewards = [one.reward for one in done if one.counts and one.reward is not None]
    mean = Estimate.of(rewards) if rewards else None
    then = found.reward
    against = Estimate.of([reward - then for reward in rewards]) if rewards and then is not None else None
    weights = _weights(found, models)
    if as_json:
        print_json(
            {
                "rollout_id": found.rollout_id,
                "log": str(into),
                **head,
                "weights": weights,
                "then": _then(found).to_json(),
                "now": [{**one.to_json(), **of_each.get(one.rollout_id, {})} for one in done],
                "mean": mean and mean.to_json(),
                "difference": against and against.to_json(),
            }
        )
    else:
        _show(found, into, done, weights=weights, head=head, of_each=of_each)
        facts([("mean now", mean and _told(mean)), ("now - then", against and _told(against))])
        for one in done:
            if one.error:
                warn(f"{one.rollout_id}: {one.error}")
        click.echo(f"\nsee it: agl rollouts show {done[0].rollout_id} --log {into}" if done else "")
    failed = sum(one.status != "succeeded" for one in done)
    if failed or departed:
        sys.exit(1 if departed or failed == len(done) else PARTIAL)


def _done(found: Original, into: Path, departed: Collection[str]) -> list[Done]:
    from agl_core.cli._logs import open_log
    from agl_core.run import Failures
    from agl_core.store import Queries

    failures = Failures.of(found.started.config.failures if found.started else None)
    with open_log(str(into)) as log:
        rows = log.rows(_DONE, (found.rollout_id,))
        ids = [row[0] for row in rows]
        outcomes = [failures.outcome(one) for one in Queries(log).outcomes(ids, dict.fromkeys(ids))]
    return [
        Done(
            rollout_id=rollout_id, status=status, exit_status=exit_status, reward=outcome.reward,
            counts=outcome.mask is None and outcome.reward is not None and rollout_id not in departed,
            calls=calls, tokens=tokens,
            seconds=None if ended is None else round((ended - begun) / 1e9, 3), error=error,
        )
        for (rollout_id, status, exit_status, ended, begun, calls, tokens, error), outcome in zip(
            rows, outcomes, strict=True
        )
    ]  # fmt: skip


def _then(found: Original) -> Done:
    rollout = found.rollout
    seconds = rollout.end_time and round(rollout.end_time - rollout.start_time, 3)
    return Done(
        rollout_id=rollout.rollout_id, status=rollout.status, exit_status=rollout.exit_status, reward=found.reward,
        counts=found.reward is not None, calls=found.calls, tokens=found.tokens, seconds=seconds,
    )  # fmt: skip


def _weights(found: Original, models: Mapping[str, str]) -> list[dict[str, Any]]:
    """Of each policy that was trained, or is another model now: what spoke then, and what answers now."""
    told = [
        {
            "policy": spoke.policy,
            "then": spoke.name,
            "checkpoint": spoke.checkpoint and spoke.checkpoint.digest,
            "now": models.get(spoke.policy) or ("the same" if spoke.checkpoint else "what its run began with"),
        }
        for spoke in found.spoke
    ]
    known = {spoke.policy for spoke in found.spoke}
    others = [
        {"policy": name, "then": None, "checkpoint": None, "now": url}
        for name, url in models.items()
        if name not in known
    ]
    return [*told, *others]


def _show(
    found: Original,
    into: Path,
    done: Sequence[Done],
    *,
    weights: Sequence[Mapping[str, Any]],
    head: Mapping[str, Any],
    of_each: Mapping[str, Mapping[str, Any]],
) -> None:
    facts(
        [
            ("rollout", found.rollout_id),
            ("task", json.dumps(found.rollout.input, ensure_ascii=False)),
            *((name.replace("_", " "), _shown(value)) for name, value in head.items()),
            *((one["policy"], f"{one['then'] or 'as it was served'} then, {one['now']} now") for one in weights),
            ("log", str(into)),
        ]
    )
    click.echo()
    beside = list(next(iter(of_each.values()), {}))
    rows = [("then", _then(found)), *(("now", one) for one in done)]
    print_table(
        ("", "rollout", "status", "exit", "reward", "calls", *beside, "tokens", "took"),
        [
            (
                when, one.rollout_id, one.status, one.exit_status, one.reward, one.calls,
                *(of_each.get(one.rollout_id, {}).get(name) for name in beside), one.tokens, duration(one.seconds),
            )
            for when, one in rows
        ],
    )  # fmt: skip
    click.echo()


def _shown(value: Any) -> Any:
    return value if isinstance(value, str | int) else ", ".join(map(str, value)) or None


def _told(estimate: Estimate) -> str:
    low, high = estimate.ci95
    told = number(estimate.mean)
    return f"{told} ({number(low)} to {number(high)}, of {estimate.n})" if estimate.n > 1 else told
