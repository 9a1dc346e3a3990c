"""Commands that have, beside their own options, those of what they are told by name."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click

from agl_core.cli._failing import JSON

__all__ = ["Guested", "guest_options", "names_of"]

_SECTIONS = "agl_core.cli.guest_options"
"""Where a context keeps the options that are not the command's own."""


class Guested(click.Command):
    """Inherit, and override `sections`."""

    def sections(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Sequence[click.Option]]:
        """The others' options by their headings, told by nothing but the words that were typed."""
        raise NotImplementedError

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Look for whose options there are first: what may stand there depends on it."""
        if "--json" in args:
            ctx.meta[JSON] = True
        ctx.meta[_SECTIONS] = self.sections(ctx, args)
        return super().parse_args(ctx, args)

    def get_params(self, ctx: click.Context) -> list[click.Parameter]:
        """The command's own, and the others'."""
        own = super().get_params(ctx)
        return [*own[:-1], *guest_options(ctx), own[-1]]

    def format_options(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The command's own, then the others' under headings of theirs."""
        own = [option for option in super().get_params(ctx) if isinstance(option, click.Option)]
        for title, options in {"Options": own, **_sections(ctx)}.items():
            rows = [row for option in options if (row := option.get_help_record(ctx)) is not None]
            if rows:
                with formatter.section(title):
                    formatter.write_dl(rows)


def guest_options(ctx: click.Context) -> list[click.Option]:
    """Those of a command line that are not the command's own."""
    return [option for options in _sections(ctx).values() for option in options]


def names_of(parameters: Iterable[click.Parameter]) -> set[str]:
    """What their values are called; `help` is taken everywhere."""
    return {"help", *(parameter.name or "" for parameter in parameters)}


def _sections(ctx: click.Context) -> Mapping[str, Sequence[click.Option]]:
    found: Any = ctx.meta.get(_SECTIONS, {})
    sections: Mapping[str, Sequence[click.Option]] = found
    return sections
