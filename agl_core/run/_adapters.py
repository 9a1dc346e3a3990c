"""An adapter from its name and options, and the options of one that is there: what a log keeps, to make it again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, fields, is_dataclass
from typing import Any, cast

from agl_core.adapter import Adapter
from agl_core.errors import BadValue
from agl_core.plugins import Plugins

__all__ = ["adapter", "options"]


def adapter(plugins: Plugins, name: str, given: Mapping[str, Any]) -> Adapter[Any]:
    """The adapter of that registry name. An option that is a mapping with a `name` is an adapter too, such as
    `credit={"name": "rewards", "rule": "discounted"}`."""  # noqa: D205, D209 - one paragraph
    made = {option: _made(plugins, value) for option, value in given.items()}
    kind = plugins.adapter(name)
    try:
        return kind(**made)
    except TypeError as error:
        raise BadValue(f"adapter {name}", dict(given), why=str(error)) from None


def options(plugins: Plugins, given: Adapter[Any]) -> dict[str, Any] | None:
    """What it was told, so that `adapter` makes an equal one; None of an adapter that no plugin has a name for."""
    if not _has_name(plugins, given):
        return None
    found = {}
    for field in fields(cast("Any", given)):
        value = getattr(given, field.name)
        if callable(value) and is_dataclass(value) and not isinstance(value, type):
            inner = options(plugins, value)
            if inner is None:
                return None
            value = {"name": value.name, **inner}
        elif is_dataclass(value) and not isinstance(value, type):
            value = asdict(value)
        found[field.name] = value
    return found


def _has_name(plugins: Plugins, given: Any) -> bool:
    return is_dataclass(given) and plugins.adapters().get(given.name) is type(given)


def _made(plugins: Plugins, value: Any) -> Any:
    match value:
        case {"name": str(name)}:
            return adapter(plugins, name, {option: told for option, told in value.items() if option != "name"})
    return value
