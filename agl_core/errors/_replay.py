"""What keeps a replay from being true."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from agl_core.errors._base import AglError

__all__ = [
    "NetworkDenied",
    "NotReplayable",
    "ReplayAmbiguous",
    "ReplayDiffers",
    "ReplayError",
    "ReplayStopped",
    "ReplayUnmatched",
]


class ReplayError(AglError):
    """A replay cannot be had, or would not be true."""

    code = "REPLAY_ERROR"


class NotReplayable(ReplayError):
    """The log does not hold what a replay needs."""

    code = "NOT_REPLAYABLE"

    def __init__(self, what: str, *, why: str, cure: str) -> None:
        super().__init__(f"{what} cannot be replayed: {why}. {cure}", what=what, why=why, cure=cure)


class ReplayUnmatched(ReplayError):
    """The agent asked for something that the log has nothing like."""

    code = "REPLAY_UNMATCHED"

    def __init__(self, what: str, *, why: str) -> None:
        super().__init__(
            f"{what} has no answer in the log: {why}. Run the code that was recorded, or go on live from here with "
            "`--fork-at`",
            what=what,
            why=why,
        )


class ReplayDiffers(ReplayError):
    """The agent asked for something else than it did then."""

    code = "REPLAY_DIFFERS"

    def __init__(self, what: str, *, recorded: str, difference: Sequence[Mapping[str, Any]]) -> None:
        first = difference[0] if difference else {}
        super().__init__(
            f"{what} is not what was recorded as {recorded}: at {first.get('at', '?')} the log has "
            f"{first.get('recorded')!r}, the agent now says {first.get('asked')!r}. Run the code that was recorded, "
            "say what may differ with `--ignore`, or go on live from here with `--fork-at`",
            what=what,
            recorded=recorded,
            difference=tuple(difference),
        )


class ReplayAmbiguous(ReplayError):
    """More than one recorded answer fits, they differ, and nothing tells which is whose."""

    code = "REPLAY_AMBIGUOUS"

    def __init__(self, what: str, *, candidates: Sequence[str], why: str) -> None:
        super().__init__(
            f"{what} may be any of {len(candidates)} recorded ones ({', '.join(candidates[:3])}"
            f"{', ...' if len(candidates) > 3 else ''}), whose answers differ: {why}",
            what=what,
            candidates=tuple(candidates),
            why=why,
        )


class ReplayStopped(ReplayError):
    """Whoever looks at each call of a replay wanted to see no more."""

    code = "REPLAY_STOPPED"

    def __init__(self, call_id: str) -> None:
        super().__init__(f"it was stopped by hand at {call_id}, before that was answered", call_id=call_id)


class NetworkDenied(ReplayError):
    """Code of an agent that is replayed wanted out of this machine."""

    code = "NETWORK_DENIED"

    def __init__(self, address: str) -> None:
        super().__init__(
            f"a replay goes nowhere, and the agent wanted to reach {address}: declare the tool that does so with "
            "`@agl.tool`, so that its recorded result is used, or let it out with `--allow-network`",
            address=address,
        )
