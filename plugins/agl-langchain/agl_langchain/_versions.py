"""Which versions the tracer was tested with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.metadata import PackageNotFoundError, version

__all__ = ["TESTED", "untested"]

TESTED: Mapping[str, tuple[str, str]] = {
    "langchain": ("1.0", "1.4"),
    "langchain-core": ("1.0", "1.7"),
    "langgraph": ("1.0", "1.2"),
}
"""Of each distribution, the oldest minor version and the newest."""
_TOGETHER = {"langchain-core": ("langchain-core", "langchain"), "langgraph": ("langgraph",)}
"""What is there when that is attached to: the agents of `langchain` run in LangGraph and have no place of their own."""


def untested(package: str) -> Iterator[str]:
    """Of what comes with `package`, each that is older or newer than what was tested, with its version."""
    for name in _TOGETHER[package]:
        try:
            installed = version(name)
        except PackageNotFoundError:
            continue
        oldest, newest = TESTED[name]
        if not _minor(oldest) <= _minor(installed) <= _minor(newest):
            yield f"{name} {installed}"


def _minor(of: str) -> tuple[int, ...]:
    return tuple(int(part) for part in of.split(".")[:2] if part.isdecimal())
