"""The codec keeps every event as it was, in bytes that never change, and big things once."""

from dataclasses import replace

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.errors import AglError, BadPayload, UpcastGap
from agl_core.events import (
    CORE_EVENTS,
    CallRecorded,
    Event,
    Message,
    ModelCall,
    NoteTaken,
    Tool,
    Upcast,
    Vocabulary,
    event,
)
from agl_core.log import SqliteLog, verify
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.testing import strategies


def decoded(encoded, codec=None):
    """The event that `encoded` holds."""
    return (codec or Codec()).decode(encoded.type, encoded.schema, encoded.data, encoded.blobs.__getitem__)


# --- every event


@pytest.mark.parametrize("cls", CORE_EVENTS, ids=lambda cls: cls.type)
def test_decoding_gives_the_event_back(cls):
    """Whatever its fields hold, also what looks like the codec's own references."""

    @settings(max_examples=25)
    @given(strategies.event(cls))
    def holds(fact):
        encoded = Codec().encode(fact)

        assert decoded(encoded) == fact
        assert encoded.event == fact

    holds()


@pytest.mark.parametrize(
    "looks", [{"$pool": None}, {"$pool": "b2:00"}, {"$as_is": {}}, {"$u32": "AA==", "n": 1}], ids=str
)
@pytest.mark.parametrize("size", [0, 1000], ids=["in the event", "in a blob"])
def test_what_looks_like_a_reference_inside_a_value_is_none(looks, size):
    """A tool's schema is the tool's own, however short it is."""
    tool = Tool(name="t", description="d" * size, parameters=looks)
    call = ModelCall(model="m", tools=(tool,))
    fact = CallRecorded(call_id="ca-1", rollout_id="ro-1", attempt_id="at-1", call=call, started_at=1, latency=0.5)

    assert decoded(Codec().encode(fact)) == fact


@given(strategies.events())
def test_encoding_is_stable(fact):
    """Equal events give equal bytes, and an event read back is written as it was."""
    first = Codec().encode(fact)

    again = Codec().encode(decoded(first))

    assert (again.data, again.blobs) == (first.data, first.blobs)


@settings(max_examples=40)
@given(st.lists(strategies.events(), max_size=5))
def test_any_event_lands_or_is_refused_by_a_code(facts):
    """What one accepted event leaves in the tables is what folding it again gives."""
    with SqliteLog(":memory:", projections=CORE) as log:
        for fact in facts:
            try:
                log.append([Draft(stream="log", event=fact)])
            except AglError:
                continue

        assert list(verify(log)) == []


@given(strategies.unknowns())
def test_an_unknown_type_is_encoded_as_it_came(fact):
    """A log passes through a process that does not know all of it."""
    encoded = Codec().encode(fact)

    read = decoded(encoded)

    assert read == fact
    assert Codec().encode(read).data == encoded.data


@pytest.mark.parametrize("number", [float("nan"), float("inf"), float("-inf")])
@pytest.mark.parametrize("shape", [lambda n: n, lambda n: [n], lambda n: {"deep": [n]}, lambda n: (n,)], ids="abcd")
def test_numbers_that_json_lacks_are_refused(number, shape):
    """They would be written as null, and mean something else for ever."""
    with pytest.raises(BadPayload, match="no number"):
        Codec().encode(NoteTaken(text="x", data={"value": shape(number)}))


@pytest.mark.parametrize(
    "fact",
    [
        NoteTaken(text=3),
        NoteTaken(text="\ud800"),
        NoteTaken(text="x", data={"x": object()}),
        NoteTaken(text="x", data={"x": b"\xff", "y": {1, 2}.__iter__()}),
        CallRecorded(
            call_id="c", rollout_id="r", attempt_id="a", call=ModelCall(model="m"), started_at=0, latency=float("nan")
        ),
        CallRecorded(
            call_id="c", rollout_id="r", attempt_id="a", call=ModelCall(model="m"), started_at=0, latency=0, role="boss"
        ),
    ],
)
def test_what_could_not_be_read_back_is_refused(fact):
    """Wrong types, words outside a closed vocabulary, text that UTF-8 cannot write."""
    with pytest.raises(BadPayload):
        Codec().encode(fact)


@pytest.mark.parametrize("ids", [(-1,), (2**32,), ("a",), (1.5,)])
def test_token_ids_that_are_none_are_refused(ids):
    """An id is an unsigned number of 32 bits."""
    call = ModelCall(model="m", prompt_token_ids=ids)

    with pytest.raises(AglError):
        Codec().encode(CallRecorded(call_id="c", rollout_id="r", attempt_id="a", call=call, started_at=0, latency=0))


# --- big things, once


def chat(turns):
    """The calls of a chat: each sends the whole history, and its tokens."""
    history, ids = (), ()
    for turn in range(turns):
        history += (Message(role="user", content=f"question {turn} " + "x" * 200),)
        ids += tuple(range(turn * 50, turn * 50 + 50))
        yield CallRecorded(
            call_id=f"ca-{turn}",
            rollout_id="ro-1",
            attempt_id="at-1",
            call=ModelCall(model="policy", messages=history, prompt_token_ids=ids),
            started_at=0,
            latency=0.0,
        )
        history += (Message(role="assistant", content=f"answer {turn} " + "y" * 200),)
        ids += tuple(range(turn * 50, turn * 50 + 50))


