"""The answer is JSON, and fits a schema."""

from __future__ import annotations

import importlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

from agl_core.errors import BadValue, ExpectedMissing, MissingExtra
from agl_core.judges._answer import Answer, answer_of, check_answer
from agl_core.judges._expected import expected_of, shown
from agl_core.judges._judge import Verdict
from agl_core.projections import Trace

__all__ = ["JsonSchema"]

_FENCE = re.compile(r"```[a-zA-Z]*[ \t]*\n(.*?)```", re.DOTALL)
_SHOWN = 5


@dataclass(frozen=True, slots=True, kw_only=True)
class JsonSchema:
    """1 where the answer is JSON that fits, else 0. Wants the library jsonschema; nothing is fetched from anywhere."""

    name: ClassVar[str] = "json_schema"
    version: ClassVar[str] = "1"

    schema: Mapping[str, Any] | None = None
    """The schema; left out, the task says it where `expected` points."""
    expected: str = "schema"
    """Where the task has its schema: a.b.c."""
    answer: Answer = "last"
    """Where the answer is: last, agent:NAME, message, object:PATH, annotation:KEY, or a template."""
    find: Literal["whole", "fenced"] = "fenced"
    """All of the answer is JSON; or what stands in its last ``` fence, where it has one."""
    partial: bool = False
    """Of an object, the share of its properties that are there and fit; all that the schema names, or wants."""

    def __post_init__(self) -> None:
        check_answer(self.answer)
        if self.schema is not None:
            _validator(self.schema, "schema")

    def __call__(self, trace: Trace) -> Verdict:
        """Pure."""
        schema = self.schema if self.schema is not None else expected_of(trace, self.expected)
        if not isinstance(schema, Mapping | bool):
            raise ExpectedMissing(self.expected, why="a schema is an object")
        validator = _validator(schema, self.expected)
        text = answer_of(trace, self.answer)
        evidence: dict[str, Any] = {"answer": shown(text)}
        try:
            value = _strict(self._found(text))
        except (ValueError, RecursionError) as error:
            return Verdict(value=0.0, evidence={**evidence, "errors": [f"it is not JSON: {error}"]})
        errors = list(validator.iter_errors(value))
        told = [f"{error.json_path}: {shown(error.message)}" for error in errors[:_SHOWN]]
        evidence |= {"errors": told, "of": len(errors)}
        if not errors:
            return Verdict(value=1.0, evidence=evidence)
        return Verdict(value=_share(schema, value, errors) if self.partial else 0.0, evidence=evidence)

    def _found(self, text: str) -> str:
        fences = _FENCE.findall(text) if self.find == "fenced" else []
        return str(fences[-1]) if fences else text


def _validator(schema: Any, field: str) -> Any:
    try:
        library = importlib.import_module("jsonschema")
        # Without a registry of our own it would fetch what a schema refers to from the network.
        registry = importlib.import_module("jsonschema_specifications").REGISTRY
    except ImportError:
        raise MissingExtra("jsonschema", install="pip install jsonschema") from None
    kind = library.validators.validator_for(schema)
    try:
        kind.check_schema(schema)
    except library.exceptions.SchemaError as error:
        raise BadValue(field, schema, why=f"it is no JSON schema: {error.message}") from None
    return kind(schema, registry=registry)


def _strict(text: str) -> Any:
    """JSON without NaN and infinities, which Python reads and nobody else does."""

    def refuse(word: str) -> Any:
        raise ValueError(f"{word} is no JSON")

    return json.loads(text, parse_constant=refuse)


def _share(schema: Any, value: Any, errors: list[Any]) -> float:
    """Of an object, the share of its properties with nothing wrong; 0 of anything else, or of a wrong object."""
    if not isinstance(value, dict) or not isinstance(schema, Mapping):
        return 0.0
    wanted = {*schema.get("properties", {}), *schema.get("required", ())}
    missing = wanted & set(schema.get("required", ())) - value.keys()
    wrong = {error.path[0] for error in errors if error.path}
    if not wanted or any(not error.path and error.validator != "required" for error in errors):
        return 0.0
    return len(wanted - missing - wrong) / len(wanted)
