"""The options that mean the same on every command."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

import click

from agl_core.cli._failing import JSON

__all__ = ["as_json", "log_level", "log_path", "quiet"]

LEVELS = ("debug", "info", "warning", "error")
Decorated = TypeVar("Decorated", bound=Callable[..., Any] | click.Command)


def _remember_json(ctx: click.Context, _option: click.Parameter, value: bool) -> bool:  # noqa: FBT001 - click's
    if value:
        ctx.meta[JSON] = True
    return value


def _set_level(_ctx: click.Context, _option: click.Parameter, value: str | None) -> None:
    if value is not None:
        from agl_core._setup import setup_logging

        setup_logging(value)


def as_json(command: Decorated) -> Decorated:
    """`--json`: one document on stdout, and errors as JSON on stderr."""
    return click.option(
        "--json", "as_json", is_flag=True, is_eager=True, callback=_remember_json,
        help="Print one JSON document instead of text.",
    )(command)  # fmt: skip


def log_path(command: Decorated) -> Decorated:
    """`--log PATH`: which log."""
    return click.option(
        "--log", "log_path", metavar="PATH", help="The log; default: AGL_LOG, else .agl/log.db."
    )(command)  # fmt: skip


def log_level(command: Decorated) -> Decorated:
    """`--log-level`: how much the code says on stderr while it works."""
    return click.option(
        "--log-level", type=click.Choice(LEVELS, case_sensitive=False), expose_value=False, callback=_set_level,
        help="Say more, or less, on stderr.",
    )(command)  # fmt: skip


def quiet(command: Decorated) -> Decorated:
    """`--quiet`: no progress."""
    return click.option("--quiet", "-q", is_flag=True, help="Show no progress.")(command)
