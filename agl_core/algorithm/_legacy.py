"""Agent Lightning's algorithms, wrapped: they work on the store directly, so a run of theirs cannot be resumed."""

from __future__ import annotations

import asyncio
import functools
import inspect
import logging
from collections.abc import Callable
from typing import Any

from agl_core.errors import BadValue
from agl_core.run import Run

__all__ = ["FunctionalAlgorithm", "Legacy", "algo"]

_log = logging.getLogger(__name__)
_INJECTED = ("store", "train_dataset", "val_dataset", "llm_proxy", "adapter", "initial_resources")


def algo(func: Callable[..., Any]) -> FunctionalAlgorithm:
    """Make an algorithm of a function that names what it wants: `store`, `train_dataset`, `val_dataset`,
    `adapter`, `llm_proxy`, `initial_resources`. A function that names `run` gets the durable handle instead."""  # noqa: D205, D209 - one sentence
    return FunctionalAlgorithm(func)


class FunctionalAlgorithm:
    """A function as an algorithm; still callable as the function."""

    def __init__(self, fn: Callable[..., Any]) -> None:
        self._fn = fn
        self.name = getattr(fn, "__name__", "algorithm")
        self.wants = tuple(inspect.signature(fn).parameters)
        self.durable = "run" in self.wants
        unknown = [name for name in self.wants if name not in (*_INJECTED, "run")]
        if unknown:
            raise BadValue("algorithm", self.name, why=f"nothing is called {', '.join(unknown)}; known: {_INJECTED}")
        functools.update_wrapper(self, fn)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        """The function itself."""
        return self._fn(*args, **kwargs)

    async def run(self, run: Run) -> None:
        """Hand the function the durable handle; one that does not name `run` is wrapped as `Legacy` instead."""
        await self._fn(run=run)


class Legacy:
    """An algorithm written for Agent Lightning v0.3, class or function, behind a `Run`."""

    def __init__(self, call: Callable[..., Any], name: str, *, adapter: Any, llm_proxy: Any) -> None:
        self._call, self.name, self._adapter, self._llm_proxy = call, name, adapter, llm_proxy

    async def run(self, run: Run) -> None:
        """Give it what it names by injection; data it does not take is refused, not dropped."""
        _log.warning("algorithm %s works on the store directly: this run cannot be resumed", self.name)
        given = {
            "store": run.store,
            "train_dataset": run.train,
            "val_dataset": run.val,
            "llm_proxy": self._llm_proxy,
            "adapter": self._adapter,
            "initial_resources": run.resources.resources if run.resources else None,
        }
        wants = inspect.signature(self._call).parameters
        for split in ("train_dataset", "val_dataset"):
            if given[split] and split not in wants:
                raise BadValue(split, f"{len(given[split])} tasks", why=f"{self.name} does not take it")
        arguments = {name: value for name, value in given.items() if name in wants}
        if inspect.iscoroutinefunction(self._call):
            await self._call(**arguments)
        else:
            await asyncio.to_thread(functools.partial(self._call, **arguments))
