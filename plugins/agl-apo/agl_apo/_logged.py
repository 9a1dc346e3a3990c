"""What another log has of a prompt: who was given it, what came of it, and how that reads to a critic."""

from __future__ import annotations

from collections import Counter, defaultdict
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import closing
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, cast

from agl_apo._candidate import content_of
from agl_apo._transcripts import teaches
from agl_core.errors import BadValue, ContentErased, UnknownId
from agl_core.ids import canonical, content_id
from agl_core.resources import PromptTemplate, dump
from agl_core.store import Outcome, Queries

if TYPE_CHECKING:
    from agl_apo._config import ApoConfig
    from agl_core.log import SqliteLog
    from agl_core.projections import Trace
    from agl_core.store import RolloutStatus

__all__ = ["Found", "Logged", "Shown"]

_ENDED = """
select rollout_id, task_id, resources_id, resources_version from rollouts
where hidden = 0 and status in ('succeeded', 'failed') and ifnull(mode, 'train') = 'train'
  and (?1 is null or run_id = ?1)
order by position
"""
_SIDES = 2
Runs = Sequence[tuple["Trace", Outcome]]
"""Rollouts of a task, each with what came of it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Found:
    """What a log has, as plain JSON: a run records it, and reads the same when it is resumed."""

    as_of: int
    """Position up to which it was read."""
    version: str
    """The last version that has these prompts, `rs-...@2`."""
    prompts: Mapping[str, Any]
    rollouts: int
    """That were given them, and have ended."""
    tasks: int
    others: int
    """That were given other prompts, or none."""
    digest: str
    """Of the rollouts, and of the prompts."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Shown:
    """Rollouts that a critic may be shown, by their tasks."""

    tasks: Mapping[str, Runs]
    left_out: Mapping[str, int]
    """Why others of their tasks are not: `no_reward`, `erased`, or how they ended."""


@dataclass(slots=True)
class _Version:
    """Rollouts with the same prompts, whatever their bundles are called."""

    prompts: dict[str, PromptTemplate]
    names: list[str] = field(default_factory=list)
    rollouts: list[tuple[str, str]] = field(default_factory=list)
    """With their tasks."""

    @property
    def tasks(self) -> dict[str, list[str]]:
        """Task to its rollouts."""
        found: dict[str, list[str]] = defaultdict(list)
        for rollout_id, task_id in self.rollouts:
            found[task_id].append(rollout_id)
        return dict(found)

    @property
    def digest(self) -> str:
        """Of what there is to choose from."""
        return content_id(canonical([content_of(self.prompts), [list(one) for one in self.rollouts]]))


