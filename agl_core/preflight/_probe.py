"""An agent on a few tasks, and nothing learned: what pre-flight would say of it."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from agl_core.errors import AglError, NoExploration, TokenIdsMissing
from agl_core.preflight._check import Finding, told
from agl_core.preflight._evidence import Evidence, compared, faults, gathered
from agl_core.preflight._needs import Need
from agl_core.run import Run
from agl_core.tap import STRAYS

__all__ = ["Probe"]

_ALWAYS: frozenset[Need] = frozenset({"calls", "rewards"})
_EVERYTHING: frozenset[Need] = _ALWAYS | {"token_ids", "exploration"}


class Probe:
    """An algorithm that rolls out `rollouts` tasks, from the first again when there are fewer, and looks at each."""

    name = "doctor"

    def __init__(self, rollouts: int = 1, needs: Collection[Need] = ()) -> None:
        self._count, self._needs = rollouts, frozenset(needs) or _ALWAYS
        self.found: list[Finding] = []

    async def run(self, run: Run) -> None:
        """Roll out, and look."""
        tasks = [run.train[number % len(run.train)] for number in range(self._count)]
        outcomes = await run.rollouts(tasks, mode="train", label="doctor")
        seen = []
        for outcome in outcomes:
            (trace,) = run.store.ask.traces([outcome.rollout_id])
            evidence = gathered(run.store, trace.attempt_id, strays=STRAYS.count)
            if evidence is not None:
                seen.append(evidence)
        self.found = list(self._findings(seen))

    def _findings(self, seen: list[Evidence]) -> Iterator[Finding]:
        said: dict[str, tuple[AglError, int]] = {}
        for evidence in seen:
            for error in faults(evidence, _EVERYTHING):
                first, count = said.get(error.code, (error, 0))
                said[error.code] = first, count + 1
        for error, count in said.values():
            times = f" ({count} of {len(seen)} rollouts)" if len(seen) > 1 else ""
            finding = told(error, check="agent", status="fail" if self._is_needed(error) else "warn")
            yield Finding(status=finding.status, what=finding.what + times, code=error.code, check="agent")
        rewards = [evidence.reward for evidence in seen if evidence.reward is not None]
        if (constant := compared(rewards)) is not None:
            yield told(constant, check="agent")
        if not said:
            yield Finding(status="ok", what=_summary(seen, rewards), check="agent")

    def _is_needed(self, error: AglError) -> bool:
        """Some algorithms do well without these; all the others nobody does without."""
        match error:
            case TokenIdsMissing():
                return "token_ids" in self._needs
            case NoExploration():
                return "exploration" in self._needs
            case _:
                return True


def _summary(seen: list[Evidence], rewards: list[float]) -> str:
    calls = sum(len(evidence.calls) for evidence in seen)
    shown = ", ".join(f"{reward:g}" for reward in rewards[:8])
    return f"{len(seen)} rollout(s) ran, {calls} model call(s) were captured, rewards: {shown}"
