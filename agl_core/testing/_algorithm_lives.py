"""Lives of a run: from its beginning, or from the image that a life before it left; and what can be told of each."""

from __future__ import annotations

import json
import random
import signal
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent
from agl_core.algorithm import Algorithm
from agl_core.events import CallRecorded
from agl_core.log import SqliteLog, verify
from agl_core.plugins import Plugins
from agl_core.projections import CORE
from agl_core.testing._algorithm_images import RUN, Camera, Image, Interrupter, copied, movements
from agl_core.trainer import Trainer

__all__ = ["Lives", "Story", "left_behind", "read_story", "there"]

_PATIENCE = 2.0
"""Seconds in which threads that were told to stop are gone."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Story:
    """A run from its beginning to its end."""

    path: Path
    result: dict[str, Any] | None
    movements: tuple[str, ...]
    """The kind of each, in order: `step`, `rollouts`, ...; `log` of metrics."""
    made: Mapping[tuple[str, str], int]
    """Scope and kind to the number of movements."""
    rollouts: tuple[Any, ...]
    steps: tuple[str, ...]
    metrics: tuple[Any, ...]
    """Names and steps: a value may be a duration."""
    finished: int
    """Attempts that came to their ends; what a death interrupts is begun again."""
    calls: int
    """Requests that reached a model."""
    faults: list[str]

    def told(self) -> tuple[Any, ...]:
        """What must be the same, however often it was killed."""
        return self.result, self.made, self.rollouts, self.steps, self.metrics, self.finished


class Lives:
    """Makes runs, each in a file of its own."""

    def __init__(
        self,
        make: Callable[[], Algorithm],
        agent: LitAgent[Any],
        tasks: Mapping[str, Sequence[Any]],
        options: Mapping[str, Any],
        folder: Path,
    ) -> None:
        self.make, self.agent, self.tasks, self.folder = make, agent, tasks, folder
        self.options: dict[str, Any] = {"n_runners": 2, **options}
        self._wholes: dict[str, tuple[Story, Camera]] = {}

    def taken_up(
        self,
        make: Callable[[], Algorithm],
        agent: LitAgent[Any],
        tasks: Mapping[str, Sequence[Any]],
        options: Mapping[str, Any],
    ) -> Lives:
        """The same runs, and others with what these fixtures made."""
        found = Lives(make, agent, tasks, options, self.folder)
        found._wholes = self._wholes
        return found

    def whole(self, name: str = "whole") -> Story:
        """One that nobody kills; of one name, the same."""
        return self._whole(name)[0]

    def images(self, name: str = "whole") -> Sequence[Image]:
        """What it would have left, had it been killed."""
        return self._whole(name)[1].images

    def boundaries(self, name: str = "whole") -> int:
        """How many facts of its own it kept before its last."""
        return self._whole(name)[1].boundaries

    def resumed(self, image: Image, name: str, *, changed: Callable[[Path], None] | None = None) -> Story:
        """One that goes on from an image; what was `changed` there first, it meets."""
        path = copied(image, self.folder / f"{name}.db")
        if changed is not None:
            changed(path)
        return self.live(path, resume=True)

    def killed_again(self, image: Image, name: str) -> Sequence[Image]:
        """What a life leaves that goes on from an image, and is killed in its turn."""
        path = copied(image, self.folder / f"{name}.db")
        camera = Camera(path)
        self.live(path, resume=True, plugin=camera)
        return camera.images

    def interrupted(self, name: str, *, at: int) -> Path:
        """A log that a Ctrl-C ended, when so many facts of the run were there; raises `KeyboardInterrupt` itself."""
        path = self.folder / f"{name}.db"
        with suppress(KeyboardInterrupt), _listening():
            self.live(path, plugin=Interrupter(at))
            raise AssertionError(f"interrupted at fact {at} of the run, it went on to its end")
        return path

    def live(self, path: Path, *, resume: bool = False, plugin: object = None, **more: Any) -> Story:
        """One life to its end; raises what ends it otherwise."""
        before = random.getstate()
        # Chance that does not come from the run is another in every process.
        random.seed(path.name)
        options = {**self.options, **more}
        if plugin is not None:
            plugins = options.pop("plugins", None) or Plugins.load()
            plugins.register(plugin, name="contract")
            options["plugins"] = plugins
        trainer = Trainer(algorithm=self.make(), store=str(path), seed=7, **options)
        try:
            summary = trainer.fit(
                self.agent,
                self.tasks.get("train"),
                val_dataset=self.tasks.get("val"),
                test_dataset=self.tasks.get("test"),
                **({"resume": RUN} if resume else {"run_id": RUN}),
            )
        finally:
            random.setstate(before)
            if plugin is not None:
                trainer.plugins.manager.unregister(plugin)
                trainer.plugins.loaded[:] = [one for one in trainer.plugins.loaded if one.name != "contract"]
        return read_story(path, json.loads(json.dumps(summary.result)))

    def _whole(self, name: str) -> tuple[Story, Camera]:
        if name not in self._wholes:
            path = self.folder / f"{name}.db"
            camera = Camera(path)
            self._wholes[name] = self.live(path, plugin=camera), camera
        return self._wholes[name]


def read_story(path: Path, result: dict[str, Any] | None) -> Story:
    """What a run's log tells of it."""
    with SqliteLog(path, projections=CORE, readonly=True) as log:
        moved = movements(log)
        rollouts = log.rows("select grp, task_id, repeat, mode, status from rollouts order by grp, task_id, repeat")
        # What they were asked may name rollouts, whose ids are others in every run.
        asked = "select json_extract(data, '$.label') from events where type = 'step.recorded'"
        ended = "select count(*) from events where type = 'attempt.finished' and not json_extract(data, '$.late')"
        calls = [record.event for record in log.read(types=[CallRecorded.type])]
        return Story(
            path=path,
            result=result,
            movements=tuple(movement.kind for movement in moved),
            made=Counter((movement.scope, movement.kind) for movement in moved),
            rollouts=tuple(rollouts),
            steps=tuple(sorted(str(label) for (label,) in log.rows(asked))),
            metrics=tuple(log.rows("select step, name from metrics order by step, name")),
            finished=log.rows(ended)[0][0],
            calls=sum(1 + len(call.tries) for call in calls if isinstance(call, CallRecorded)),
            faults=[str(fault) for fault in verify(log)],
        )


