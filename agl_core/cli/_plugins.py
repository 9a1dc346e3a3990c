"""`agl plugins`: which are installed, and which are broken."""

from __future__ import annotations

from dataclasses import asdict

import click

from agl_core.cli._options import as_json, log_level
from agl_core.cli._tables import print_json, print_table

__all__ = ["plugins"]


@click.command()
@as_json
@log_level
def plugins(*, as_json: bool) -> None:
    """Plugins: which are installed, and which are broken."""
    from agl_core.plugins import Plugins

    found = Plugins.load().loaded
    if as_json:
        print_json([asdict(plugin) for plugin in found])
        return
    print_table(
        ("plugin", "version", "source", "implements"),
        [
            (
                plugin.name,
                plugin.version,
                plugin.distribution,
                f"broken: {plugin.error}" if plugin.error else ", ".join(plugin.hooks),
            )
            for plugin in found
        ],
    )
