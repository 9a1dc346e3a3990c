"""Groups that import a command when it is used, and not to say that it exists."""

from __future__ import annotations

import importlib
from collections.abc import Mapping
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any

import click

__all__ = ["Later", "LazyGroup"]


@dataclass(frozen=True, slots=True)
class Later:
    """A command that is not imported yet."""

    place: str
    """`module:attribute`."""
    summary: str
    """What a list of commands says of it; a test holds it equal to the command's own first line."""

    def load(self) -> click.Command:
        """Import it."""
        module, _, attribute = self.place.partition(":")
        command: click.Command = getattr(importlib.import_module(module), attribute)
        return command


class LazyGroup(click.Group):
    """A group whose commands are `Later`, in the order given."""

    unknown = ""
    """What is said of a command that is like none."""

    def __init__(self, *arguments: Any, later: Mapping[str, Later], **options: Any) -> None:
        super().__init__(*arguments, **options)
        self.later = later

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Names, none of them imported."""
        return [*self.later, *super().list_commands(ctx)]

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        """The command, imported now."""
        if cmd_name in self.later:
            return self.later[cmd_name].load()
        return super().get_command(ctx, cmd_name)

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """The command that `args` begin with; one that is not there names its neighbours."""
        try:
            return super().resolve_command(ctx, args)
        except click.NoSuchOption:
            raise
        except click.UsageError:  # click 8.4 has a class of its own for it, and 8.3 has not
            near = get_close_matches(args[0], self.list_commands(ctx), n=1)
            hint = f" Did you mean {near[0]!r}?" if near else self.unknown
            raise click.UsageError(f"No such command {args[0]!r}.{hint}", ctx=ctx) from None

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """The list in `--help`, made from what is known without importing."""
        rows = [(name, self._summary(ctx, name)) for name in self.list_commands(ctx)]
        with formatter.section("Commands"):
            formatter.write_dl(rows)

    def _summary(self, ctx: click.Context, name: str) -> str:
        if name in self.later:
            return self.later[name].summary
        command = self.get_command(ctx, name)
        return command.get_short_help_str(limit=100) if command else ""
