"""Bodies are inflated in whatever pieces they come, and never more of them than there is room for."""

from __future__ import annotations

import asyncio
import gzip
from collections.abc import Sequence
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.gateway._bodies import Bodies, ClientGone, Receive
from agl_core.gateway._refusals import Refused


def sender(pieces: Sequence[bytes], *, hangs_up: bool = False) -> Receive:
    """A client that sends these, one after the other."""
    left = [{"type": "http.request", "body": piece, "more_body": True} for piece in pieces]
    left.append({"type": "http.disconnect"} if hangs_up else {"type": "http.request", "body": b"", "more_body": False})

    async def receive() -> dict[str, object]:
        return left.pop(0)

    return receive


def cut(raw: bytes, places: Sequence[int]) -> list[bytes]:
    """The same bytes in pieces."""
    marks = [0, *sorted(place % (len(raw) + 1) for place in places), len(raw)]
    return [raw[start:end] for start, end in pairwise(marks)]


@given(st.lists(st.binary(max_size=2000), max_size=4), st.lists(st.integers(min_value=0), max_size=6))
def test_a_body_is_what_it_was_however_it_is_cut(members: list[bytes], places: list[int]):
    """Of one gzip member or of several, in pieces of any size."""
    raw = b"".join(map(gzip.compress, members))

    read = asyncio.run(Bodies(limit=10_000).read(sender(cut(raw, places)), encoding="gzip"))

    assert read == b"".join(members)


@given(st.binary(max_size=200), st.lists(st.integers(min_value=0), max_size=3))
def test_what_is_no_gzip_is_refused(raw: bytes, places: list[int]):
    """Whatever it is, it raises nothing else; nothing is gzip of nothing."""
    if raw:
        with pytest.raises(Refused, match="gzip"):
            asyncio.run(Bodies(limit=10_000).read(sender(cut(raw, places)), encoding="gzip"))


@given(st.lists(st.integers(min_value=0), max_size=6))
def test_a_body_that_is_too_big_is_that_however_it_is_cut(places: list[int]):
    """Nothing of it is looked at any more once that is known."""
    raw = gzip.compress(bytes(range(256)) * 20) * 3

    with pytest.raises(Refused, match="at most"):
        asyncio.run(Bodies(limit=5000).read(sender(cut(raw, places)), encoding="gzip"))


@pytest.mark.parametrize("encoding", ["", "gzip"])
def test_a_body_is_measured_when_it_is_inflated(encoding: str):
    """One byte decides."""
    bodies = Bodies(limit=1000)
    small, big = (gzip.compress(bytes(size)) if encoding else bytes(size) for size in (1000, 1001))

    read = asyncio.run(bodies.read(sender([small]), encoding=encoding))
    with pytest.raises(Refused) as refused:
        asyncio.run(bodies.read(sender([big]), encoding=encoding))

    assert read == bytes(1000)
    assert refused.value.status == 413


def test_who_finds_no_room_is_asked_to_come_again():
    """And who comes when there is some finds it."""

    async def story() -> list[object]:
        bodies = Bodies(limit=100, room=150)
        may_end = asyncio.Event()

        sent = sender([bytes(100)])

        async def slowly() -> dict[str, object]:
            message = await sent()
            if not message["body"]:
                await may_end.wait()
            return message

        first = asyncio.create_task(bodies.read(slowly))
        await asyncio.sleep(0)
        with pytest.raises(Refused) as refused:
            await bodies.read(sender([bytes(100)]))
        may_end.set()
        return [refused.value.status, refused.value.headers, await first, await bodies.read(sender([bytes(100)]))]

    assert asyncio.run(story()) == [429, {"retry-after": "1"}, bytes(100), bytes(100)]


def test_a_client_that_hangs_up_leaves_no_room_taken():
    """What it sent is let go of."""
    bodies = Bodies(limit=100, room=100)
    for _ in range(3):
        with pytest.raises(ClientGone):
            asyncio.run(bodies.read(sender([bytes(60)], hangs_up=True)))

    assert asyncio.run(bodies.read(sender([bytes(100)]))) == bytes(100)
