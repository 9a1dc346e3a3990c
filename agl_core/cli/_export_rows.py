"""`agl export FORMAT`: a command for each exporter, with its options and those of its adapters."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, is_dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import click

from agl_core.cli._configs import config_options, configured
from agl_core.cli._counting import counting
from agl_core.cli._explaining_reasons import in_words
from agl_core.cli._guest_options import Guested, names_of
from agl_core.cli._logs import find_either, open_log
from agl_core.cli._options import as_json, at, log_level, log_path, quiet
from agl_core.cli._tables import print_json
from agl_core.errors import ExportEmpty, ExportExists, ExportRefused, UnknownName

if TYPE_CHECKING:
    from agl_core.adapter import Adapter
    from agl_core.export import Exported, Exporter
    from agl_core.export.rows import RowsOf
    from agl_core.plugins import Plugins

__all__ = ["Format"]

_PARTLY = 3
_ASKED = "agl_core.cli.exporter"
"""Where a context keeps what it is asked for."""
SPLITS = ("train", "val", "test", "all")
_HOMES = {"messages": "agl-messages", "preferences": "agl-messages", "triplets": "agl-triplets"}
"""Adapter to the distribution of ours that has it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class _Asked:
    """What a command line asks for, as far as its exporter's options tell."""

    exporter: Exporter[Any]
    of_adapter: Sequence[click.Option]
    of_filter: Sequence[click.Option]
    """Without those that the adapter has by itself."""


