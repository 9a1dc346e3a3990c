"""Server-sent events: the same ones wherever the pieces end, and every byte once."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.wire import sse
from agl_core.wire.sse import Events, Sent, said

LINES = st.text(st.characters(codec="utf-8", exclude_characters="\r\n"), max_size=12)
ENDS = st.sampled_from(["\n", "\r\n", "\r"])


def told(stream: bytes, cuts: Sequence[int] = ()) -> tuple[list[Sent], bytes]:
    """The events of `stream`, cut at these places, and what is left."""
    events = Events()
    places = [0, *sorted(cut % (len(stream) + 1) for cut in cuts), len(stream)]
    found = [event for start, end in pairwise(places) for event in events.feed(stream[start:end])]
    return found, events.rest


@st.composite
def streams(draw: st.DrawFn) -> bytes:
    """Fields, comments and blank lines, in any order, with any ends of lines."""
    fields = st.sampled_from(["data: ", "data:", "event: ", ": ", "id: ", "retry: ", "", "\ufeff"])
    lines = draw(st.lists(st.tuples(fields, LINES | st.just(""), ENDS), max_size=12))
    return "".join("".join(line) for line in lines).encode()


@given(streams() | st.binary(max_size=80), st.lists(st.integers(0, 400), max_size=8))
def test_a_stream_says_the_same_wherever_it_is_cut(stream: bytes, cuts: list[int]):
    """Packets know nothing of events."""
    assert told(stream, cuts) == told(stream)


@given(streams(), st.lists(st.integers(0, 400), max_size=8))
def test_every_byte_is_in_one_event_or_in_the_rest(stream: bytes, cuts: list[int]):
    """What is passed on is what came."""
    found, rest = told(stream, cuts)

    assert b"".join(event.raw for event in found) + rest == stream


@given(streams())
def test_every_byte_may_come_alone(stream: bytes):
    """The end of an event may come in four pieces."""
    assert told(stream, list(range(len(stream)))) == told(stream)


@pytest.mark.parametrize("end", ["\n", "\r\n", "\r"])
def test_lines_end_in_any_of_three_ways(end: str):
    """CR, LF, or both."""
    stream = f"event: ping{end}data: a{end}data: b{end}{end}data: c{end}{end}".encode()

    (first, second), rest = told(stream)

    assert (first.event, first.data) == ("ping", "a\nb")
    assert (second.event, second.data) == (None, "c")
    assert rest == b""


def test_lines_of_one_event_may_end_differently():
    """A proxy that adds lines of its own adds its own ends."""
    (first, second), _ = told(b"data: a\r\n\rdata: b\n\r\n")

    assert (first.data, second.data) == ("a", "b")


def test_a_comment_is_an_event_without_data():
    """Keep-alives go on to the asker, and say nothing."""
    (comment,), _ = told(b": ping\n\n")

    assert comment == Sent(b": ping\n\n")


@pytest.mark.parametrize(
    ("lines", "data"),
    [
        ("data: a\ndata: b", "a\nb"),
        ("data: a\n: aside\nid: 7\ndata: b", "a\nb"),
        ("data:a", "a"),
        ("data:  a", " a"),
        ("data", ""),
        ("data: a: b", "a: b"),
        ("Data: a", None),
        (" data: a", None),
        ("data: a\u2028b\x0bc\x85", "a\u2028b\x0bc\x85"),
    ],
)
def test_data_is_what_the_standard_says(lines: str, data: str | None):
    """Lines are joined, one space is the format's, and only CR and LF end a line."""
    (event,), _ = told(f"{lines}\n\n".encode())

    assert event.data == data


def test_a_byte_order_mark_may_open_a_stream_and_no_event_after_it():
    """It goes on to the asker, and is no part of a field's name."""
    mark = "\ufeff".encode()

    (first, second), _ = told(mark + b"data: a\n\n" + mark + b"data: b\n\n", [1, 2])

    assert (first.raw, first.data) == (mark + b"data: a\n\n", "a")
    assert second.data is None


def test_an_event_without_its_blank_line_is_not_whole():
    """A stream that is cut off has no last event, and its bytes are still there."""
    found, rest = told(b"data: a\n\ndata: b\n")

    assert [event.data for event in found] == ["a"]
    assert rest == b"data: b\n"


def test_an_event_that_nobody_took_comes_with_the_next_piece():
    """Who stops at the event that was waited for loses none, and sees none twice."""
    events = Events()
    first = next(events.feed(b"data: a\n\ndata: b\n\ndata: c"))
    rest = events.rest

    others = list(events.feed(b"\n\n"))

    assert first.data == "a"
    assert rest == b"data: b\n\ndata: c"
    assert [event.data for event in others] == ["b", "c"]


def test_a_piece_is_taken_in_before_its_events_are_asked_for():
    """A generator that is never started would lose it."""
    events = Events()

    events.feed(b"data: a\n\n")

    assert events.rest == b"data: a\n\n"


def test_a_long_event_is_searched_once(monkeypatch: pytest.MonkeyPatch):
    """Ten megabytes in pieces of a kilobyte: each is looked at when it comes, and three bytes before it."""
    piece, pieces = b"x" * 1024, 10 * 1024
    pattern, left = sse._END, len(piece) * pieces + 8 + 3 * (pieces + 2)

    class Limited:
        def search(self, rest: bytearray, start: int):
            nonlocal left
            left -= len(rest) - start
            assert left >= 0, "looked at what had been looked at"  # at once: quadratic time would be hours
            return pattern.search(rest, start)

    monkeypatch.setattr(sse, "_END", Limited())
    events = Events()

    found = [event for data in [b"data: ", *[piece] * pieces, b"\n\n"] for event in events.feed(data)]

    assert [len(event.raw) for event in found] == [len(piece) * pieces + 8]


@given(st.text(st.characters(codec="utf-8", exclude_characters="\r"), max_size=20), st.none() | st.just("ping"))
def test_what_is_said_is_heard(text: str, name: str | None):
    """Also when it has more than one line."""
    (event,), rest = told(said(text, event=name))

    assert (event.data, event.event, rest) == (text, name, b"")


def test_values_are_said_as_json():
    """And read as what they were; what is no object is none."""
    (value,), _ = told(said({"a": ["é\n"]}))
    (text,), _ = told(said("[DONE]"))
    (several,), _ = told(said([1]))
    (comment,), _ = told(b": {}\n\n")

    assert value.json() == {"a": ["é\n"]}
    assert [one.json() for one in (text, several, comment)] == [None, None, None]


@pytest.mark.parametrize("data", ['{"a":', '{"a": NaN}', '{"a": "\\ud800"}', "[" * 100_000, '{"a": 1e999}'])
def test_json_that_is_none_is_nothing(data: str):
    """Whatever a server sends, nobody raises."""
    assert Sent(b"", data).json() is None
