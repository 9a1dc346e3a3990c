"""What an agent is given: models to ask and prompts to ask with. Agent Lightning's fields, frozen."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import Any, ClassVar, Literal, Protocol

from agl_core.errors import BadValue, MissingExtra

__all__ = ["LLM", "NamedResources", "PromptTemplate", "ProxyLLM", "Resource", "ResourcesUpdate", "dump", "load"]


class Resource:
    """Something with a name in a bundle."""

    __slots__ = ()
    resource_type: ClassVar[str]


class Attempted(Protocol):
    """What carries the ids of an attempt: an `AttemptedRollout`."""

    @property
    def rollout_id(self) -> str: ...

    @property
    def attempt_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LLM(Resource):
    """A model behind an OpenAI-compatible endpoint."""

    resource_type: ClassVar[str] = "llm"
    endpoint: str
    """Base URL; ends in `/v1` when the gateway made it."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    """Never written to the log."""
    sampling_parameters: Mapping[str, Any] = field(default_factory=dict)

    def get_base_url(self, rollout_id: str | None = None, attempt_id: str | None = None) -> str:
        """The endpoint; a plain LLM has the same one for every attempt."""
        return self.endpoint


@dataclass(frozen=True, slots=True)
class ProxyLLM(LLM):
    """A model behind a gateway that tells attempts apart by their URL."""

    resource_type: ClassVar[str] = "proxy_llm"

    def get_base_url(self, rollout_id: str | None = None, attempt_id: str | None = None) -> str:
        """`{gateway}/rollout/{rollout_id}/attempt/{attempt_id}/v1`; without ids, the plain endpoint."""
        if rollout_id is None and attempt_id is None:
            return self.endpoint
        if rollout_id is None or attempt_id is None:
            raise BadValue("attempt", (rollout_id, attempt_id), why="give both ids, or none")
        root, v1 = self.endpoint.rstrip("/"), ""
        if root.endswith("/v1"):
            root, v1 = root[: -len("/v1")], "/v1"
        return f"{root}/rollout/{rollout_id}/attempt/{attempt_id}{v1}"

    def with_attempted_rollout(self, rollout: Attempted) -> LLM:
        """A plain LLM that only this attempt uses."""
        return LLM(
            endpoint=self.get_base_url(rollout.rollout_id, rollout.attempt_id),
            model=self.model,
            api_key=self.api_key,
            sampling_parameters=self.sampling_parameters,
        )


_FIELD = re.compile(r"\{\{|\}\}|\{(?P<name>[A-Za-z_]\w*)(?P<conversion>![rsa])?(?P<spec>:[^{}]*)?\}")


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
                raise MissingExtra("a renderer for POML", install="pip install poml, and pass the rendered text")


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


def _rendered(template: str, values: Mapping[str, Any]) -> str:
    # Sandboxed: optimised prompts come from a model, and a template is a program.
    from jinja2 import StrictUndefined, TemplateError
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    environment = ImmutableSandboxedEnvironment(undefined=StrictUndefined, keep_trailing_newline=True)
    try:
        return environment.from_string(template).render(**values)
    except TemplateError as error:
        raise BadValue("template", template, why=str(error)) from None


NamedResources = Mapping[str, Resource]
"""Name to resource, as an agent receives it."""


@dataclass(frozen=True, slots=True, kw_only=True)
class ResourcesUpdate:
    """One version of a bundle, as it was published."""

    resources_id: str
    version: int
    create_time: float
    """Seconds since the epoch."""
    update_time: float
    resources: NamedResources
    parent: str | None = None
    why: str = ""


_KINDS: Mapping[str, type[LLM | PromptTemplate]] = {
    kind.resource_type: kind for kind in (LLM, ProxyLLM, PromptTemplate)
}


def dump(resource: Resource) -> dict[str, Any]:
    """The resource as the log keeps it; without its API key."""
    match resource:
        case LLM():
            return {
                "resource_type": resource.resource_type,
                "endpoint": resource.endpoint,
                "model": resource.model,
                "sampling_parameters": dict(resource.sampling_parameters),
            }
        case PromptTemplate():
            return {"resource_type": "prompt_template", "template": resource.template, "engine": resource.engine}
    raise BadValue("resource", resource, why=f"a resource is one of {', '.join(sorted(_KINDS))}")


def load(data: Mapping[str, Any], *, api_key: str | None = None) -> Resource:
    """The resource that `dump` wrote, with a key from elsewhere if it takes one."""
    fields = dict(data)
    kind = _KINDS.get(fields.pop("resource_type", ""))
    if kind is None:
        raise BadValue("resource_type", data.get("resource_type"), why=f"known are {', '.join(sorted(_KINDS))}")
    made = kind(**fields)
    return replace(made, api_key=api_key) if isinstance(made, LLM) and api_key else made
