"""What a source tells, in the words of our log: stories that are written whole, and what none can be made of."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any, TypeAlias, get_args

from agl_core.errors import AglError
from agl_core.events import (
    AttemptExpired,
    AttemptFinished,
    AttemptStarted,
    Event,
    ExitStatus,
    Mode,
    RolloutConfig,
    RolloutEnqueued,
    RolloutFinished,
)
from agl_core.ids import canonical, task_id
from agl_core.projections import exit_to_status
from agl_core.record import Draft

__all__ = ["ACTOR", "Making", "Reading", "Refused", "Story", "derived", "digest", "exit_status", "mode"]

ACTOR = "agl-core import"
_DIGITS = "0123456789abcdefghjkmnpqrstvwxyz"
_LENGTH = 26


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """Facts that belong together: all of them are written in one transaction, or none."""

    where: str
    """Where in the source it stands: `run.jsonl:17`."""
    drafts: tuple[Draft, ...]
    """Each with a key that follows from the source alone."""
    digest: str | None = None
    """Of what the source says of it. None where the source may say more later: then what is new is added."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refused:
    """Something in the source that was not written, and why."""

    where: str
    code: str
    why: str

    @classmethod
    def of(cls, where: str, error: AglError) -> Refused:
        """What an error says."""
        return cls(where=where, code=error.code, why=str(error))


Reading: TypeAlias = Iterator[Story | Refused]
"""A source, thing by thing, in its order."""


def derived(prefix: str, *parts: str) -> str:
    """An id of ours that follows from ids of theirs: `prefix-` and 26 digits, as a ULID has them."""
    number = int.from_bytes(hashlib.blake2b(canonical(parts), digest_size=16).digest())
    digits = "".join(_DIGITS[(number >> shift) & 31] for shift in range(5 * (_LENGTH - 1), -5, -5))
    return f"{prefix}-{digits}"


def digest(said: Any) -> str:
    """Of what a source says, whatever the order of its fields."""
    return hashlib.blake2b(canonical(said), digest_size=16).hexdigest()


def exit_status(said: Any) -> ExitStatus | None:
    """It, if it is one of ours."""
    return _EXITS.get(said) if isinstance(said, str) else None


def mode(said: Any) -> Mode | None:
    """It, if it is one."""
    return _MODES.get(said) if isinstance(said, str) else None


_EXITS: Mapping[str, ExitStatus] = {status: status for status in get_args(ExitStatus)}
_MODES: Mapping[str, Mode] = {mode: mode for mode in get_args(Mode)}


class Making:
    """A rollout in the making: drafts of its stream, with the keys that follow from where it came from."""

    def __init__(self, format: str, source_id: str, *, run_id: str, digest: str | None = None) -> None:
        self.rollout_id = derived("ro", format, source_id)
        self._run_id = run_id
        self._said = {"format": format, "id": source_id} | ({"digest": digest} if digest else {})

    def attempt_id(self, name: str = "1") -> str:
        """Of the attempt that the source calls so."""
        return derived("at", self.rollout_id, name)

    def call_id(self, attempt_id: str, name: str) -> str:
        """Of the call that the source calls so."""
        return derived("ca", attempt_id, name)

    def draft(self, event: Event, key: str, *, at: int | None = None) -> Draft:
        """A fact of it; `at` is when it happened, as far as the source knows."""
        return Draft(
            stream=f"rollout/{self.rollout_id}",
            event=event,
            key=key if "/" in key else f"import/{self.rollout_id}/{key}",
            correlation_id=self._run_id,
            actor=ACTOR,
            occurred_at=at,
        )

    def enqueued(
        self,
        input: Any,
        *,
        at: int | None = None,
        mode: Mode | None = None,
        resources: tuple[str, int] | None = None,
        config: RolloutConfig | None = None,
        metadata: Mapping[str, Any] | None = None,
        group: str | None = None,
        repeat: int = 0,
    ) -> Draft:
        """It was asked for."""
        event = RolloutEnqueued(
            rollout_id=self.rollout_id,
            input=input,
            task_id=task_id(input),
            mode=mode,
            resources_id=resources[0] if resources else None,
            resources_version=resources[1] if resources else None,
            config=config or RolloutConfig(),
            metadata={**(metadata or {}), "import": self._said},
            run_id=self._run_id,
            group=group,
            repeat=repeat,
        )
        return self.draft(event, "enqueued", at=at)

    def started(self, attempt_id: str, *, sequence: int = 1, worker_id: str = "import", at: int | None = None) -> Draft:
        """An attempt began."""
        event = AttemptStarted(
            rollout_id=self.rollout_id,
            attempt_id=attempt_id,
            sequence=sequence,
            worker_id=worker_id,
            token=sequence,
        )
        return self.draft(event, f"started-{sequence}", at=at)

    def ended(
        self, attempt_id: str, exit_status: ExitStatus = "completed", *, error: str | None = None, at: int | None = None
    ) -> Draft:
        """An attempt came to its end, by itself."""
        event = AttemptFinished(rollout_id=self.rollout_id, attempt_id=attempt_id, exit_status=exit_status, error=error)
        return self.draft(event, f"ended-{attempt_id}", at=at)

    def expired(self, attempt_id: str, exit_status: ExitStatus, why: str, *, at: int | None = None) -> Draft:
        """An attempt was ended."""
        event = AttemptExpired(rollout_id=self.rollout_id, attempt_id=attempt_id, exit_status=exit_status, why=why)
        return self.draft(event, f"ended-{attempt_id}", at=at)

    def finished(self, attempt_id: str, exit_status: ExitStatus = "completed", *, at: int | None = None) -> Draft:
        """No further attempt was made."""
        is_good = exit_to_status(exit_status) == "succeeded"
        event = RolloutFinished(
            rollout_id=self.rollout_id,
            status="succeeded" if is_good else "failed",
            exit_status=exit_status,
            attempt_id=attempt_id,
        )
        return self.draft(event, "finished", at=at)
