"""A life of a run in a process of its own: told in its argument what to run and where to die, or what to go on with."""

from __future__ import annotations

import itertools
import json
import os
import signal
import sys
from typing import Any

from agl_core.hookspecs import hookimpl
from agl_core.plugins import Plugins
from agl_core.record import Draft, Record
from agl_core.testing._algorithm_images import RUN, is_boundary
from agl_core.trainer import Trainer, resume


class Killer:
    """A plugin that kills its process, before a certain fact of the run is kept, or as soon as it is heard of."""

    def __init__(self, at: int, when: str) -> None:
        self._at, self._when = at, when
        self._count = itertools.count(1)

    @hookimpl
    def agl_redact(self, draft: Draft) -> None:
        """Before."""
        if self._when == "before":
            self._look(draft)

    @hookimpl
    def agl_recorded(self, record: Record) -> None:
        """After."""
        if self._when == "after":
            self._look(Draft(stream=record.stream, event=record.event, key=record.key))

    def _look(self, draft: Draft) -> None:
        if is_boundary(draft) and next(self._count) == self._at:
            os.kill(os.getpid(), signal.SIGKILL)


def main(said: dict[str, Any]) -> None:
    """Begin a run and die in it, or take one up and end it."""
    if "agent" not in said:
        resume(RUN, log=said["log"])
        return
    plugins = Plugins.load()
    plugins.register(Killer(said["at"], said["when"]), name="contract")
    tasks = said["tasks"]
    trainer = Trainer(algorithm=said["algorithm"], store=said["log"], seed=7, plugins=plugins, **said["options"])
    trainer.fit(
        said["agent"],
        tasks.get("train"),
        val_dataset=tasks.get("val"),
        test_dataset=tasks.get("test"),
        run_id=RUN,
    )


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
