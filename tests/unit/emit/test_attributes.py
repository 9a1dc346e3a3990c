"""Flat names and nested values, values that OpenTelemetry can carry, tags and links: v0.3's, without its faults."""

import pytest
from hypothesis import given
from hypothesis import strategies as st
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

import agl_core as agl
from agl_core.emit import (
    Link,
    check_attributes_sanity,
    extract_links_from_attributes,
    extract_tags_from_attributes,
    filter_and_unflatten_attributes,
    filter_attributes,
    flatten_attributes,
    make_link_attributes,
    make_tag_attributes,
    query_linked_spans,
    sanitize_attribute_value,
    sanitize_attributes,
    unflatten_attributes,
)
from agl_core.errors import BadValue

# What v0.3 answers; each was asked of it.
FLAT = [
    (
        {"a": {"b": 1, "c": [1, 2], "d": [{"e": 1}, {"e": 2}], "f": None, "g": {}}, "h": []},
        {"a.b": 1, "a.c": [1, 2], "a.d.0.e": 1, "a.d.1.e": 2, "a.f": None},
    ),
    ([{"a": 1}, {"a": 2}], {"0.a": 1, "1.a": 2}),
    ({"a": ["x", 1]}, {"a.0": "x", "a.1": 1}),
]
NESTED = [
    ({"a.b": 1, "a.c.0": 1, "a.c.1": 2, "x": 3}, {"a": {"b": 1, "c": [1, 2]}, "x": 3}),
    ({"0.a": 1, "1.a": 2}, [{"a": 1}, {"a": 2}]),
    ({"0": 1, "2": 2}, {"0": 1, "2": 2}),
    ({"a": 1, "a.b": 2}, {"a": {"b": 2}}),
    ({"a.b": 2, "a": 1}, {"a": {"b": 2}}),
    ({}, {}),
]
VALUES = [
    (1, 1),
    ("s", "s"),
    (True, True),
    (1.5, 1.5),
    (None, "null"),
    ([1, 2], [1, 2]),
    (["a", 1], '["a", 1]'),
    ({"a": 1}, '{"a": 1}'),
    ([], []),
    ([{"a": 1}], '[{"a": 1}]'),
    ((1, 2), "[1, 2]"),
]


@pytest.mark.parametrize(("nested", "flat"), FLAT)
def test_flattening(nested, flat):
    """Maps and mixed lists get names; a list of one kind stays."""
    assert flatten_attributes(nested) == flat


def test_lists_of_one_kind_are_expanded_when_asked():
    """An empty one has no names at all."""
    assert flatten_attributes({"a": {"c": [1, 2], "d": []}}, expand_leaf_lists=True) == {"a.c.0": 1, "a.c.1": 2}


@pytest.mark.parametrize(("flat", "nested"), NESTED)
def test_unflattening(flat, nested):
    """Names that count from 0 are a list; the order in which they come does not matter."""
    assert unflatten_attributes(flat) == nested


@given(
    st.recursive(
        st.dictionaries(st.text("abc", min_size=1, max_size=3), st.integers() | st.text(), min_size=1),
        lambda inner: st.dictionaries(st.text("abc", min_size=1, max_size=3), inner, min_size=1),
        max_leaves=8,
    )
)
def test_what_was_flattened_comes_back(nested):
    """However deep it is."""
    assert unflatten_attributes(flatten_attributes(nested)) == nested


def test_filtering_goes_by_whole_names():
    """`ab` is not below `a`."""
    flat = {"a.0.x": 1, "a": 2, "ab": 3, "a.1.x": 2}

    assert filter_attributes(flat, "a") == {"a.0.x": 1, "a": 2, "a.1.x": 2}
    assert filter_and_unflatten_attributes(flat, "a") == [{"x": 1}, {"x": 2}]
    assert filter_and_unflatten_attributes(flat, "z") == {}


@pytest.mark.parametrize(("value", "carried"), VALUES)
def test_values_that_can_be_carried_stay(value, carried):
    """Others become JSON."""
    assert sanitize_attribute_value(value) == carried
    assert sanitize_attributes({"name": value}) == {"name": carried}


def test_what_is_no_json_becomes_text_or_is_refused():
    """As asked."""
    assert "object" in sanitize_attribute_value(object())
    with pytest.raises(BadValue):
        sanitize_attribute_value(object(), force=False)


@pytest.mark.parametrize("attributes", [{"a": {"b": 1}}, {2: 3}, {"a": None}, {"a": ["x", 1]}])
def test_what_cannot_be_carried_is_told(attributes):
    """With its name."""
    with pytest.raises(BadValue, match="attribute"):
        check_attributes_sanity(attributes)

    check_attributes_sanity({"a": [1, 2], "b": "c"})


def test_tags_come_back_in_their_order():
    """v0.3 raised where there were none."""
    attributes = make_tag_attributes(["b", "a"])

    assert attributes == {"agentlightning.tag.0": "b", "agentlightning.tag.1": "a"}
    assert extract_tags_from_attributes({**dict(reversed(attributes.items())), "x": 1}) == ["b", "a"]
    assert extract_tags_from_attributes({}) == []


def test_links_come_back():
    """v0.3 raised where there were none."""
    attributes = make_link_attributes({"trace_id": "t", "k": "v"})

    assert attributes == {
        "agentlightning.link.0.key_match": "trace_id",
        "agentlightning.link.0.value_match": "t",
        "agentlightning.link.1.key_match": "k",
        "agentlightning.link.1.value_match": "v",
    }
    assert extract_links_from_attributes(attributes) == [Link("trace_id", "t"), Link("k", "v")]
    assert extract_links_from_attributes({}) == []


@pytest.mark.parametrize(("make", "odd"), [(make_tag_attributes, [1]), (make_link_attributes, {"k": 3})])
def test_tags_and_links_are_text(make, odd):
    """They are compared as text."""
    with pytest.raises(BadValue):
        make(odd)


def test_linked_spans_have_all_of_the_links(step, spans):
    """Attributes exactly, and the ids of the span itself; also of spans of OpenTelemetry."""
    provider, exporter = TracerProvider(), InMemorySpanExporter()
    provider.add_span_processor(SimpleSpanProcessor(exporter))
    with provider.get_tracer("host").start_as_current_span("theirs", attributes={"step": "1"}):
        pass

    @agl.rollout
    def agent(task):
        agl.emit_annotation({"step": "1", "way": "a"})
        agl.emit_annotation({"step": "1", "way": "b"})

    (theirs,) = exporter.get_finished_spans()
    one, two = spans(step(agent))
    found = [one, two, theirs]

    assert query_linked_spans(found, [Link("step", "1")]) == found
    assert query_linked_spans(found, [Link("step", "1"), Link("way", "b")]) == [two]
    assert query_linked_spans(found, [Link("span_id", one.span_id)]) == [one]
    assert query_linked_spans(found, [Link("span_id", format(theirs.context.span_id, "016x"))]) == [theirs]
    assert query_linked_spans(found, [Link("step", "2")]) == query_linked_spans(found, []) == []
