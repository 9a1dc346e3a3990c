"""LangChain's callbacks: every run of this process is told to a handler that nobody passes."""

from __future__ import annotations

import importlib
from contextvars import ContextVar
from inspect import signature
from types import ModuleType
from typing import Any, Self
from uuid import UUID

from agl_langchain._hearing import Hearing

__all__ = ["Callbacks"]

_PROMISED = ("on_chain_start", "on_chain_end", "on_tool_start", "on_tool_end", "on_retriever_start", "run_inline")


class Callbacks:
    """Our handler among those that LangChain gives to each run: hosts put theirs in by the same hook."""

    MODULE = "langchain_core.tracers.context"

    def __init__(self, module: ModuleType, hearing: Hearing) -> None:
        """Not put in yet; `module` is the one of that name."""
        self._module, self._hearing = module, hearing
        self._hook: Any = None

    def start(self) -> None:
        """Put it in. Raises where LangChain does not take handlers as it does in the versions this is written for."""
        base = _base()
        missing = [name for name in _PROMISED if not hasattr(base, name)]
        if missing:
            raise TypeError(f"its callbacks are not what they were: {', '.join(missing)}")
        handler = type("AglCallbackHandler", (_Told, base), {"hearing": self._hearing})()
        # Each run asks the variable in its own context: a default is there in all of them, threads too.
        variable: ContextVar[Any] = ContextVar("agl_langchain", default=handler)
        register = self._module.register_configure_hook
        signature(register).bind(variable, inheritable=True)
        register(variable, inheritable=True)
        self._hook = next((hook for hook in self._hooks() if hook[0] is variable), None)
        if self._hook is None:
            raise TypeError("it takes no handler for every run")
        self._hearing.is_on = True

    def stop(self) -> None:
        """Take it out, for which LangChain has no word of its own."""
        self._hearing.is_on = False
        hooks = self._hooks()
        if self._hook in hooks:
            hooks.remove(self._hook)

    def _hooks(self) -> list[Any]:
        hooks: list[Any] = self._module._configure_hooks  # noqa: SLF001 - the only way to take one out again
        return hooks


def _base() -> Any:
    return importlib.import_module("langchain_core.callbacks.base").BaseCallbackHandler


def _deaf() -> Any:
    """What our handler is in another process."""
    return _base()()


class _Told:
    """What LangChain calls, inline: a thread for each thing it says would cost more than the saying."""

    hearing: Hearing
    raise_error = False
    run_inline = True
    # Model calls are seen on the wire, and of each token there is nothing to hear.
    ignore_llm = True
    ignore_chat_model = True
    ignore_custom_event = True
    ignore_retry = True

    def on_chain_start(self, serialized: Any, inputs: Any, **said: Any) -> None:
        """A chain, a graph, one of its nodes, a prompt or a parser."""
        self.hearing.begin("chain", serialized, said)

    def on_chain_end(self, outputs: Any, *, run_id: UUID, **said: Any) -> None:
        """It has a result."""
        self.hearing.end(run_id, output=outputs)

    def on_chain_error(self, error: BaseException, *, run_id: UUID, **said: Any) -> None:
        """It has none."""
        self.hearing.end(run_id, error=error)

    def on_tool_start(self, serialized: Any, input_str: str, *, inputs: Any = None, **said: Any) -> None:
        """A tool, and what it is given."""
        self.hearing.begin("tool", serialized, said, inputs=input_str if inputs is None else inputs)

    def on_tool_end(self, output: Any, *, run_id: UUID, **said: Any) -> None:
        """What it gives."""
        self.hearing.end(run_id, output=output)

    def on_tool_error(self, error: BaseException, *, run_id: UUID, **said: Any) -> None:
        """What it fails with."""
        self.hearing.end(run_id, error=error)

    def on_retriever_start(self, serialized: Any, query: str, **said: Any) -> None:
        """A retriever, and what it is asked for."""
        self.hearing.begin("retriever", serialized, said, inputs={"query": query})

    def on_retriever_end(self, documents: Any, *, run_id: UUID, **said: Any) -> None:
        """What it finds."""
        self.hearing.end(run_id, output=documents)

    def on_retriever_error(self, error: BaseException, *, run_id: UUID, **said: Any) -> None:
        """What it fails with."""
        self.hearing.end(run_id, error=error)

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, _memo: object) -> Self:
        """One that a host copies with its configuration hears as this one does."""
        return self

    def __reduce__(self) -> Any:
        """In another process it hears nothing."""
        return _deaf, ()
