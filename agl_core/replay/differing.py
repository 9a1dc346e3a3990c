"""Why rows come out other than they were recorded: what can be told from the log and from what is installed."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from agl_core.adapter import Adapter
from agl_core.events import PluginLoaded
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.replay.projection import COUNTED, Projection

__all__ = ["differing"]


def differing(log: SqliteLog, plugins: Plugins, made: Projection) -> list[str]:
    """What is known of it, the likeliest cause first; empty where the rows are those that were recorded."""
    formed = made.recipe.formed
    if formed is None or formed.digest == made.digest:
        return []
    found = list(_versions(log, plugins, made))
    if formed.options is None:
        found.append(
            f"what {formed.adapter} was told then is not recorded, so it was made with its defaults: say it with --set"
        )
    return [*found, *_counts(made)]


def _versions(log: SqliteLog, plugins: Plugins, made: Projection) -> Iterator[str]:
    """Adapters that were of another version then."""
    installed = {one.name: one.version for one in plugins.loaded}
    owners = plugins.owners("agl_register_adapters", lambda _failed: None)
    for adapter in _adapters(made.adapter):
        owner = owners.get(adapter.name, "")
        then, now = _loaded(log, owner, made.recipe.position), installed.get(owner)
        if then is not None and then != now:
            yield f"the adapter {adapter.name} was of plugin {owner} {then}, and now it is of {now}"


def _adapters(made: Adapter[Any]) -> Iterator[Adapter[Any]]:
    yield made
    credit = getattr(made, "credit", None)
    if credit is not None:
        yield from _adapters(credit)


def _loaded(log: SqliteLog, plugin: str, before: int | None) -> str | None:
    """The version that took part last before that position; None where the log does not say."""
    found = None
    for record in log.read(stream="log", types=[PluginLoaded.type], until=before):
        if isinstance(record.event, PluginLoaded) and record.event.name == plugin:
            found = record.event.version
    return found


def _counts(made: Projection) -> Iterator[str]:
    formed, now = made.recipe.formed, made.told()
    assert formed is not None
    then: Mapping[str, Any] = {name: getattr(formed, name) for name in ("captured", "kept", "rows", *COUNTED)}
    told = [f"{name} {_said(was)} then, {_said(now[name])} now" for name, was in then.items() if was != now[name]]
    yield "; ".join(told) if told else f"its {formed.rows} row(s) are as many, and say something else"


def _said(value: Any) -> str:
    if not isinstance(value, Mapping):
        return str(value)
    return ", ".join(f"{count} {reason}" for reason, count in sorted(value.items())) or "none"
