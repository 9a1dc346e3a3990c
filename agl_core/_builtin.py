"""The plugin that the core itself is: what it brings comes in through the same door as everybody's."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal

from agl_core.errors import BadValue, LogReadOnly, LogUnsupported
from agl_core.hookspecs import hookimpl

if TYPE_CHECKING:
    from agl_core.codec import Codec
    from agl_core.engine import Engine
    from agl_core.executors import InProcess
    from agl_core.export import Exporter, Log
    from agl_core.preflight import Check
    from agl_core.record import Draft
    from agl_core.recorder import Recorder
    from agl_core.spans import SpanDialect

_NAMES = {"inprocess", "shm"}


@hookimpl
def agl_open_log(url: str, readonly: bool, codec: Codec, redact: Callable[[Draft], Draft]) -> Log | None:  # noqa: FBT001
    """`sqlite:///path?durability=full`, a plain path, or `:memory:`; for reading also what `agl log export` writes."""
    from agl_core.export import Log, LogArchive
    from agl_core.log import Format
    from agl_core.projections import CORE

    scheme, found, rest = url.partition("://")
    if found and scheme not in {"sqlite", "duckdb"}:
        return None
    # As everywhere in Python: sqlite:///relative.db and sqlite:////absolute.db.
    place, _, options = rest.removeprefix("/").partition("?") if found else (url, "", "")
    path = Path(place)
    if not readonly and url.startswith("duckdb:"):
        raise _not_live(url, Format.DUCKDB)
    if (kind := Format.meant(path)) == Format.SQLITE:
        durability = _durability(options)
        return Log(path, projections=CORE, codec=codec, redact=redact, readonly=readonly, durability=durability)
    if not readonly and not path.exists():
        raise _not_live(url, kind)
    if not readonly:
        raise LogReadOnly(url, why="it is an export", cure=f"Make a log of it: `agl log import {path} run.db`")
    return LogArchive(path, projections=CORE, codec=codec)


def _durability(options: str) -> Literal["normal", "full"]:
    """Of `?durability=full`; there is no other option."""
    name, _, value = options.partition("=")
    if options and (name != "durability" or value not in {"normal", "full"}):
        raise BadValue("log option", options, why="known are durability=normal and durability=full")
    return "full" if value == "full" else "normal"


def _not_live(url: str, kind: str) -> LogUnsupported:
    if kind == "duckdb":
        why = "DuckDB lets one process at the file, and commits a few hundred times a second"
        cure = (
            "Use an SQLite path; `agl log query` asks it questions through DuckDB, `agl log export` makes a DuckDB file"
        )
    else:
        why = "a file of that kind is written once, as a whole"
        cure = "Use an SQLite path; `agl log export` makes such a file of it"
    return LogUnsupported(url, why=why, cure=cure)


@hookimpl
def agl_open_engine(url: str, name: str) -> Engine | None:
    """`https://host/v1#model`: a model that others serve."""
    from agl_core.engine import Hosted

    return Hosted(url, name) if url.startswith(("http://", "https://")) else None


@hookimpl
def agl_open_executor(name: str, config: Mapping[str, Any]) -> InProcess | None:
    """`inprocess` (also by Agent Lightning's name for it, `shm`)."""
    from agl_core.executors import InProcess

    return InProcess(**config) if name in _NAMES else None


@hookimpl
def agl_register_adapters() -> Mapping[str, Any]:
    """`attempts`: what each left, whole."""
    from agl_core.export.rows import Attempts

    return {Attempts.name: Attempts}


@hookimpl
def agl_register_algorithms() -> Mapping[str, Any]:
    """`baseline` and `collect`: no learning, or none yet."""
    from agl_core.algorithm import Baseline, Collect

    return {kind.name: kind for kind in (Baseline, Collect)}


@hookimpl
def agl_register_judges() -> Mapping[str, Any]:
    """`exact_match`, `json_schema`, `llm`, `numeric` and `regex`."""
    from agl_core.judges import ExactMatch, JsonSchema, Llm, Numeric, Regex

    return {kind.name: kind for kind in (ExactMatch, JsonSchema, Llm, Numeric, Regex)}


@hookimpl
def agl_register_reactions() -> Mapping[str, Any]:
    """`promote_best` and `stop_early`."""
    from agl_core.algorithm import PromoteBest, StopEarly

    return {kind.name: kind for kind in (PromoteBest, StopEarly)}


@hookimpl
def agl_register_dialects() -> Sequence[SpanDialect]:
    """Those of the core, which are asked last."""
    from agl_core.spans import DIALECTS

    return DIALECTS


@hookimpl
def agl_register_exporters() -> Mapping[str, type[Exporter[Any]]]:
    """What training tools read."""
    from agl_core.export import rows

    kinds: Sequence[type[Exporter[Any]]] = (
        rows.OpenAiSft,
        rows.OpenAiDpo,
        rows.ShareGpt,
        rows.Trl,
        rows.Hf,
        rows.Jsonl,
        rows.V03Triplets,
        rows.Atif,
        rows.VerlRl,
        rows.VerlSft,
    )
    return {kind.name: kind for kind in kinds}


@hookimpl
def agl_register_checks() -> Sequence[Check]:
    """What a doctor looks at everywhere."""
    from agl_core.preflight import CHECKS

    return CHECKS


@hookimpl
def agl_install_tracer(recorder: Recorder) -> AbstractContextManager[None]:
    """Record model calls that an agent sends past the gateway."""
    from agl_core.tap import tapping

    return tapping(recorder)
