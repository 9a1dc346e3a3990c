"""What a run keeps for the training of one agent, where a scripted model answers all of them."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from agl_core._opening import open_log
from agl_core.adapter import Adapted
from agl_core.events import CallRecorded, Event, SpanRecorded
from agl_core.run import Run
from agl_core.testing._scripted_model import ScriptedModel
from agl_core.trainer import Trainer

__all__ = ["Ran", "selected"]


def selected(
    rollout: Any, script: Any, *, agent: str, store: Path, adapter: str = "triplets"
) -> tuple[Adapted[Any], Ran]:
    """The rows of `agent`, and of nobody else, that two rollouts of a task leave, and all that their log has.

    Their model says what `script` does.
    """
    algorithm = _Selecting(agent, adapter)
    with ScriptedModel(script, owner="vllm") as model:
        trainer = Trainer(algorithm=algorithm, models={"policy": f"{model.url}#policy"}, store=str(store))
        trainer.fit(rollout, train_dataset=[{"q": 1}])
    return algorithm.batch, Ran.read(store)


@dataclass(frozen=True, slots=True)
class Ran:
    """What the log of a run has: who made its calls, and what they were made in."""

    facts: tuple[Event, ...]

    @classmethod
    def read(cls, store: Path) -> Self:
        """Of a file."""
        with open_log(str(store), readonly=True) as log:
            return cls(tuple(record.event for record in log.read()))

    def calls(self) -> list[CallRecorded]:
        """In the order they were kept."""
        return [fact for fact in self.facts if isinstance(fact, CallRecorded)]

    def made_by(self) -> Counter[str | None]:
        """How many calls each agent made."""
        return Counter(call.agent for call in self.calls())

    def kept_of(self, batch: Adapted[Any]) -> set[str | None]:
        """Whose calls became rows."""
        dropped = {one.call_id for one in batch.dropped}
        return {call.agent for call in self.calls() if call.call_id not in dropped}

    def ways(self, shown: Callable[[SpanRecorded], bool] = lambda _span: True) -> list[list[str]]:
        """Of each rollout, the way from the root to each span that is shown, sorted: `outer > inner`."""
        found: dict[str, dict[str, SpanRecorded]] = {}
        for span in self.facts:
            if isinstance(span, SpanRecorded) and shown(span):
                found.setdefault(span.rollout_id, {})[span.span_id] = span
        return [sorted(_way(span, spans) for span in spans.values()) for spans in found.values()]


class _Selecting:
    """One batch."""

    name = "selecting"

    def __init__(self, agent: str, adapter: str) -> None:
        self._agent, self._adapter = agent, adapter

    async def run(self, run: Run) -> None:
        outcomes = await run.rollouts(run.train, repeat=2)
        self.batch: Adapted[Any] = run.adapt(outcomes, self._adapter, agent=self._agent)


def _way(span: SpanRecorded, spans: Mapping[str, SpanRecorded]) -> str:
    above = f"{_way(spans[span.parent_id], spans)} > " if span.parent_id else ""
    return f"{above}{span.name}"
