"""Matching, whatever an agent says and in whatever order: its own answer, or that nobody knows; never another's."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, replace
from random import Random
from uuid import UUID

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from agl_core.errors import ReplayAmbiguous, ReplayDiffers, ReplayError
from agl_core.events import CallRecorded, Choice, Message, ModelCall
from agl_core.replay import _matching as matching
from agl_core.replay._matching import Asked, Matcher
from agl_core.replay._tape import Tape, Taped, alone

_SECOND = 1_000_000_000
few = settings(max_examples=25, suppress_health_check=[HealthCheck.function_scoped_fixture])


@dataclass(frozen=True)
class Turn:
    """What a branch asks, and what it hears: few of each, so that many are the same."""

    asks: str
    hears: str


turns = st.builds(Turn, st.sampled_from(["Draw.", "Think.", "Sum {id} up."]), st.sampled_from(["red", "blue", "green"]))
programs = st.lists(st.lists(turns, min_size=1, max_size=4), min_size=1, max_size=5)
orders = st.integers(0, 1 << 16).map(Random)


@pytest.fixture(autouse=True)
def _impatient(monkeypatch):
    """Whoever is to be alone is asked about at once: in these stories, all who ask at once do so in one turn."""
    monkeypatch.setattr(matching, "QUIET", 0)


def request(branch, turn, *, then):
    """The conversation of a branch, up to a turn; with an id that it drew, another one then than now."""
    drawn = str(UUID(int=(1 if then else 1 << 64) + branch[0], version=4))
    said = []
    for one in branch[1][:turn]:
        said += [Message(role="user", content=one.asks.format(id=drawn)), Message(role="assistant", content=one.hears)]
    said.append(Message(role="user", content=branch[1][turn].asks.format(id=drawn)))
    return ModelCall(model="policy", messages=tuple(said))


def recorded(program, *, has_places):
    """The tape: all branches ask at once, turn by turn, and each waits for the others."""
    calls = []
    for branch in enumerate(program):
        for turn, said in enumerate(branch[1]):
            told = Choice(message=Message(role="assistant", content=said.hears))
            calls.append(
                CallRecorded(
                    call_id=f"ca-{branch[0]}-{turn}", rollout_id="ro-1", attempt_id="at-1",
                    call=replace(request(branch, turn, then=True), choices=(told,)),
                    started_at=(100 + 10 * turn) * _SECOND + branch[0], latency=5.0,
                    place=f"work{branch[0]}:{turn}" if has_places else None,
                )
            )  # fmt: skip
    return tape(calls)


def tape(calls):
    """Of an attempt that made those calls."""
    listed = tuple(Taped(position=n, call=call) for n, call in enumerate(calls, start=1))
    return Tape(rollout_id="ro-1", attempt_id="at-1", calls=listed, alone=frozenset(alone(listed)))


def replayed(program, order, *, has_places):
    """For each branch, the answers that it hears now, up to the first that nobody knows; branches take turns by chance.

    A branch goes on from what it hears, not from what it heard then.
    """
    matcher = Matcher(recorded(program, has_places=has_places))

    async def work(branch):
        heard = []
        for turn in range(len(branch[1])):
            for _ in range(order.randrange(4)):
                await asyncio.sleep(0)
            now = Asked(
                call_id=f"now-{branch[0]}-{turn}",
                call=request(branch, turn, then=False),
                place=f"work{branch[0]}:{turn}" if has_places else None,
            )
            try:
                found = await matcher.match(now)
            except ReplayError as error:
                return [*heard, error]
            heard.append(found.call.choices[0].message.content)
            if heard[-1] != branch[1][turn].hears:
                return heard
        return heard

    async def story():
        branches = list(enumerate(program))
        order.shuffle(branches)
        found = await asyncio.gather(*(work(branch) for branch in branches))
        return [heard for _, heard in sorted(zip((number for number, _ in branches), found, strict=True))]

    return asyncio.run(story()), matcher


@few
@given(programs, orders)
def test_with_places_every_branch_hears_what_it_heard(program, order):
    """Whatever is the same, and whoever comes first: all of it, and nothing is left."""
    heard, matcher = replayed(program, order, has_places=True)

    assert heard == [[turn.hears for turn in branch] for branch in program]
    assert matcher.left() == ()


@few
@given(programs, orders)
def test_without_places_a_branch_hears_what_it_heard_or_that_nobody_knows(program, order):
    """Never the answer of another one."""
    found, _ = replayed(program, order, has_places=False)

    for branch, heard in zip(program, found, strict=True):
        known = [one for one in heard if isinstance(one, str)]
        assert known == [turn.hears for turn in branch][: len(known)]
        assert all(isinstance(one, ReplayError) for one in heard[len(known) :])


@few
@given(st.lists(turns, min_size=1, max_size=6))
def test_one_step_after_the_other_needs_no_places(branch):
    """Also where it asks the same again and again, and nothing but the order tells."""
    program = [[*branch]]
    calls = recorded(program, has_places=False)
    fresh = [replace(one.call, call=replace(one.call.call, messages=one.call.call.messages[-1:])) for one in calls]
    matcher = Matcher(tape(fresh))

    async def story():
        return [(await matcher.match(Asked(call_id=f"now-{n}", call=one.call))).call_id for n, one in enumerate(fresh)]

    assert asyncio.run(story()) == [one.call_id for one in fresh]


@few
@given(st.lists(st.text(min_size=1, max_size=8), min_size=1, max_size=6), st.data())
def test_what_was_changed_is_what_is_shown(texts, data):
    """One message is another: the difference is that, and nothing else; what is not text is said, too."""
    said = tuple(Message(role="user", content=f"{n}: {text}") for n, text in enumerate(texts))
    call = CallRecorded(
        call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=ModelCall(model="policy", messages=said),
        started_at=1, latency=1.0,
    )  # fmt: skip
    place = data.draw(st.integers(0, len(texts) - 1))
    changed = data.draw(st.sampled_from([
        replace(said[place], content=f"{said[place].content}!"),
        replace(said[place], role="system"),
        replace(said[place], content=None),
        replace(said[place], name="n"),
    ]))  # fmt: skip
    now = ModelCall(model="policy", messages=(*said[:place], changed, *said[place + 1 :]))
    matcher = Matcher(tape([replace(call, place=":0")]))

    with pytest.raises(ReplayDiffers) as departed:
        asyncio.run(matcher.match(Asked(call_id="now-1", call=now, place=":0")))

    (difference,) = departed.value.difference
    assert difference["at"].startswith(f"messages[{place}].")
    assert difference["recorded"] != difference["asked"]


@few
@given(st.lists(st.sampled_from(["a", "b"]), min_size=2, max_size=6), orders)
def test_wholly_identical_requests_at_once_are_ambiguous_or_all_the_same(answers, order):
    """Without a place, each gets an answer only where all were answered alike."""
    program = [[Turn("Draw.", answer)] for answer in answers]
    found, _ = replayed(program, order, has_places=False)

    if len(set(answers)) == 1:
        assert found == [[answer] for answer in answers]
    else:
        assert all(isinstance(one, ReplayAmbiguous) for (one,) in found)
