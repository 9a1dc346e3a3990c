"""Whether a trainer looks before it spends, and what it makes of what is seen."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal

from agl_core.algorithm import is_durable
from agl_core.errors import BadValue
from agl_core.preflight import Need, Preflight, foreseen, judge, needs_of
from agl_core.run import Failures
from agl_core.store import Store

__all__ = ["Looking"]

_SPELT: Mapping[str, bool | Literal["warn"]] = {
    "1": True, "true": True, "on": True, "0": False, "false": False, "off": False, "warn": "warn",
}  # fmt: skip
_USUAL: frozenset[Need] = frozenset({"calls", "rewards"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Looking:
    """What was asked for: to look, not to, or to look and only warn."""

    wanted: bool | Literal["warn"]
    is_explicit: bool
    """It was said for this trainer; then an algorithm that says nothing of its needs is looked at too."""

    @classmethod
    def of(cls, given: bool | Literal["warn"] | None) -> Looking:  # noqa: FBT001 - the trainer's own argument
        """By the argument, else by AGL_PREFLIGHT, else yes."""
        if given is not None:
            if given not in (True, False, "warn"):
                raise BadValue("preflight", given, why='it is True, False or "warn"')
            return cls(wanted=given, is_explicit=True)
        said = os.environ.get("AGL_PREFLIGHT", "1").strip().lower()
        if said not in _SPELT:
            raise BadValue("AGL_PREFLIGHT", said, why="it is 0, 1 or warn")
        return cls(wanted=_SPELT[said], is_explicit=False)

    def needs(self, algorithm: Any) -> frozenset[Need]:
        """What the algorithm says it needs; one that works on the store directly is never looked at."""
        if not is_durable(algorithm):
            return frozenset()
        return needs_of(algorithm) or (_USUAL if self.wanted and self.is_explicit else frozenset())

    def ahead(
        self, algorithm: Any, splits: Mapping[str, Sequence[Any]], sampling: Mapping[str, Mapping[str, Any]]
    ) -> None:
        """Raise what can be told before anything runs."""
        needs = self.needs(algorithm)
        if self.wanted:  # splits that share tasks mislead whatever the algorithm
            found = foreseen(algorithm, needs=needs, splits=splits, sampling=sampling)
            if (wrong := judge(found, only_warns=self.wanted == "warn")) is not None:
                raise wrong

    async def begun(self, algorithm: Any, store: Store, run_id: str, failures: Failures) -> Preflight | None:
        """What the run's first rollout has to pass; None when it was passed before, or nobody wants it."""
        needs = self.needs(algorithm)
        if not needs or Preflight.was_made(store.log, run_id):
            return None
        preflight = Preflight(store, run_id, needs, failures=failures, only_warns=self.wanted == "warn")
        if self.wanted:
            return preflight
        await preflight.skip()
        return None
