"""What stops a run that learns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from agl_core.errors._run import RunError

__all__ = ["NoUsableRows", "NotOffline", "RolloutsForbidden"]


class NoUsableRows(RunError):
    """Step after step, rollouts come in and nothing of them can be learnt from."""

    code = "NO_USABLE_ROWS"

    def __init__(self, policy: str, *, steps: int, dropped: Mapping[str, int], masked: Mapping[str, int]) -> None:
        lost = {**dropped, **{f"masked rollouts ({end})": count for end, count in masked.items()}}
        why = ", ".join(f"{count} {reason}" for reason, count in sorted(lost.items())) or "no call was captured"
        super().__init__(
            f"{steps} steps in a row had no row that {policy!r} could learn from (the last one: {why}): see `agl runs "
            "show`, mend what the reasons name, and resume the run, which then has as many steps again; or allow more "
            "(`empty_steps`)",
            policy=policy,
            steps=steps,
            dropped=dict(dropped),
            masked=dict(masked),
        )


class NotOffline(RunError):
    """An algorithm was to learn from what there is, and has no way to."""

    code = "NOT_OFFLINE"

    def __init__(self, algorithm: str, *, why: str, others: Iterable[str]) -> None:
        able = tuple(others)
        cure = f"{', '.join(able)} can, with `--from-log LOG`" if able else "no algorithm that is installed can"
        super().__init__(
            f"{algorithm} cannot learn from a log alone: {why}. {cure}", algorithm=algorithm, why=why, others=able
        )


class RolloutsForbidden(RunError):
    """A run that was to ask for no rollout was about to ask for some; none was enqueued."""

    code = "ROLLOUTS_FORBIDDEN"

    def __init__(self, what: str) -> None:
        super().__init__(
            f"this run is to hand out no rollout (`--no-rollouts`), and its algorithm asked for {what}: none was "
            "enqueued. Leave the option out, or take an algorithm that learns from a log alone (`--from-log`)",
            what=what,
        )
