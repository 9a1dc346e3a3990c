"""An agent as a class: one method to write, Agent Lightning's names."""

from __future__ import annotations

import weakref
from collections.abc import Mapping, Sequence
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from agl_core.emit import SpanCoreFields
from agl_core.errors import BadValue
from agl_core.events import SpanRecorded
from agl_core.resources import NamedResources
from agl_core.store import Rollout, Span

__all__ = ["LitAgent", "Result"]

T = TypeVar("T")

if TYPE_CHECKING:
    from opentelemetry.sdk.trace import ReadableSpan

    _Spans = Sequence[SpanRecorded] | Sequence[Span] | Sequence[SpanCoreFields] | Sequence[ReadableSpan]
else:
    # Without a name that only a type checker knows: whoever asks for an agent's annotations must get them.
    _Spans = Sequence[SpanRecorded] | Sequence[Span] | Sequence[SpanCoreFields]
Result = None | float | Mapping[str, float] | _Spans
"""What an agent may return: nothing, a reward, named rewards, or spans of its own, OpenTelemetry's among them."""

_here: ContextVar[tuple[weakref.ref[Any], weakref.ref[Any]] | None] = ContextVar("agl_running", default=None)
"""Which agent runs in this context, and under which runner: many runners may run one agent."""


class LitAgent(Generic[T]):
    """Write `rollout` or `rollout_async`; the training and validation variants call it unless you write them too.

    Mode `train` runs the training variant, every other mode, `test` among them, the validation variant.
    """

    _trainer: weakref.ref[Any] | None = None
    _runner: weakref.ref[Any] | None = None

    def is_async(self) -> bool:
        """Whether any of the `_async` methods is written."""
        names = ("rollout_async", "training_rollout_async", "validation_rollout_async")
        return any(getattr(type(self), name) is not getattr(LitAgent, name) for name in names)

    def rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Do the task with the resources; runs in a thread."""
        raise NotImplementedError(f"{type(self).__name__} writes neither rollout nor rollout_async")

    async def rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """Do the task with the resources; runs in the loop."""
        raise NotImplementedError(f"{type(self).__name__} writes neither rollout nor rollout_async")

    def training_rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout`, when training."""
        return self.rollout(task, resources, rollout)

    def validation_rollout(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout`, when not."""
        return self.rollout(task, resources, rollout)

    async def training_rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout_async`, when training."""
        return await self.rollout_async(task, resources, rollout)

    async def validation_rollout_async(self, task: T, resources: NamedResources, rollout: Rollout) -> Result:
        """`rollout_async`, when not."""
        return await self.rollout_async(task, resources, rollout)

    # --- who runs it; held weakly, because they hold the agent

    def set_trainer(self, trainer: Any) -> None:
        """Called by the trainer, before it starts."""
        self._know("_trainer", trainer)

    def get_trainer(self) -> Any:
        """The trainer that runs this agent; `BadValue` when none does."""
        return _alive(self._trainer, "trainer", "it is set by `Trainer.fit`, and a runner alone has none")

    def set_runner(self, runner: Any) -> None:
        """Called by each runner that runs this agent, in its own context."""
        self._know("_runner", runner)
        _here.set((weakref.ref(self), weakref.ref(runner)))

    def get_runner(self) -> Any:
        """The runner of the rollout under way here, else the last that took this agent; `BadValue` when none did."""
        here = _here.get()
        runner = here[1] if here is not None and here[0]() is self else self._runner
        return _alive(runner, "runner", "a runner sets itself when it takes the agent")

    def get_tracer(self) -> Any:
        """What the runner of this agent records with."""
        return self.get_runner().tracer

    @property
    def trainer(self) -> Any:
        """As `get_trainer`."""
        return self.get_trainer()

    @property
    def runner(self) -> Any:
        """As `get_runner`."""
        return self.get_runner()

    @property
    def tracer(self) -> Any:
        """As `get_tracer`."""
        return self.get_tracer()

    def _know(self, name: str, somebody: Any) -> None:
        object.__setattr__(self, name, weakref.ref(somebody))  # an agent may be a frozen dataclass

    def __getstate__(self) -> dict[str, Any]:
        """Without who runs it here: where it is sent, others do."""
        return {name: value for name, value in self.__dict__.items() if name not in {"_trainer", "_runner"}}


def _alive(reference: weakref.ref[Any] | None, what: str, why: str) -> Any:
    found = reference() if reference is not None else None
    if found is None:
        raise BadValue(f"the agent's {what}", None, why=why)
    return found
