"""An algorithm's hyper-parameters as options of the command line, and as values from files."""

from __future__ import annotations

import ast
import dataclasses
import inspect
import textwrap
import tomllib
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import NoneType, UnionType
from typing import Any, Literal, Union, get_args, get_origin, get_type_hints

import click
import msgspec

from agl_core.errors import BadValue, UnknownName

__all__ = ["config_class", "config_options", "configured", "read_config"]

_PLAIN = (bool, int, float, str)


def config_class(algorithm: Any) -> type | None:
    """The dataclass an algorithm takes as `config`; None when it takes none."""
    try:
        hint = get_type_hints(algorithm.__init__).get("config")
    except (NameError, TypeError, AttributeError):
        return None
    for kind in (hint, *get_args(hint)):
        if isinstance(kind, type) and dataclasses.is_dataclass(kind):
            return kind
    return None


def config_options(config: type, *, taken: Iterable[str]) -> list[click.Option]:
    """An option a field, with its docstring; a field whose name is `taken` is left to `--set`."""
    kinds, about = get_type_hints(config), _field_docs(config)
    return [
        _option(field.name, kinds[field.name], _help(about.get(field.name, ""), field))
        for field in dataclasses.fields(config)
        if field.name not in taken
    ]


def _option(name: str, kind: Any, about: str) -> click.Option:
    flag, inner = "--" + name.replace("_", "-"), _without_none(kind)
    if inner is bool:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], default=None, help=about)
    if get_origin(inner) is Literal:
        return click.Option([flag, name], type=click.Choice([str(choice) for choice in get_args(inner)]), help=about)
    shown = {int: click.INT, float: click.FLOAT, str: click.STRING}.get(inner)
    metavar = None if shown else "TEXT|JSON" if str in get_args(inner) else "JSON"
    return click.Option([flag, name], type=shown or click.STRING, metavar=metavar, help=about)


def _help(about: str, field: dataclasses.Field[Any]) -> str:
    default: Any = field.default
    if field.default_factory is not dataclasses.MISSING:
        default = field.default_factory()
    if default is dataclasses.MISSING:
        return f"{about}  [required]".strip()
    shown = "a text of its own" if isinstance(default, str) and "\n" in default else default
    return f"{about}  [default: {'none' if shown in (None, '') else shown}]".strip()


def _field_docs(config: type) -> dict[str, str]:
    """Field to the string under it. Python drops those, so the source is read; without a source there are none."""
    found: dict[str, str] = {}
    for cls in reversed(config.__mro__):
        if not dataclasses.is_dataclass(cls):
            continue
        try:
            (body,) = ast.parse(textwrap.dedent(inspect.getsource(cls))).body
        except (OSError, TypeError, SyntaxError, ValueError):
            continue
        previous = None
        for statement in getattr(body, "body", ()):
            match statement:
                case ast.AnnAssign(target=ast.Name(id=name)):
                    previous = name
                case ast.Expr(value=ast.Constant(value=str(text))) if previous:
                    found[previous] = " ".join(text.split())
                    previous = None
                case _:
                    previous = None
    return found


# --- values


def read_config(path: Path) -> dict[str, Any]:
    """The table of a TOML file, or the object of a JSON file."""
    try:
        if path.suffix == ".json":
            return msgspec.json.decode(path.read_bytes(), type=dict[str, Any])
        return tomllib.loads(path.read_text("utf-8"))
    except (OSError, msgspec.MsgspecError, tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BadValue("configuration", str(path), why=str(getattr(error, "strerror", None) or error)) from None


def configured(
    config: type | None, name: str, *, file: Mapping[str, Any], sets: Iterable[str], options: Mapping[str, Any]
) -> dict[str, Any]:
    """Field to value, of the right type: a file's, over them those of `--set key=value`, over them the options'."""
    given: dict[str, Any] = {}
    kinds = _kinds(config) if config else {}
    texts = dict(_assignment(text) for text in sets)
    for source, strict in ((file, True), (texts, False), (options, False)):
        for key, value in source.items():
            field = key.replace("-", "_")
            if field not in kinds:
                raise UnknownName(f"option of {name}", key, known=kinds)
            given[field] = _value(field, value, kinds[field], strict=strict)
    for left_out in _required(config) - given.keys():
        raise BadValue(left_out, None, why=f"{name} has no default for it: give --{left_out.replace('_', '-')}")
    return given


def _kinds(config: type) -> dict[str, Any]:
    """Of its fields; what else has a type there, such as the `name` of a judge, is nobody's to set."""
    hints = get_type_hints(config)
    return {field.name: hints[field.name] for field in dataclasses.fields(config) if field.init}


def _required(config: type | None) -> set[str]:
    missing = dataclasses.MISSING
    fields = dataclasses.fields(config) if config else ()
    return {field.name for field in fields if field.default is missing and field.default_factory is missing}


def _assignment(text: str) -> tuple[str, str]:
    key, equals, value = text.partition("=")
    if not equals or not key.strip():
        raise BadValue("--set", text, why="write it as key=value")
    return key.strip(), value.strip()


def _value(name: str, value: Any, kind: Any, *, strict: bool) -> Any:
    inner = _without_none(kind)
    if _is_adapter(inner):
        return value if not isinstance(value, str) else _adapter_of(name, value)
    try:
        if isinstance(value, str) and not strict and inner not in _PLAIN and get_origin(inner) is not Literal:
            value = _from_text(value, inner)
        return msgspec.convert(value, kind, strict=strict)
    except msgspec.MsgspecError as error:
        raise BadValue(name, value, why=f"{error}") from None


def _is_adapter(kind: Any) -> bool:
    """Whether an option is what another option is made of: only whoever makes it knows its type."""
    return bool(getattr(get_origin(kind) or kind, "_is_protocol", False))


def _adapter_of(name: str, text: str) -> Any:
    """JSON of its name and its options; or its name alone, which of a credit may be that of a rule."""
    if text.isidentifier():
        return text if name == "credit" else {"name": text}
    try:
        return msgspec.json.decode(text)
    except (msgspec.DecodeError, UnicodeError) as error:
        raise BadValue(f"--{name.replace('_', '-')}", text, why=f"it is no JSON: {error}") from None


def _from_text(text: str, kind: Any) -> Any:
    """JSON; of a field that may be a text, what does not look like a mapping or a list of it is one."""
    return text if str in get_args(kind) and not text.lstrip().startswith(("{", "[")) else msgspec.json.decode(text)


def _without_none(kind: Any) -> Any:
    """`int` for `int | None`; the type itself when there is more to choose from."""
    if get_origin(kind) in {Union, UnionType}:
        left = [choice for choice in get_args(kind) if choice is not NoneType]
        return left[0] if len(left) == 1 else kind
    return kind
