"""The quick start: an ordinary agent that learns on a laptop, out of one log."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from agl_core.hookspecs import hookimpl

if TYPE_CHECKING:
    import click

__all__ = ["agl_register_algorithms", "agl_register_commands"]


@hookimpl
def agl_register_algorithms() -> Mapping[str, Any]:
    """`demo`: warm start, then GRPO, in one run."""
    from agl_demo._algorithm import Demo

    return {"demo": Demo}


@hookimpl
def agl_register_commands(cli: click.Group) -> None:
    """`agl demo`."""
    from agl_demo._command import demo

    cli.add_command(demo)
