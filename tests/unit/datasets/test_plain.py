"""What a task becomes: JSON, with nothing lost, or a refusal that says where."""

import dataclasses
import datetime as dt
import enum
import json
import uuid
from collections.abc import Mapping
from decimal import Decimal
from pathlib import PurePosixPath
from types import MappingProxyType
from typing import NamedTuple

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.datasets import load_dataset
from agl_core.errors import BadValue
from agl_core.ids import canonical

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False) | st.text(),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)


class Colour(enum.Enum):
    """Of text."""

    RED = "red"


class Word(enum.StrEnum):
    """That is text."""

    YES = "yes"


class Level(enum.IntEnum):
    """That is a number."""

    HIGH = 3


@dataclasses.dataclass
class Question:
    """A dataclass."""

    text: str
    when: dt.date


class Struct(msgspec.Struct, tag="ask", rename="camel"):
    """It names its fields otherwise, and itself."""

    the_text: str


class Pair(NamedTuple):
    """A tuple with names."""

    a: int
    b: int


def one(task):
    """The task that it becomes."""
    return load_dataset([task])[0]


@given(st.lists(JSON))
def test_json_stays_as_it_is(tasks):
    """Every value of it, in order."""
    assert list(load_dataset(tasks)) == tasks


ZONE = dt.timezone(dt.timedelta(hours=2))


@pytest.mark.parametrize(
    ("value", "made"),
    [
        ((1, (2,)), [1, [2]]),
        (range(3), [0, 1, 2]),
        (MappingProxyType({"a": 1}), {"a": 1}),
        (Colour.RED, "red"),
        (Word.YES, "yes"),
        ({Word.YES: 1}, {"yes": 1}),
        (Level.HIGH, 3),
        (dt.date(2026, 1, 2), "2026-01-02"),
        (dt.time(3, 4), "03:04:00"),
        (dt.datetime(2026, 1, 2, 3, 4, 5, 6, tzinfo=ZONE), "2026-01-02T03:04:05.000006+02:00"),
        (Decimal("1.10"), "1.10"),
        (uuid.UUID(int=1), "00000000-0000-0000-0000-000000000001"),
        (PurePosixPath("a/b"), "a/b"),
        (Question("why", dt.date(2026, 1, 2)), {"text": "why", "when": "2026-01-02"}),
        (Struct("why"), {"type": "ask", "theText": "why"}),
        (Pair(1, 2), {"a": 1, "b": 2}),
    ],
    ids=repr,
)
def test_what_loses_nothing_is_written_as_json(value, made):
    """Of builtin classes, so that the log gives the same back."""
    assert one(value) == made
    assert type(one(value)) is type(made)
    assert json.loads(canonical(one(value))) == made


def test_numpy_is_written_as_numbers_and_lists():
    """Scalars of every width, arrays, and moments to the nanosecond."""
    np = pytest.importorskip("numpy")

    task = {
        "whole": np.int16(-3), "half": np.float32(0.1), "truth": np.bool_(True), "text": np.str_("a"),  # noqa: FBT003
        "grid": np.arange(4).reshape(2, 2), "zero": np.array(7),
        "when": np.datetime64("2026-01-02T03:04:05.123456789"), "never": np.datetime64("NaT"),
        "days": np.array(["2026-01-02"], dtype="datetime64[ns]"),
    }  # fmt: skip

    assert one(task) == {
        "whole": -3, "half": 0.10000000149011612, "truth": True, "text": "a", "grid": [[0, 1], [2, 3]], "zero": 7,
        "when": "2026-01-02T03:04:05.123456789", "never": None, "days": ["2026-01-02T00:00:00.000000000"],
    }  # fmt: skip
    assert all(type(value).__module__ == "builtins" for value in one(task).values())


def test_models_of_pydantic_are_written_with_their_fields():
    """Those inside of them too."""
    pydantic = pytest.importorskip("pydantic")

    class Inner(pydantic.BaseModel):
        when: dt.date

    class Asked(pydantic.BaseModel):
        text: str
        inner: Inner

    task = Asked(text="why", inner=Inner(when=dt.date(2026, 1, 2)))

    assert one(task) == {"text": "why", "inner": {"when": "2026-01-02"}}


def test_classes_of_attrs_are_written_with_their_fields():
    """As those of dataclasses are."""
    attrs = pytest.importorskip("attrs")
    asked = attrs.make_class("Asked", ["text"])

    assert one(asked("why")) == {"text": "why"}


def test_tensors_are_written_as_lists():
    """Also of a type that only PyTorch has."""
    torch = pytest.importorskip("torch")

    assert one({"ids": torch.tensor([1, 2]), "half": torch.tensor([0.5], dtype=torch.bfloat16)}) == {
        "ids": [1, 2],
        "half": [0.5],
    }


@pytest.mark.parametrize(
    ("value", "cure"),
    [
        (float("nan"), "no such number"),
        (float("-inf"), "no such number"),
        (Decimal("NaN"), "no such number"),
        (b"x", "base64"),
        (bytearray(b"x"), "base64"),
        ({1, 2}, "sorted"),
        (dt.timedelta(1), "total_seconds"),
        (1j, "builtins.complex"),
        (..., "builtins.ellipsis"),
        ("\ud800", "half of a pair"),
        ({1: 2}, "a key in JSON is text"),
        ({"\udfff": 2}, "half of a pair"),
    ],
    ids=repr,
)
def test_what_would_be_lost_is_refused(value, cure):
    """With what to write instead."""
    with pytest.raises(BadValue, match=cure):
        one(value)


def test_a_duration_of_numpy_is_refused():
    """It would be a plain number of nobody knows what."""
    np = pytest.importorskip("numpy")

    with pytest.raises(BadValue, match="row 0"):
        one(np.timedelta64(1, "D"))


@pytest.mark.parametrize(
    ("tasks", "place"),
    [
        ([{"a": 1}, {"image": b""}], "data set, row 1, column 'image' = "),
        ([{"meta": {"when": [0, b""]}}], "data set, row 0, column 'meta', at ['when'][1] = "),
        ([[1, [b""]]], "data set, row 0, at [1][0] = "),
        ([b""], "data set, row 0 = "),
    ],
)
def test_a_refusal_says_where(tasks, place):
    """The row counts from 0, as frames and lists do."""
    with pytest.raises(BadValue) as raised:
        load_dataset(tasks)

    assert str(raised.value).startswith(place)


def test_what_holds_itself_is_refused():
    """Or it would never end."""
    ring = []
    ring.append(ring)

    with pytest.raises(BadValue, match="holds itself"):
        one(ring)


def test_a_mapping_of_anybodys_is_a_mapping():
    """By what it does, not by its class."""

    class Fields(Mapping):
        def __getitem__(self, key):
            return {"a": 1}[key]

        def __iter__(self):
            return iter(["a"])

        def __len__(self):
            return 1

    assert one(Fields()) == {"a": 1}
