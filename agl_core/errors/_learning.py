"""What stops a run that learns."""

from __future__ import annotations

from collections.abc import Mapping

from agl_core.errors._run import RunError

__all__ = ["NoUsableRows"]


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
