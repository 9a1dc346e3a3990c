"""What all movements of a run share: its store, its names, its chance, and what it came to."""

from __future__ import annotations

import random
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Self
from uuid import UUID

from agl_core.adapter import Adapter
from agl_core.clock import Clock, System
from agl_core.errors import BadValue
from agl_core.events import MetricsLogged, RolloutConfig
from agl_core.ids import canonical, content_id, digest
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.record import Record
from agl_core.resources import ResourcesUpdate
from agl_core.run._adapters import adapter as named
from agl_core.run._asks import Asks
from agl_core.run._budget import Budget, Prices
from agl_core.run._checkpoints import Checkpoints
from agl_core.run._failures import Failures
from agl_core.run._forbidding import without_rollouts
from agl_core.run._journal import Journal
from agl_core.run._selection import Selection
from agl_core.run._wall_time import wall_time
from agl_core.run._weights import Serving, Weights
from agl_core.store import Store

__all__ = ["Base"]


class Base:
    """A run, before it moves."""

    def __init__(
        self,
        *,
        id: str,
        store: Store,
        plugins: Plugins,
        serving: Serving,
        train: Sequence[Any] = (),
        val: Sequence[Any] = (),
        test: Sequence[Any] = (),
        seed: int = 0,
        deterministic: bool = False,
        resources: ResourcesUpdate | None = None,
        rollout_config: RolloutConfig | None = None,
        selection: Selection | None = None,
        failures: Failures | None = None,
        max_failed_fraction: float = 1.0,
        budget: Budget | None = None,
        prices: Prices | None = None,
        asks: Asks | None = None,
        catch_up: Callable[[], Awaitable[None]] | None = None,
        no_rollouts: bool = False,
        clock: Clock | None = None,
        actor: str = "agl-core",
        journal: Journal | None = None,
    ) -> None:
        self.id, self.seed, self.deterministic = id, seed, deterministic
        self.train, self.val = tuple(train), tuple(val)
        self.result: dict[str, Any] = {}
        """What the run came to; the trainer writes it into `run.finished`."""
        self.rollout_config = rollout_config or RolloutConfig(max_attempts=3)
        self.selection = selection or Selection()
        """Which calls may become rows."""
        self.failures = failures or Failures()
        """What becomes of rollouts by how they end."""
        self.max_failed_fraction = max_failed_fraction
        self.budget = budget or Budget()
        """What the model calls of the run may come to, all of them together."""
        self.prices = prices or Prices()
        self._test = tuple(test)
        self.no_rollouts = no_rollouts
        """Whether it is to hand out none; who asks for some gets `RolloutsForbidden`."""
        self.store = without_rollouts(store) if no_rollouts else store
        """For what `Run` does not offer; what is done there is not replayed."""
        self.resources = resources
        """The bundle that rollouts get when none is named."""
        self._plugins, self._asks, self._catch_up = plugins, asks, catch_up
        self._weights = Weights(serving, Checkpoints(store.log.artefacts, id))
        self._journal = journal or Journal(store.log, id, "main", actor)
        self._clock: Clock = clock or System()
        self._random: dict[str, random.Random] = {}
        self._timed = 0
        """Position of the last numbers that say how the time was spent."""

    @property
    def test_size(self) -> int:
        """How many tasks are under seal."""
        return len(self._test)

    @property
    def is_reading_back(self) -> bool:
        """Whether the last movement was read back, and not made: the run was resumed, and is not yet where it was."""
        return self._journal.is_reading_back

    def other_log(self, url: str) -> SqliteLog:
        """Another log, for reading alone; whoever asks for it closes it. An export of one will do.

        Raises `BadValue` for the log that the run writes to: what it learns from must not grow while it does.
        """
        log = self._plugins.open_log(url, readonly=True)
        own = self.store.log.path
        if log.path.exists() and own.exists() and log.path.samefile(own):
            log.close()
            why = "this run writes to it, and reads another: name a new log for the run (`--log`, or `store=`)"
            raise BadValue("from_log", url, why=why)
        return log

    async def caught_up(self) -> None:
        """Return when the run's reactions have heard all that is in the log."""
        if self._catch_up is not None:
            await self._catch_up()

    def close(self) -> None:
        """The run is finished: only what was kept for good stays on disk."""
        self._weights.checkpoints.clear()

    def rng(self, name: str) -> random.Random:
        """A named random stream: one more draw from it shifts no other."""
        if name not in self._random:
            self._random[name] = random.Random(f"{self.seed}/{self._journal.scope}/{name}")
        return self._random[name]

    def new_id(self, prefix: str, label: str = "") -> str:
        """An id that nothing else has, such as `note-5f0c...`; when the run is resumed, the same.

        It is made of the run, the scope, the label and a count of those before it: one more with another label, or
        another prefix, changes no other.
        """
        return f"{prefix}-{self._made(prefix, label)}"

    def uuid(self, label: str = "") -> UUID:
        """The same as a UUID, of version 4 by its looks."""
        return UUID(self._made("uuid", label), version=4)

    def _made(self, kind: str, label: str) -> str:
        journal, name = self._journal, f"{kind}/{label}"
        journal.ids[name] += 1
        return digest(canonical([self.id, journal.scope, name, journal.ids[name]]))[:32]

    def scope(self, name: str) -> Self:
        """A child with counters of its own, for work under `gather`."""
        child = object.__new__(type(self))
        child.__dict__.update(self.__dict__)
        child._journal = self._journal.child(name)
        child._random = {}
        return child

    def algorithm(self, name: str, **config: Any) -> Any:
        """The algorithm of that registry name, to be run inside this one: `await run.algorithm("grpo").run(run)`."""
        return self._plugins.algorithm(name)(**config)

    def adapter(self, name: str, **options: Any) -> Adapter[Any]:
        """The adapter of that registry name, as `adapt` takes it: made early, a mistake costs no rollout."""
        return named(self._plugins, name, options)

    def log(self, *, step: int, **metrics: float) -> None:
        """Numbers for people; on replay the first record stays."""
        key = f"{self.id}/{self._journal.scope}/metrics/{step}/{'+'.join(sorted(metrics))}"
        self._log(step, lambda: metrics, key)

    def log_time(self, *, step: int) -> None:
        """How the wall time since the last such numbers was spent: `time/step` in seconds, `time/idle` and its like as
        shares of them (`WallTime`)."""  # noqa: D205, D209 - one sentence
        key = f"{self.id}/{self._journal.scope}/time/{step}"
        timed = self._log(step, lambda: wall_time(self._journal.log, self.id, after=self._timed).metrics, key)
        self._timed = timed.position

    def _log(self, step: int, metrics: Callable[[], Mapping[str, float]], key: str) -> Record:
        name = content_id(key.encode())
        recorded = self._journal.log.get(name)
        if recorded is not None:
            return recorded
        event = MetricsLogged(run_id=self.id, step=step, metrics={k: float(v) for k, v in metrics().items()})
        return self._journal.append(self._journal.draft(event, name))
