"""Messages, objects, annotations and exceptions, written and read."""

import pytest

import agl_core as agl
from agl_core.emit import semconv
from agl_core.errors import BadValue


@pytest.mark.parametrize("value", [1, 1.5, True, "text", b"\x00\xff", {"a": [1, None]}, [1, "x"], None])
def test_an_object_comes_back_as_it_was(value):
    """Whatever can be written can be read."""
    assert agl.get_object_value(agl.emit_object(value, propagate=False)) == value


@pytest.mark.parametrize(
    ("kind", "literal", "value"), [("int", "3", 3), ("float", "0.5", 0.5), ("bool", "False", False), ("str", "3", "3")]
)
def test_literals_of_v03_are_text(kind, literal, value):
    """It wrote all of them so."""
    attributes = {"agentlightning.object.type": kind, "agentlightning.object.literal": literal}

    assert agl.get_object_value(agl.SpanCoreFields(name="a", attributes=attributes)) == value


@pytest.mark.parametrize(
    "attributes",
    [
        {},
        {"agentlightning.object.json": "{"},
        {"agentlightning.object.type": "int", "agentlightning.object.literal": "x"},
        {"agentlightning.object.type": "bytes", "agentlightning.object.literal": "?"},
    ],
)
def test_what_cannot_be_read_is_none(attributes):
    """A reader never raises on what somebody sent."""
    assert agl.get_object_value(agl.SpanCoreFields(name="a", attributes=attributes)) is None


def test_a_message_is_read_from_the_trace(step, spans):
    """With what was said beside it."""

    @agl.rollout
    def agent(task):
        agl.emit_message("hello", {"to": {"name": "you"}})

    (span,) = spans(step(agent))

    assert agl.get_message_value(span) == "hello"
    assert span.attributes["to.name"] == "you"
    assert agl.get_message_value(agl.SpanCoreFields(name="a")) is None


def test_an_exception_is_an_error_with_its_story(step, spans):
    """The agent goes on."""

    @agl.rollout
    def agent(task):
        try:
            raise ValueError("bad")
        except ValueError as error:
            agl.emit_exception(error, {"step": 2})

    (span,) = spans(step(agent))

    assert (span.name, span.status.status_code, span.status.description) == (
        "agentlightning.exception", "ERROR", "bad",
    )  # fmt: skip
    assert (span.attributes["exception.type"], span.attributes["step"]) == ("ValueError", 2)
    assert "raise ValueError" in span.attributes["exception.stacktrace"]


@pytest.mark.parametrize(
    ("emit", "odd"),
    [
        (agl.emit_message, 3),
        (agl.emit_object, object()),
        (agl.emit_exception, "bad"),
        (agl.emit_annotation, "x"),
        (agl.emit_annotation, {1: 2}),
    ],
)
def test_what_cannot_be_emitted_is_refused(emit, odd):
    """With a code, where it was said."""
    with pytest.raises(BadValue):
        emit(odd, propagate=False)


def test_what_json_has_no_word_for_is_kept_as_text(step, spans):
    """An attempt is not lost for an attribute."""

    @agl.rollout
    def agent(task):
        agl.emit_annotation({"endless": float("inf"), "odd": {1, 2}})

    rollout = step(agent)

    (span,) = spans(rollout)
    assert rollout.status == "succeeded"
    assert span.attributes["endless"] == "inf"


def test_the_names_are_v03_s():
    """Part by part, as its constants had them."""
    assert agl.emit_annotation({}, propagate=False).name == semconv.AGL_ANNOTATION
    assert semconv.LightningSpanAttributes.REWARD.value == "agentlightning.reward"
    assert f"{semconv.LightningSpanAttributes.TAG}.0" == "agentlightning.tag.0"
    assert semconv.LightningResourceAttributes.ROLLOUT_ID == "agentlightning.rollout_id"
