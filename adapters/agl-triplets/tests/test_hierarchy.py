"""A tree out of spans, however they come: lost parents, circles, and what hangs at the root by mistake."""

import random
import sys
from dataclasses import replace

import agl_triplets._hierarchy as hierarchy
import pytest
from agl_triplets._hierarchy import grown, mended, walk

from agl_core.adapter import Trace
from agl_core.events import SpanRecorded


def span(span_id, began, ended, parent=None):
    """A span."""
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=span_id, parent_id=parent, name=span_id,
        started_at=began, ended_at=ended,
    )  # fmt: skip


def traced(*spans):
    """A trace of them."""
    return Trace(rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", status="succeeded", spans=spans)


def tree(*spans, mend=False):
    """By id, what each hangs in; the root is the empty name."""
    root = grown(traced(*spans))
    root = mended(root) if mend else root
    return {piece.id: piece.above.id for piece in walk(root) if piece is not root}


def test_spans_hang_in_their_parents():
    """Whatever the order they came in."""
    spans = [span("c", 3, 4, "b"), span("b", 2, 5, "a"), span("a", 1, 6)]

    assert tree(*spans) == {"a": "", "b": "a", "c": "b"}


def test_what_began_first_comes_first():
    """Of two at once, the one that was recorded first."""
    root = grown(traced(span("c", 5, 6), span("b", 1, 9), span("a", 5, 5)))

    assert [piece.id for piece in walk(root)] == ["", "b", "c", "a"]


def test_spans_of_one_lost_parent_hang_together():
    """In a piece as long as they are."""
    root = grown(traced(span("a", 3, 4, "lost"), span("b", 7, 9, "lost"), span("c", 1, 2)))
    lost = next(piece for piece in walk(root) if piece.id == "lost")

    assert [piece.id for piece in lost.below] == ["a", "b"]
    assert (lost.started_at, lost.ended_at, lost.span) == (3, 9, None)


@pytest.mark.parametrize("order", [(0, 1, 2, 3), (3, 2, 1, 0), (1, 3, 0, 2)])
def test_a_circle_is_cut_at_what_was_recorded_last(order):
    """Nothing of it is lost, and what hangs in it stays there; v0.3 raises, or loses it."""
    spans = [span("a", 1, 2, "c"), span("b", 1, 2, "a"), span("c", 1, 2, "b"), span("tail", 1, 2, "b")]
    came = [spans[place] for place in order]
    last = [one.span_id for one in came if one.span_id != "tail"][-1]

    found = tree(*came)

    assert found == {"a": "c", "b": "a", "c": "b", "tail": "b", last: ""}


def test_a_span_in_itself_hangs_at_the_root():
    """The smallest circle."""
    assert tree(span("a", 1, 2, "a")) == {"a": ""}


def test_what_hangs_at_the_root_goes_to_the_tightest_span_around_it():
    """As a call that another tracer has seen does."""
    spans = [span("agent", 0, 20), span("tool", 2, 10, "agent"), span("call", 3, 4), span("late", 25, 26)]

    assert tree(*spans, mend=True) == {"agent": "", "tool": "agent", "call": "tool", "late": ""}


def test_the_root_is_below_what_all_else_hangs_in():
    """A session around everything is no home."""
    spans = [
        span("session", 0, 100),
        span("run", 0, 90, "session"),
        span("agent", 1, 20, "run"),
        span("call", 3, 4, "run"),
    ]

    assert tree(*spans, mend=True)["call"] == "agent"


def test_a_span_of_the_very_same_time_is_not_around_it():
    """Neither is inside the other; both go to what is longer."""
    spans = [span("agent", 0, 20), span("a", 3, 4), span("b", 3, 4), span("x", 30, 31)]

    assert tree(*spans, mend=True) == {"agent": "", "a": "agent", "b": "agent", "x": ""}


def test_of_two_as_tight_the_first_from_the_outside_in_counts():
    """The one that began first."""
    spans = [span("late", 4, 14), span("early", 2, 12), span("call", 5, 6), span("x", 30, 31)]

    assert tree(*spans, mend=True)["call"] == "early"


def test_nothing_hangs_in_itself():
    """A child that outlives its parent is around it; v0.3 hangs the parent in it, and loses both."""
    spans = [span("parent", 2, 5), span("child", 2, 9, "parent"), span("x", 30, 31)]

    assert tree(*spans, mend=True) == {"parent": "", "child": "parent", "x": ""}


def test_no_two_hang_in_each_other():
    """Each has a child around the other one."""
    spans = [span("a", 5, 6), span("in-a", 0, 10, "a"), span("b", 3, 4), span("in-b", 3, 7, "b"), span("x", 30, 31)]

    found = tree(*spans, mend=True)

    assert len(found) == 5
    assert (found["a"], found["b"]) in {("in-b", ""), ("", "in-a")}


def around(spans):
    """The tightest span around each, by looking at all: what the sweep must find."""
    found = {}
    for one in spans:
        fitting = [
            other
            for other in spans
            if other.started_at <= one.started_at
            and other.ended_at >= one.ended_at
            and (other.started_at, other.ended_at) != (one.started_at, one.ended_at)
        ]
        ordered = sorted(fitting, key=lambda other: (other.ended_at - other.started_at, other.started_at))
        found[one.span_id] = ordered[0].span_id if ordered else ""
    return found


@pytest.mark.parametrize("seed", range(20))
def test_the_sweep_finds_what_looking_at_all_finds(seed):
    """In flat traces, where all hangs at the root."""
    chance = random.Random(seed)
    begins = chance.sample(range(1000), 40)  # no two begin at once: then a tie is the earlier one's
    spans = [span(f"s{number}", begin, begin + chance.randrange(300)) for number, begin in enumerate(begins)]

    assert tree(*spans, mend=True) == around(spans)


def test_a_deep_trace_is_a_tree_like_any_other():
    """v0.3 follows parents by recursion."""
    depth = sys.getrecursionlimit() * 3
    spans = [span(f"s{number}", number, 2 * depth - number, f"s{number - 1}") for number in range(depth)]

    found = tree(replace(spans[0], parent_id=None), *spans[1:], mend=True)

    assert len(found) == depth


@pytest.mark.parametrize("shape", ["flat", "chain", "lost parents"])
def test_steps_grow_with_the_spans_and_not_with_their_square(shape, monkeypatch):
    """Counted, not timed: three thousand spans take thirty times the steps of a hundred, and a logarithm."""

    def steps(count):
        parents = {
            "flat": lambda _number: None,
            "chain": lambda number: f"s{number - 1}" if 0 < number < count // 2 else None,
            "lost parents": lambda number: f"lost-{number}",
        }[shape]
        chance = random.Random(count)
        times = [(chance.randrange(10**6), chance.randrange(10**6)) for _ in range(count)]
        trace = traced(*(span(f"s{n}", min(time), max(time), parents(n)) for n, time in enumerate(times)))
        taken = 0

        def count_line(_frame, event, _argument):
            nonlocal taken
            taken += event == "line"
            return count_line

        def watch(frame, event, _argument):
            return count_line if frame.f_code.co_filename == hierarchy.__file__ else None

        before = sys.gettrace()
        sys.settrace(watch)
        try:
            mended(grown(trace))
        finally:
            sys.settrace(before)
        return taken

    assert steps(3000) < 30 * 2.5 * steps(100)