def stored(turns):
    """Bytes that a chat of so many turns takes: data, and each blob once."""
    codec, blobs, data = Codec(), {}, 0
    for call in chat(turns):
        encoded = codec.encode(call)
        data += len(encoded.data)
        blobs |= encoded.blobs
    return data + sum(len(content) + len(id_) for id_, content in blobs.items())


def test_a_long_chat_grows_with_its_length_not_its_square():
    """Twice the turns take about twice the bytes: a history is stored once, however often it is sent."""
    assert stored(100) < 2.2 * stored(50)
    assert stored(100) < 100 * 3_000


def test_calls_of_a_chat_are_read_back_whole():
    """Readers never see that histories are shared."""
    codec, blobs = Codec(), {}
    calls = list(chat(20))
    encoded = [codec.encode(call) for call in calls]
    for one in encoded:
        blobs |= one.blobs

    read = [codec.decode(one.type, one.schema, one.data, blobs.__getitem__) for one in encoded]

    assert read == calls


def test_equal_prompts_share_their_chunks():
    """Two prompts with the same first thousand tokens keep those once."""
    one, two = (
        ModelCall(model="m", prompt_token_ids=(*range(1024), *range(start, start + 100))) for start in (0, 50_000)
    )

    first, second = (
        Codec().encode(CallRecorded(call_id="c", rollout_id="r", attempt_id="a", call=call, started_at=0, latency=0))
        for call in (one, two)
    )

    assert len(first.blobs) == len(second.blobs) == 5
    assert len(first.blobs.keys() & second.blobs.keys()) == 4


@pytest.mark.parametrize("field", ["prompt_token_ids", "messages"])
def test_a_list_of_another_length_than_promised_is_refused(field):
    """Damage does not pass for data."""
    call = next(chat(1))
    encoded = Codec().encode(call)
    data = msgspec.json.decode(encoded.data)
    data["call"][field]["n"] += 1
    damaged = replace(encoded, data=msgspec.json.encode(data))

    with pytest.raises(BadPayload, match="promised"):
        decoded(damaged)


# --- the ladder


@event("door.opened", schema=3)
class DoorOpened(Event):
    """An event that has been written in three schemas."""

    door: str
    by: str
    wide: bool


def _name(data):
    """Schema 1 called the door a gate."""
    return {"door": data["gate"]}


def _opener(data):
    """Schema 2 did not say who, nor how far."""
    return {**data, "by": "somebody", "wide": False}


RUNGS = (Upcast("door.opened", 1, _name), Upcast("door.opened", 2, _opener))


@pytest.mark.parametrize(
    ("schema", "data"),
    [
        (1, b'{"gate":"north"}'),
        (2, b'{"door":"north"}'),
        (3, b'{"by":"somebody","door":"north","wide":false}'),
    ],
)
def test_every_schema_climbs_to_todays(schema, data):
    """Rung by rung, from wherever it was written."""
    codec = Codec(Vocabulary([DoorOpened], RUNGS))

    fact = codec.decode("door.opened", schema, data, {}.__getitem__)

    assert fact == DoorOpened(door="north", by="somebody", wide=False)


def test_a_later_schema_stays_as_it_came():
    """A file of a later release is read as far as it is understood, and nothing is lost."""
    codec = Codec(Vocabulary([DoorOpened], RUNGS))

    fact = codec.decode("door.opened", 4, b'{"portal":"north"}', {}.__getitem__)

    assert codec.encode(fact).data == b'{"portal":"north"}'


@pytest.mark.parametrize(
    ("rungs", "why"),
    [
        (RUNGS[:1], "from 2 to 3 is missing"),
        (RUNGS[1:], "from 1 to 2 is missing"),
        ((), "from 1 to 2 is missing"),
        ((*RUNGS, RUNGS[0]), "two rungs"),
        ((*RUNGS, Upcast("door.opened", 3, _opener)), "circle"),
        ((*RUNGS, Upcast("door.opened", 0, _opener)), "circle"),
        ((*RUNGS, Upcast("window.opened", 1, _opener)), "no event has that name"),
    ],
    ids=["gap at the top", "gap at the bottom", "no rung", "double", "circle", "below the first", "nameless"],
)
def test_a_broken_ladder_is_refused_before_anything_is_read(rungs, why):
    """At start-up, not at the first old event."""
    with pytest.raises(UpcastGap, match=why):
        Vocabulary([DoorOpened], rungs)


def test_two_classes_cannot_have_one_name():
    """A type name means one thing in a process."""

    @event("door.opened", schema=1)
    class Impostor(Event):
        pass

    with pytest.raises(BadPayload, match="two classes"):
        Vocabulary([DoorOpened, Impostor], RUNGS)


def test_a_mistake_in_a_rung_is_not_taken_for_a_missing_one():
    """The old data did not have the field that the rung wants."""
    codec = Codec(Vocabulary([DoorOpened], RUNGS))

    with pytest.raises(BadPayload, match="gate"):
        codec.decode("door.opened", 1, b"{}", {}.__getitem__)
