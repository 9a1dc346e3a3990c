"""What a fork has otherwise than its parent: resources that were set anew, and what may differ in requests for it."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from difflib import get_close_matches
from pathlib import Path
from typing import Any, get_args, get_type_hints

from agl_core.errors import BadValue
from agl_core.events import ModelCall
from agl_core.replay._forms import Form, without_instructions, without_opening
from agl_core.resources import LLM, NamedResources, PromptTemplate, Resource, dump

__all__ = ["Changes", "changes"]

_OPTION = "--set"
_FORM = "write it as resources.NAME=VALUE, resources.NAME.FIELD=VALUE, or with @FILE for a value"
_SAMPLED = "sampling_parameters"
_ALIASES = {"max_completion_tokens": "max_tokens", "max_output_tokens": "max_tokens", "stop_sequences": "stop"}
"""Names of sampling fields in requests that are told as another one."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Changes:
    """Nothing else may differ between a fork and its parent, up to where it goes on live."""

    resources: Mapping[str, Resource] = field(default_factory=dict)
    """Those that were set anew, whole."""
    sampling: Mapping[str, Mapping[str, Any]] = field(default_factory=dict)
    """Name of an LLM to what was set of its sampling."""
    models: Mapping[str, str] = field(default_factory=dict)
    """Name to the URL of who answers for it now."""

    def __bool__(self) -> bool:
        return bool(self.resources or self.models)

    @property
    def sampled(self) -> dict[str, Any]:
        """All that was set of sampling."""
        return {name: value for told in self.sampling.values() for name, value in told.items()}

    def to_json(self) -> dict[str, Any]:
        """As `replay.started` has it."""
        found: dict[str, dict[str, Any]] = {name: dump(resource) for name, resource in self.resources.items()}
        for name, url in self.models.items():
            found[name] = {**found.get(name, {}), "answered_by": url}
        return found

    def told(self) -> list[str]:
        """Each of them in a few words."""
        prompts = [name for name, one in self.resources.items() if isinstance(one, PromptTemplate)]
        sampled = [
            f"{name}.{field_} {json.dumps(value)}"
            for name, told in self.sampling.items()
            for field_, value in told.items()
        ]
        return [*prompts, *sampled, *(f"{name} answered by {url}" for name, url in self.models.items())]

    def applied(self, then: NamedResources) -> dict[str, Resource]:
        """What the rollout was given, with these in their places."""
        return {name: self.resources.get(name, resource) for name, resource in then.items()}

    def explained(self, then: NamedResources) -> tuple[Form, ...]:
        """What takes out of a request all that these may alter, the least first; none where they alter nothing."""
        says_else = any(isinstance(resource, PromptTemplate) for resource in self.resources.values())
        llms = {name: llm for name, llm in then.items() if isinstance(llm, LLM)}
        fields = {llms[name].model: frozenset(told) for name, told in self.sampling.items()}
        renamed = {
            model
            for called in self.models
            for name, llm in llms.items()
            if called in {name, llm.model} and called != llm.model
            for model in (called, llm.model)
        }

        def asked_otherwise(call: ModelCall) -> ModelCall:
            if call.model in fields:
                call = _without(call, fields[call.model])
            return replace(call, model="") if call.model in renamed else call

        if says_else:
            # Instructions first: what a user says is as it was, as a rule.
            return tuple(
                lambda call, without=without: asked_otherwise(without(call))
                for without in (without_instructions, without_opening)
            )
        return (asked_otherwise,) if fields or renamed else ()


def changes(then: NamedResources, sets: Sequence[str], *, models: Mapping[str, str]) -> Changes:
    """What `--set` and `--model` say, of what a rollout was given; raises `BadValue` for what cannot be."""
    found: dict[str, Resource] = {}
    sampling: dict[str, dict[str, Any]] = {}
    for text in sets:
        name, path, value = _parted(text)
        if name not in then:
            near = get_close_matches(name, then, n=1)
            hint = f"; did you mean {near[0]!r}?" if near else ""
            raise BadValue(_OPTION, text, why=f"the rollout was given {', '.join(sorted(then)) or 'nothing'}{hint}")
        match found.get(name, then[name]):
            case PromptTemplate() as prompt:
                found[name] = _prompt(prompt, path, value, text)
            case LLM() as llm:
                field_, told = _sampled(path, value, text)
                sampling.setdefault(name, {})[field_] = told
                found[name] = replace(llm, sampling_parameters={**llm.sampling_parameters, field_: told})
    for name, resource in found.items():
        if isinstance(resource, PromptTemplate):
            _refuse_unfilled(name, resource, then[name])
    return Changes(resources=found, sampling=sampling, models=models)


def _parted(text: str) -> tuple[str, list[str], str]:
    """Name of the resource, the field of it that is meant, and the value."""
    key, equals, value = text.partition("=")
    first, _, rest = key.partition(".")
    name, *path = rest.split(".")
    if not equals or first != "resources" or not name:
        raise BadValue(_OPTION, text, why=_FORM)
    return name, path, _read(value, text) if value.startswith("@") else value


def _read(value: str, text: str) -> str:
    path = Path(value[1:]).expanduser()
    try:
        return path.read_bytes().decode("utf-8")
    except UnicodeDecodeError:
        raise BadValue(_OPTION, text, why=f"{path} is no text in UTF-8") from None
    except OSError as error:
        raise BadValue(_OPTION, text, why=f"{path} cannot be read: {error.strerror}") from None


def _prompt(prompt: PromptTemplate, path: Sequence[str], value: str, text: str) -> PromptTemplate:
    match list(path):
        case [] | ["template"]:
            return replace(prompt, template=value)
        case ["engine"]:
            known = get_args(get_type_hints(PromptTemplate)["engine"])
            if value not in known:
                raise BadValue(_OPTION, text, why=f"an engine is one of {', '.join(known)}")
            return replace(prompt, engine=value)  # type: ignore[arg-type]  # it is one of them
    raise BadValue(_OPTION, text, why="of a prompt, `template` and `engine` can be set")


def _sampled(path: Sequence[str], value: str, text: str) -> tuple[str, Any]:
    name = path[-1] if path else ""
    if list(path) not in ([name], [_SAMPLED, name]) or name in {"", _SAMPLED}:
        raise BadValue(
            _OPTION, text, why="of an LLM, one field of its sampling can be set: resources.NAME.temperature=0.2"
        )
    if name in {"endpoint", "model", "api_key"}:
        raise BadValue(_OPTION, text, why="who answers is said with --model NAME=URL")
    try:
        return name, json.loads(value)
    except ValueError:
        return name, value


def _refuse_unfilled(name: str, prompt: PromptTemplate, then: Resource) -> None:
    """Raise for a prompt that the agent, which fills the one of then, would not fill."""
    if not isinstance(then, PromptTemplate) or not (unlike := prompt.unlike(then)):
        return
    holes = ", ".join(sorted(then.placeholders)) or "none"
    raise BadValue(f"resources.{name}", prompt.template, why=f"it {unlike}: the agent fills {holes}")


def _without(call: ModelCall, fields: frozenset[str]) -> ModelCall:
    """The call without these fields of its sampling."""
    told = {_ALIASES.get(name, name) for name in fields}
    known: dict[str, Any] = {name: () if name == "stop" else None for name in told if hasattr(call.sampling, name)}
    extra = {name: value for name, value in call.extra.items() if name not in fields}
    return replace(call, sampling=replace(call.sampling, **known), extra=extra)
