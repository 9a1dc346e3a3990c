"""What the store refuses."""

from __future__ import annotations

from reprlib import Repr

from agl_core.errors._base import AglError

__all__ = [
    "AlreadySettled",
    "BadValue",
    "LeaseLost",
    "OutsideAttempt",
    "RunHeld",
    "StoreError",
    "UnknownId",
]


class StoreError(AglError):
    """A command or a query the domain cannot honour."""

    code = "STORE_ERROR"


class UnknownId(StoreError):
    """Nothing has that id."""

    code = "UNKNOWN_ID"

    def __init__(self, kind: str, id_: str) -> None:
        lists = (
            "rollouts" if kind in {"attempt", "reward", "call"} else f"{kind.removesuffix('s')}s"
        )  # shown with theirs
        elsewhere = {"worker": '`agl log query "from workers"`', "batch": "`agl runs show`"}
        shows = elsewhere.get(kind, f"`agl {lists} list`")
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