class Logged:
    """The log that a configuration names, read as it stood when it was read first."""

    def __init__(self, config: ApoConfig, opened: Callable[[str], SqliteLog]) -> None:
        """`opened` opens a log for reading."""
        self._config, self._opened = config, opened
        self._gone: set[str] = set()
        """Versions that rollouts were given, and that the log does not have."""

    def look(self, url: str) -> dict[str, Any]:
        """`Found`, as plain JSON. Raises `BadValue` for what is not there."""
        with closing(self._opened(url)) as log:
            head, at = log.head(), self._config.at
            if at is not None and at > head:
                raise BadValue("at", at, why=f"{url} ends at position {head}")
            as_of = at or head
            versions = self._versions(_then(log, as_of))
        meant = self._meant(versions, url)
        return {
            "as_of": as_of,
            "version": meant.names[-1],
            "prompts": {name: dict(dump(prompt)) for name, prompt in meant.prompts.items()},
            "rollouts": len(meant.rollouts),
            "tasks": len(meant.tasks),
            "others": sum(len(version.rollouts) for version in versions if version is not meant),
            "digest": meant.digest,
        }

    def show(self, url: str, found: Found, order: Sequence[int], *, most: int) -> Shown:
        """The first tasks in that order of which a rollout teaches something, and was scored; `most` of them.

        Of a task with many, those that earned least and most: two, or as many as `repeat` where that is more.
        Raises `BadValue` where there is none, and where the log is not what it was.
        """
        with closing(self._opened(url)) as log:
            then = _then(log, found.as_of) if found.as_of <= log.head() else log
            meant = self._meant(self._versions(then), url)
            if meant.digest != found.digest:
                why = "it holds others than it did: something of it was erased, or it is another file"
                raise BadValue("from_log", url, why=why)
            tasks, left_out = list(meant.tasks.items()), Counter[str]()
            shown: dict[str, Runs] = {}
            for place in order:
                task, ids = tasks[place]
                if runs := list(self._runs(Queries(then), ids, left_out)):
                    shown[task] = _apart(runs, most=max(_SIDES, self._config.repeat))
                if len(shown) == most:
                    break
        if not shown:
            raise BadValue("from_log", url, why=self._nothing(left_out))
        return Shown(tasks=shown, left_out=left_out)

    def _versions(self, log: SqliteLog) -> list[_Version]:
        """In the order of their first rollouts; what was given no prompt is one of them, too."""
        run, ask = self._config.from_run, Queries(log)
        if run is not None and not log.rows("select 1 from runs where run_id = ?", (run,)):
            raise BadValue("from_run", run, why=f"{log.path} has no such run: `agl runs list` shows them")
        bundles: dict[tuple[str | None, int | None], _Version] = {}
        contents: dict[str, _Version] = {}
        for rollout_id, task_id, resources_id, number in log.rows(_ENDED, (run,)):
            bundle = resources_id, number
            if bundle not in bundles:
                prompts = self._prompts(ask, resources_id, number)
                bundles[bundle] = contents.setdefault(content_of(prompts), _Version(prompts=prompts))
                bundles[bundle].names.append(f"{resources_id}@{number}")
            bundles[bundle].rollouts.append((rollout_id, task_id))
        return list(contents.values())

    def _prompts(self, ask: Queries, resources_id: str | None, number: int | None) -> dict[str, PromptTemplate]:
        if resources_id is None:
            return {}
        try:
            bundle = ask.resources(resources_id, number).resources
        except UnknownId:  # it was erased, or the log was imported without it
            self._gone.add(f"{resources_id}@{number}")
            return {}
        wanted = self._config.prompts
        found = {name: one for name, one in sorted(bundle.items()) if isinstance(one, PromptTemplate)}
        return {name: one for name, one in found.items() if name in wanted} if wanted else found

    def _meant(self, versions: Sequence[_Version], url: str) -> _Version:
        """The version that is named, else the one most rollouts were given, the newer of equals."""
        able = [version for version in versions if version.prompts]
        if not able:
            count = sum(len(version.rollouts) for version in versions)
            wanted = ", ".join(self._config.prompts)
            why = f"{count} rollout(s) of training mode have ended in it, and none was given "
            gone = f"; {', '.join(sorted(self._gone))}, which some were given, is not in it" if self._gone else ""
            raise BadValue("from_log", url, why=why + (f"the prompt {wanted}" if wanted else "a prompt") + gone)
        named = self._config.from_version
        if named is None:
            return max(reversed(able), key=lambda version: len(version.rollouts))
        found = next((version for version in able if named in version.names), None)
        if found is None:
            there = ", ".join(version.names[-1] for version in able)
            raise BadValue("from_version", named, why=f"no rollout was given it; those that were given: {there}")
        return found

    def _runs(self, ask: Queries, ids: Sequence[str], left_out: Counter[str]) -> Iterator[tuple[Trace, Outcome]]:
        """Of a task's rollouts those that may be shown."""
        for rollout_id in ids:
            try:
                (trace,) = ask.traces([rollout_id])
            except ContentErased:
                left_out["erased"] += 1
                continue
            outcome = _outcome(trace, trace.earned(self._config.reward))
            if not teaches(outcome):
                left_out[str(outcome.exit_status or outcome.status)] += 1
            elif outcome.reward is None:
                left_out["no_reward"] += 1
            else:
                yield trace, outcome

    def _nothing(self, left_out: Mapping[str, int]) -> str:
        reasons = ", ".join(f"{count} {reason}" for reason, count in sorted(left_out.items()))
        cure = (
            f"; `agl replay RUN --mode score --judge NAME` gives rewards, and --reward NAME reads them (now: "
            f"{self._config.reward})"
            if "no_reward" in left_out
            else ""
        )
        return f"no rollout of it can be criticised ({reasons}){cure}"


def _apart(runs: Runs, *, most: int) -> Runs:
    """As many of them, the worst and the best: what sets these apart is what a critic is to find."""
    if len(runs) <= most:
        return runs
    ranked = sorted(runs, key=lambda run: run[1].reward or 0.0)
    return [*ranked[: most // 2], *ranked[most // 2 - most :]]


def _then(log: SqliteLog, position: int) -> SqliteLog:
    """The log as it stood there; itself, where nothing came since: that saves folding its tables again."""
    return log if position == log.head() else log.at(position)


def _outcome(trace: Trace, reward: float | None) -> Outcome:
    return Outcome(
        rollout_id=trace.rollout_id,
        task_id=trace.task_id,
        task=trace.input,
        repeat=trace.repeat or 0,
        status=cast("RolloutStatus", trace.status),
        exit_status=trace.exit_status,
        reward=reward,
    )
