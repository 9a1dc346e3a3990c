"""Which plugins are installed, which of them are wanted, and what is known of each."""

from __future__ import annotations

import os
from collections.abc import Iterable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from importlib.metadata import EntryPoint, entry_points
from itertools import groupby

__all__ = ["BUILTIN", "Found", "Loaded", "found", "names", "unwanted"]

GROUP = "agl"
BUILTIN = "builtin"
"""What the core calls itself among plugins; it is always there."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Loaded:
    """A plugin, and how it went."""

    name: str
    version: str | None = None
    distribution: str = ""
    hooks: tuple[str, ...] = ()
    load_ms: float | None = None
    """Milliseconds that its import took; null where it was imported before, or not at all."""
    error: str | None = None
    """Why it is left out, as it is broken."""
    traceback: str | None = field(default=None, repr=False)
    """Where that was raised."""
    disabled_by: str | None = None
    """The variable by which it is left out."""

    @property
    def status(self) -> str:
        """`active`, `broken` or `disabled`."""
        if self.disabled_by:
            return "disabled"
        return "broken" if self.error else "active"


@dataclass(frozen=True, slots=True)
class Found:
    """What is installed under a name."""

    name: str
    entries: Sequence[EntryPoint]

    @property
    def version(self) -> str | None:
        """Of the distribution."""
        return _told(self.entries[0])[1] if len(self.entries) == 1 else None

    @property
    def distribution(self) -> str:
        """Its name; all of theirs, where several claim the plugin's."""
        return ", ".join(_told(entry)[0] for entry in self.entries)

    @property
    def fault(self) -> str | None:
        """What is wrong before anything of it was imported."""
        if self.name == BUILTIN:
            return f"an entry point may not be called {BUILTIN!r}: that is the core"
        if len(self.entries) > 1:
            claims = " and ".join(f"{name} {version}" for name, version in map(_told, self.entries))
            return f"{claims} have an entry point of that name, and only one may: uninstall the other"
        return None


def found() -> list[Found]:
    """Every plugin that is installed, A to Z; nothing is imported."""
    entries = sorted(entry_points(group=GROUP), key=lambda entry: (entry.name, entry.value))
    return [Found(name, _in_order(list(same))) for name, same in groupby(entries, key=lambda entry: entry.name)]


def unwanted(name: str) -> str | None:
    """The variable that leaves the plugin out, if one does."""
    if name in names("AGL_DISABLE_PLUGINS"):
        return "AGL_DISABLE_PLUGINS"
    if "AGL_LOAD_PLUGINS" in os.environ and name not in names("AGL_LOAD_PLUGINS"):
        return "AGL_LOAD_PLUGINS"
    return None


def names(variable: str) -> list[str]:
    """Those that the environment lists there."""
    return list(_split(os.environ.get(variable, "")))


def _split(text: str) -> Iterator[str]:
    listed: Iterable[str] = (name.strip() for name in text.split(","))
    return (name for name in listed if name)


def _in_order(entries: list[EntryPoint]) -> list[EntryPoint]:
    """By their distributions: folders are listed in any order. Of one alone, no metadata is read."""
    return entries if len(entries) == 1 else sorted(entries, key=lambda entry: _told(entry)[0])


def _told(entry: EntryPoint) -> tuple[str, str | None]:
    """Name and version of its distribution; metadata that cannot be read is no reason to do without the others."""
    with suppress(AttributeError, KeyError, OSError, TypeError, ValueError):
        if entry.dist is not None and entry.dist.name:
            return entry.dist.name, entry.dist.version
    return entry.value, None
