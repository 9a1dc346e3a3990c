"""Prompts with holes in them: which there are, and how they are filled."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, ClassVar, Literal

from agl_core.errors import BadValue, MissingExtra
from agl_core.resources._kinds import Resource

if TYPE_CHECKING:
    from jinja2 import Environment

__all__ = ["Differences", "PromptTemplate"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Differences:
    """What a template's placeholders are short of another's, and have beyond them. True when there is any."""

    missing: tuple[str, ...] = ()
    invented: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.invented)

    def __str__(self) -> str:
        said = (("lacks", self.missing), ("invents", self.invented))
        return "; ".join(f"{verb} {', '.join(names)}" for verb, names in said if names) or "none"


@dataclass(frozen=True, slots=True)
class PromptTemplate(Resource):
    """A prompt with holes in it."""

    resource_type: ClassVar[str] = "prompt_template"
    template: str
    engine: Literal["jinja", "f-string", "poml"] = "f-string"

    def format(self, **values: Any) -> str:
        """The template with its placeholders filled; braces that are no placeholder (JSON) stay as they are."""
        match self.engine:
            case "f-string":
                return _filled(self.template, values)
            case "jinja":
                return _rendered(self.template, values)
            case _:
                raise _no_poml()

    @property
    def placeholders(self) -> frozenset[str]:
        """The names that `format` wants values for; raises `BadValue` when the template is none."""
        match self.engine:
            case "f-string":
                return frozenset(found["name"] for found in _FIELD.finditer(self.template) if found["name"])
            case "jinja":
                return _undeclared(self.template)
            case _:
                raise _no_poml()

    def unlike(self, base: PromptTemplate) -> Differences:
        """How its placeholders differ from the base's: whoever fills that one could not fill this one, or in part."""
        own, wanted = self.placeholders, base.placeholders
        return Differences(missing=tuple(sorted(wanted - own)), invented=tuple(sorted(own - wanted)))


def _no_poml() -> MissingExtra:
    return MissingExtra("a renderer for POML", install="pip install poml, and pass the rendered text")


_FIELD = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_]\w*)(?P<conversion>![rsa])?(?P<spec>:[^{}]*)?\}")


def _filled(template: str, values: Mapping[str, Any]) -> str:
    """As `str.format` fills it, but `}}` is an escape only where a `{{` before it is: JSON ends in many of them."""
    escapes = 0

    def fill(found: re.Match[str]) -> str:
        nonlocal escapes
        match found[0]:
            case "{{":
                escapes += 1
                return "{"
            case "}}":
                if not escapes:
                    return "}}"
                escapes -= 1
                return "}"
        return _value(found, values)

    return _FIELD.sub(fill, template)


def _value(found: re.Match[str], values: Mapping[str, Any]) -> str:
    name = found["name"]
    if name not in values:
        raise BadValue("placeholder", name, why=f"no value was given for it; given: {', '.join(sorted(values))}")
    conversion, spec = found["conversion"] or "", found["spec"] or ""
    try:
        return ("{" + conversion + spec + "}").format(values[name])
    except (TypeError, ValueError) as error:
        raise BadValue("placeholder", found[0], why=str(error)) from None


def _sandbox() -> Environment:
    # Sandboxed: optimised prompts come from a model, and a template is a program.
    from jinja2 import StrictUndefined
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    return ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)


def _undeclared(template: str) -> frozenset[str]:
    from jinja2 import TemplateError, meta

    try:
        parsed = _sandbox().parse(template)
        asks_for_others = any(True for _ in meta.find_referenced_templates(parsed))
        found = meta.find_undeclared_variables(parsed)
    except (TemplateError, RecursionError) as error:
        raise BadValue("template", template, why=str(error)) from None
    if asks_for_others:
        raise BadValue("template", template, why="it asks for another template, and there is none beside it")
    return frozenset(found)


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    from jinja2 import TemplateError

    try:
        return _sandbox().from_string(template).render(**values)
    # What the expressions in it may raise, as well: `{{ 1 / 0 }}`, `{{ 1 + "a" }}`, `{{ range(10**9) }}`.
    except (
        TemplateError,
        ArithmeticError,
        AttributeError,
        LookupError,
        RecursionError,
        TypeError,
        ValueError,
    ) as error:
        raise BadValue("template", template, why=f"{type(error).__name__}: {error}") from None