class Format(Guested):
    """The command `agl export NAME`: it has, beside its own options, the exporter's, and those of the adapter whose
    rows the exporter wants when it is told so."""  # noqa: D205, D209 - one sentence

    def __init__(self, exporter: type[Exporter[Any]], plugins: Plugins) -> None:
        super().__init__(exporter.name, help=_help(exporter), short_help=exporter.help, callback=_export)
        for option in _OPTIONS:
            option(self)
        self._exporter, self._plugins = exporter, plugins
        self.told = config_options(exporter, taken=names_of(self.params))
        """The exporter's."""

    def sections(self, ctx: click.Context, args: Sequence[str]) -> Mapping[str, Sequence[click.Option]]:
        """The exporter's, and by what they say those of the adapter, and of a filter before it."""
        look = click.Command("", params=list(self.told), add_help_option=False)
        look.ignore_unknown_options = look.allow_extra_args = True
        with look.make_context("", list(args), resilient_parsing=True) as found:
            ctx.meta[_ASKED] = asked = self._asked(found.params)
        return {
            f"Options of {asked.exporter.name}": self.told,
            "Which rollouts": asked.of_filter,
            f"Options of the adapter {asked.exporter.adapter}": asked.of_adapter,
        }

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Make what was asked for: the callback gets an exporter and an adapter, and no option of theirs."""
        rest = super().parse_args(ctx, args)
        asked: _Asked = ctx.meta[_ASKED]
        of_adapter, of_filter = (_taken(ctx, options) for options in (asked.of_adapter, asked.of_filter))
        _taken(ctx, self.told)
        adapter = _adapter(asked.exporter, self._plugins, of_adapter)
        ctx.params |= {"exporter": asked.exporter, "adapter": _filtered(adapter, of_filter)}
        return rest

    def _asked(self, params: Mapping[str, Any]) -> _Asked:
        from agl_core.export.rows import Filter

        given = {name: value for name, value in params.items() if value is not None}
        made = self._exporter(**configured(self._exporter, self._exporter.name, file={}, sets=(), options=given))
        kind: Any = self._plugins.adapters().get(made.adapter)
        taken = names_of([*self.params, *self.told])
        of_adapter = config_options(cast("type", kind), taken=taken) if is_dataclass(kind) else []
        for option in of_adapter:
            if option.name in made.options:
                option.help = f"{(option.help or '').partition('  [')[0]}  [default: {made.options[option.name]}]"
        of_filter = config_options(Filter, taken={*taken, *names_of(of_adapter)})
        return _Asked(exporter=made, of_adapter=of_adapter, of_filter=of_filter)


def _taken(ctx: click.Context, options: Iterable[click.Option]) -> dict[str, Any]:
    """What was said of them, out of what the callback gets."""
    said = {option.name or "": ctx.params.pop(option.name or "", None) for option in options}
    return {name: value for name, value in said.items() if value is not None}


_OPTIONS: tuple[Callable[[Any], Any], ...] = (
    click.argument("ids", nargs=-1, metavar="[RUN|ROLLOUT]..."),
    click.option("--out", "-o", required=True, type=click.Path(path_type=Path), help="Where to write it."),
    click.option("--force", is_flag=True, help="Replace what is there."),
    click.option(
        "--split", type=click.Choice(SPLITS), default="train", show_default=True,
        help="Which rollouts of a run: what is measured on must not be learnt from.",
    ),
    at,
    log_path,
    quiet,
    as_json,
    log_level,
)  # fmt: skip


def _help(exporter: type[Exporter[Any]]) -> str:
    kind = f"a file {' or '.join(exporter.suffixes)}" if exporter.suffixes else "a folder"
    return (
        f"{exporter.help}\n\nWrites {kind}, from the log and at any time; default: the last run. Exit code 3: the "
        "format cannot hold some of the rows."
    )


def _adapter(exporter: Exporter[Any], plugins: Plugins, given: Mapping[str, Any]) -> Adapter[Any]:
    from agl_core.run._adapters import adapter

    name = exporter.adapter
    try:
        kind: Any = plugins.adapter(name)
    except UnknownName as error:
        if (home := _HOMES.get(name)) is None:
            raise
        cure = f"Is its plugin installed ({home})? `agl plugins` tells"
        raise UnknownName("adapter", name, known=plugins.adapters(), cure=cure) from error
    told = configured(kind, name, file={}, sets=(), options=given) if given else {}
    return adapter(plugins, name, {**exporter.options, **told})


def _filtered(adapter: Adapter[Any], given: Mapping[str, Any]) -> Adapter[Any]:
    from agl_core.export.rows import Filter

    return Filter(**configured(Filter, "filter", file={}, sets=(), options=given)).before(adapter)


def _export(
    *,
    exporter: Exporter[Any],
    adapter: Adapter[Any],
    ids: Sequence[str],
    out: Path,
    split: str,
    force: bool,
    at: str | None,
    log_path: str | None,
    as_json: bool,
    quiet: bool,
) -> None:
    from agl_core.export.rows import RowsOf, choose

    _refuse(exporter, out, force=force)
    with open_log(log_path, at=at) as log:
        chosen = choose(log, [find_either(log, id_) for id_ in ids], split=split)
        progress = counting("rollouts read") if not quiet else lambda _done, _of: None
        rows = RowsOf(log, adapter, chosen, progress=progress)
        try:
            exported = exporter.write(rows, out)
        except ExportEmpty as error:
            raise _empty(rows, error, left_out=chosen.left_out, rollouts=len(chosen)) from None
    _tell(rows, exported, as_json=as_json)
    if exported.skipped:
        sys.exit(_PARTLY)


def _refuse(exporter: Exporter[Any], out: Path, *, force: bool) -> None:
    """What is known to fail fails before the log is read."""
    if exporter.suffixes and out.suffix not in exporter.suffixes:
        cure = f"Give it a name that ends in {' or '.join(exporter.suffixes)}"
        raise ExportRefused(str(out), why=f"{exporter.name} writes a file of another name", cure=cure)
    if exporter.suffixes and out.is_dir():
        raise ExportRefused(str(out), why="it is a folder", cure="Name a file")
    if out.exists() and not force and not (out.is_dir() and not any(out.iterdir())):
        raise ExportExists(str(out))


def _why(reason: str) -> str:
    words = in_words(reason)
    return f"{reason}, {words}" if words else reason


def _empty(rows: RowsOf, error: ExportEmpty, *, left_out: Mapping[str, int], rollouts: int) -> ExportEmpty:
    why = ""
    if not rows.dropped and not error.skipped:
        others = ", ".join(f"{count} of {split}" for split, count in left_out.items())
        why = "its rollouts made no model calls" if rollouts else "there is no such rollout"
        why += f", and {others} were left out: --split takes them" if others else ""
    dropped = {_why(reason): count for reason, count in rows.dropped.items()}
    return ExportEmpty(dropped=dropped, skipped=error.skipped, why=why)


def _tell(rows: RowsOf, exported: Exported, *, as_json: bool) -> None:
    told = rows.told(exported)
    if as_json:
        print_json(told)
    else:
        click.echo(f"{exported.written} rows of {told['rollouts']} rollouts written to {exported.path}")
    for line in _lines(told):
        click.echo(line, err=True)


def _lines(told: Mapping[str, Any]) -> Iterable[str]:
    for split, count in told["left_out"].items():
        yield f"{count} rollouts of {split} were left out: --split takes them"
    if told["erased"]:
        yield f"{told['erased']} rollouts were left out: something of them was erased"
    for reason, count in sorted(told["calls"]["dropped"].items(), key=lambda item: -item[1]):
        yield f"{count} call(s) dropped: {_why(reason)}"
    for reason, count in sorted(told["skipped"].items(), key=lambda item: -item[1]):
        yield f"{count} row(s) skipped, this format cannot hold them: {reason}"
