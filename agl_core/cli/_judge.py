"""`agl judge`: old rollouts judged, with new and named facts; what was recorded stays as it was."""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from agl_core.cli._guest_options import Guested, names_of
from agl_core.cli._options import as_json, log_level, log_path, quiet

if TYPE_CHECKING:
    from agl_core.judges import Seat

__all__ = ["judge"]

FILE = click.Path(exists=True, dir_okay=False, path_type=Path)


class Judge(Guested):
    """A command that has, beside its own options, those of the judge it is given."""

    def sections(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Sequence[click.Option]]:
        """Those of the judge."""
        from agl_core.cli._configs import config_options
        from agl_core.cli._named_components import judge_class
        from agl_core.plugins import Plugins

        name = self._named(args)
        if name is None:
            return {}
        kind = judge_class(Plugins.load(), name)
        return {"Options of the judge": config_options(kind, taken=names_of(self.params))}

    def _named(self, args: Sequence[str]) -> str | None:
        """The first word that is no option, and no option's value."""
        takes = {one for own in self.params for one in own.opts if isinstance(own, click.Option) and not own.is_flag}
        left = iter(args)
        for word in left:
            if not word.startswith("-"):
                return word
            if word in takes:
                next(left, None)
        return None


@click.command(cls=Judge)
@click.argument("name", metavar="JUDGE", is_eager=True)
@click.argument("targets", metavar="[RUN|ROLLOUT]...", nargs=-1)
@click.option("--as", "dimension", metavar="NAME", help="What the reward is called; default: as the judge.")
@click.option("--replace", is_flag=True, help="Judge again, and withdraw what this judge gave under that name.")
@click.option("--dry-run", is_flag=True, help="Say what would be judged, and leave nothing.")
@click.option("--concurrency", default=8, show_default=True, type=click.IntRange(min=1), help="Rollouts at a time.")
@click.option("--config", "config_file", type=FILE, help="Options of the judge, as TOML or JSON.")
@click.option("--set", "sets", multiple=True, metavar="KEY=VALUE", help="One option of the judge, over the file.")
@log_path
@quiet
@as_json
@log_level
def judge(
    *,
    name: str,
    targets: Sequence[str],
    dimension: str | None,
    replace: bool,
    dry_run: bool,
    concurrency: int,
    config_file: Path | None,
    sets: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **options: Any,
) -> None:
    """Judge rollouts that have ended: by id, by run, or all of the log.

    JUDGE is a registered name, or module:name; with --help after it, its options are shown. What it gives are new
    rewards, called as the judge unless --as says otherwise: no `primary` changes unless it is asked for, and batches
    that were formed stay what they were. The same judge, told the same, judges a rollout once. Exit code 3 when some
    could not be judged.
    """
    from agl_core.cli._judged import judged
    from agl_core.cli._tables import print_json
    from agl_core.plugins import Plugins

    plugins = Plugins.load()
    seat = _seat(plugins, name, dimension, config_file, sets, options)
    verdicts = judged(
        plugins, seat, targets, log_path=log_path, quiet=quiet, concurrency=concurrency, replace=replace,
        dry_run=dry_run,
    )  # fmt: skip
    if as_json:
        print_json(verdicts.to_json())
    else:
        verdicts.show()
    sys.exit(verdicts.exit_code)


def _seat(
    plugins: Any,
    name: str,
    dimension: str | None,
    config_file: Path | None,
    sets: Sequence[str],
    options: Mapping[str, Any],
) -> Seat:
    from agl_core.cli._configs import configured, read_config
    from agl_core.cli._named_components import judge_class
    from agl_core.trainer import seats_of

    kind = judge_class(plugins, name)
    values = configured(
        kind, name, file=read_config(config_file) if config_file else {}, sets=sets,
        options={option: value for option, value in options.items() if value is not None},
    )  # fmt: skip
    (seat,) = seats_of(plugins, {dimension or getattr(kind, "name", name): {"name": name, **values}})
    return seat
