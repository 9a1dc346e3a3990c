"""How failures are told: one line for people, one object for programs, on stderr either way."""

from __future__ import annotations

import json

import click

from agl_core.errors import AglError

__all__ = ["JSON", "report", "warn"]

JSON = "agl_core.cli.json"
"""Where a context keeps that the caller is a program."""


def report(error: AglError, *, as_json: bool) -> None:
    """Say what went wrong, why, and the cure."""
    from agl_core.preflight import page_of

    hints = list(getattr(error, "__notes__", ()))
    page = page_of(error.code)
    if page and not any(page in said for said in (str(error), *hints)):
        hints.append(f"see {page}")
    if as_json:
        shown = {"code": error.code, "message": str(error), **({"hints": hints} if hints else {})}
        click.echo(json.dumps({"error": shown}, ensure_ascii=False), err=True)
        return
    label = click.style(f"error[{error.code}]:", fg="red", bold=True)
    click.echo(f"{label} {error}", err=True)
    for hint in hints:
        click.echo(f"  {hint}", err=True)


def warn(message: str) -> None:
    """Say something on the side."""
    click.echo(f"{click.style('warning:', fg='yellow', bold=True)} {message}", err=True)
