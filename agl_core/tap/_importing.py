"""Hears of libraries as they are imported, and leaves no mark on them."""

from __future__ import annotations

import sys
from collections.abc import Callable, Collection, Sequence
from contextlib import suppress
from importlib.machinery import ModuleSpec
from types import ModuleType

__all__ = ["Importing"]


class Importing:
    """A finder that finds nothing itself: it asks the others, and says when a module of `names` is there."""

    def __init__(self, names: Collection[str], imported: Callable[[str, ModuleType], None]) -> None:
        self._names, self._imported = names, imported

    def start(self) -> None:
        """Listen."""
        sys.meta_path.insert(0, self)

    def stop(self) -> None:
        """Listen no more."""
        with suppress(ValueError):  # somebody else has tidied up
            sys.meta_path.remove(self)

    def find_spec(
        self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        """What the finders after this one find: those before it have been asked, and may be asking."""
        finders = list(sys.meta_path)
        if name not in self._names or self not in finders:
            return None
        for finder in finders[finders.index(self) + 1 :]:
            if not hasattr(finder, "find_spec"):
                continue
            spec = finder.find_spec(name, path, target)
            if spec is not None:
                self._listen(name, spec)
                return spec
        return None

    def _listen(self, name: str, spec: ModuleSpec) -> None:
        loader = spec.loader
        if loader is None:
            return
        execute = loader.exec_module

        def heard(module: ModuleType) -> None:
            # The instance's, its class still has its own; another who listens for this module has done it already.
            with suppress(AttributeError):
                del loader.exec_module
            execute(module)
            self._imported(name, module)

        # A loader may take no attributes: its module is patched by whoever enters next.
        with suppress(AttributeError):
            loader.exec_module = heard  # type: ignore[method-assign]  # on this one loader, until it is used
