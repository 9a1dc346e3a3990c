"""How far something long has come: a line that is written over, on a terminal; nothing elsewhere."""

from __future__ import annotations

import sys
from typing import Protocol

import click

__all__ = ["Counted", "counting"]


class Counted(Protocol):
    """Hears how many are done, and of how many, where that is known."""

    def __call__(self, done: int, of: int | None, /) -> None: ...


def counting(what: str) -> Counted:
    """For things that are `what`, such as "exported"."""
    if not sys.stderr.isatty():
        return lambda _done, _of: None

    def say(done: int, of: int | None, /) -> None:
        whole = "" if of is None else f" of {of}"
        click.echo(f"\r\x1b[2K{done}{whole} {what}", nl=done == of, err=True)

    return say
