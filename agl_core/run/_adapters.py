"""An adapter from its name and options, and the options of one that is there: what a log keeps, to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any

import msgspec

from agl_core.adapter import Adapter
from agl_core.errors import BadValue
from agl_core.plugins import Plugins

__all__ = ["RULES", "adapter", "options"]

RULES = "rewards"
"""Registry name of the adapter whose rules `credit` names."""


def adapter(plugins: Plugins, name: str, given: Mapping[str, Any]) -> Adapter[Any]:
    """The adapter of that registry name. An option that is a mapping with a `name` is an adapter too. `credit` may be
    shorter: an adapter's name, a rule of `rewards`, or options of it, as in `{"rule": "sum"}`."""  # noqa: D205, D209
    kind: Any = plugins.adapter(name)
    if is_dataclass(kind) and (unknown := sorted(given.keys() - set(_options_of(kind)))):
        raise BadValue(f"adapter {name}", unknown, why=f"its options are {', '.join(_options_of(kind)) or 'none'}")
    told = {
        option: _made(plugins, _credit(plugins, value) if option == "credit" else value)
        for option, value in given.items()
    }
    try:
        made: Adapter[Any] = kind(**told)
    except TypeError as error:
        raise BadValue(f"adapter {name}", dict(given), why=str(error)) from None
    return made


def options(plugins: Plugins, given: Adapter[Any]) -> dict[str, Any] | None:
    """What it was told, so that `adapter` makes an equal one; None of an adapter that no plugin has a name for, and of
    one that was told what cannot be written down."""  # noqa: D205, D209 - one sentence
    found = _told(plugins, given)
    try:
        msgspec.json.encode(found)
    except (TypeError, msgspec.MsgspecError):
        return None
    return found


def _told(plugins: Plugins, given: Any) -> dict[str, Any] | None:
    if not _has_name(plugins, given):
        return None
    found: dict[str, Any] = {}
    for option in _options_of(given):
        value = getattr(given, option)
        if is_dataclass(value) and not isinstance(value, type):
            value = _mapping(plugins, value)
            if value is None:
                return None
        found[option] = value
    return found


def _mapping(plugins: Plugins, value: Any) -> dict[str, Any] | None:
    """A value among the options; of an adapter, one that `adapter` makes it of again."""
    if not callable(value):
        return asdict(value)
    inner = _told(plugins, value)
    return None if inner is None else {"name": value.name, **inner}


def _has_name(plugins: Plugins, given: Any) -> bool:
    known: Any = plugins.adapters().get(getattr(given, "name", ""))
    return is_dataclass(given) and known is type(given)


def _options_of(kind: Any) -> tuple[str, ...]:
    return tuple(field.name for field in fields(kind) if field.init)


def _credit(plugins: Plugins, value: Any) -> Any:
    """What was said in short, at length."""
    match value:
        case str():
            return {"name": value} if value in plugins.adapters() else {"name": RULES, "rule": value}
        case Mapping() if "name" not in value:
            return {"name": RULES, **value}
    return value


def _made(plugins: Plugins, value: Any) -> Any:
    match value:
        case {"name": str(name)}:
            return adapter(plugins, name, {option: told for option, told in value.items() if option != "name"})
    return value
