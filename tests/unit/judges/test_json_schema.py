"""`json_schema`: the answer is JSON that fits; partly, where that is wanted."""

from __future__ import annotations

import sys

import pytest

from agl_core.errors import BadValue, ExpectedMissing, MissingExtra
from agl_core.judges import JsonSchema

PERSON = {
    "type": "object",
    "properties": {"name": {"type": "string"}, "age": {"type": "integer", "minimum": 0}},
    "required": ["name", "age"],
    "additionalProperties": False,
}


def test_a_missing_library_is_said_with_its_cure(monkeypatch):
    """When the judge is made, and not after the first rollout."""
    monkeypatch.setitem(sys.modules, "jsonschema", None)

    with pytest.raises(MissingExtra, match="pip install"):
        JsonSchema(schema={})


class TestWithTheLibrary:
    """Wants jsonschema."""

    @pytest.fixture(autouse=True)
    def _library(self):
        pytest.importorskip("jsonschema")

    @pytest.mark.parametrize(
        ("options", "answer", "value"),
        [
            ({}, '{"name": "Ada", "age": 36}', 1.0),
            ({}, '{"name": "Ada"}', 0.0),
            ({}, 'Here:\n```json\n{"name": "Ada", "age": 36}\n```\n', 1.0),
            ({"find": "whole"}, '```json\n{"name": "Ada", "age": 36}\n```', 0.0),
            ({}, "Ada is 36", 0.0),
            ({}, '{"name": "Ada", "age": NaN}', 0.0),
            ({}, "[" * 100_000, 0.0),
            ({"partial": True}, '{"name": "Ada"}', 0.5),
            ({"partial": True}, '{"name": "Ada", "age": -1}', 0.5),
            ({"partial": True}, '{"name": 1, "age": "x"}', 0.0),
            ({"partial": True}, '{"name": "Ada", "age": 36, "more": 1}', 0.0),
            ({"partial": True}, "[]", 0.0),
            ({"partial": True}, "no JSON", 0.0),
        ],
    )
    def test_an_answer_fits_or_does_not(self, rollout, options, answer, value):
        """What is no JSON at all is wrong too."""
        assert JsonSchema(schema=PERSON, **options)(rollout(answer)).value == value

    def test_the_evidence_says_what_is_wrong(self, rollout):
        """By its place."""
        evidence = JsonSchema(schema=PERSON)(rollout('{"name": "Ada", "age": -1}')).evidence

        assert evidence["errors"] == ["$.age: -1 is less than the minimum of 0"]

    def test_a_task_may_have_its_schema(self, rollout):
        """And one that has none is a reason."""
        assert JsonSchema()(rollout("4", task={"schema": {"type": "integer"}})).value == 1.0
        with pytest.raises(ExpectedMissing):
            JsonSchema()(rollout("4", task={}))

    def test_a_schema_that_is_none_is_refused(self, rollout):
        """When the judge is made, or where the task has it."""
        with pytest.raises(BadValue, match="no JSON schema"):
            JsonSchema(schema={"type": "nothing"})
        with pytest.raises(BadValue, match="no JSON schema"):
            JsonSchema()(rollout("4", task={"schema": {"type": 7}}))

    def test_nothing_is_fetched(self, rollout):
        """What a schema refers to elsewhere is a reason, and no request."""
        with pytest.raises(Exception, match=r"Unresolvable|unresolvable"):
            JsonSchema(schema={"$ref": "http://127.0.0.1:9/person.json"})(rollout("4"))