@contextmanager
def _listening() -> Iterator[None]:
    """Ctrl-C is heard, also in a process that was started in the background, where shells have it ignored."""
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def left_behind(before: frozenset[str]) -> frozenset[str]:
    """What of that was not there `before`; those that end soon are not."""
    until = time.monotonic() + _PATIENCE
    while (left := there() - before) and time.monotonic() < until:
        threading.Event().wait(0.01)
    return left


def there() -> frozenset[str]:
    """Threads, processes and open ports of this process."""
    threads = (f"thread {thread.name} {thread.ident}" for thread in threading.enumerate() if thread.is_alive())
    return frozenset((*threads, *_children(), *_ports()))


def _children() -> list[str]:
    found = []
    for path in Path("/proc/self/task").glob("*/children"):
        with suppress(OSError):
            found += [f"process {pid}" for pid in path.read_text().split()]
    return found


def _ports() -> list[str]:
    """Those that this process listens at."""
    mine, found = set(), []
    for descriptor in Path("/proc/self/fd").glob("*"):
        with suppress(OSError):
            mine.add(descriptor.readlink().name.removeprefix("socket:"))
    for table in ("tcp", "tcp6"):
        with suppress(OSError):
            for line in Path(f"/proc/self/net/{table}").read_text().splitlines()[1:]:
                _, local, _, state, *_, inode = line.split()[:10]
                if state == "0A" and f"[{inode}]" in mine:
                    found.append(f"port {int(local.rpartition(':')[2], 16)}")
    return found
