"""Splits by content: none shares a task with another, and a new task moves no other."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

import agl_core as agl
from agl_core.datasets import Splits, overlaps, repeats, split_dataset
from agl_core.errors import BadValue
from agl_core.ids import canonical

TASKS = st.lists(st.integers(0, 300) | st.text(max_size=3) | st.fixed_dictionaries({"q": st.integers(0, 99)}))


FILL = tuple(f"task number {number}" for number in range(300))
"""So many that no split is without a task."""


@given(TASKS, st.integers())
def test_each_task_is_in_one_split_in_its_order(tasks, seed):
    """None is lost, none is added, and equal ones fall together."""
    tasks = [*FILL, *tasks]

    splits = split_dataset(tasks, seed=seed)

    places = {canonical(task): name for name, part in zip(Splits._fields, splits, strict=True) for task in part}
    for name, part in zip(Splits._fields, splits, strict=True):
        assert list(part) == [task for task in tasks if places[canonical(task)] == name]
    assert not list(overlaps(splits._asdict()))
    assert splits.counts == {"train": len(splits.train), "val": len(splits.val), "test": len(splits.test)}


@given(TASKS, TASKS)
def test_a_new_task_moves_no_other(tasks, more):
    """So that a test split stays one when the data set grows."""
    before, after = split_dataset([*tasks, *FILL]), split_dataset([*more, *tasks, *FILL])

    for old, new in zip(before, after, strict=True):
        assert set(map(canonical, old)) <= set(map(canonical, new))


def test_shares_are_near_what_was_asked_for():
    """With enough tasks; another seed deals them out anew, the same one does not."""
    tasks = range(10_000)

    splits = split_dataset(tasks, train=0.7, val=0.2, test=0.1)

    assert [round(count, -3) for count in splits.counts.values()] == [7000, 2000, 1000]
    assert split_dataset(tasks, train=0.7, val=0.2, test=0.1) == splits
    assert split_dataset(tasks, train=0.7, val=0.2, test=0.1, seed=1) != splits


def test_a_share_of_nothing_is_a_split_of_nothing():
    """Two splits are two."""
    splits = split_dataset(range(100), train=0.9, val=0, test=0.1)

    assert splits.val == ()
    assert len(splits.train) + len(splits.test) == 100


def test_a_split_that_would_be_empty_is_refused():
    """It would look like one that nobody asked for."""
    with pytest.raises(BadValue, match=r"val|test"):
        split_dataset([1])


@pytest.mark.parametrize(
    "shares",
    [
        {"train": 1.0, "val": 0.5, "test": 0.5},
        {"train": 1.2, "val": -0.1, "test": -0.1},
        {"train": float("nan")},
        {"train": "80 %"},
    ],
)
def test_shares_are_parts_of_one(shares):
    """Else somebody meant something else."""
    with pytest.raises(BadValue, match="together they are 1"):
        split_dataset(range(10), **shares)


def test_every_source_can_be_split(tmp_path):
    """A file here."""
    (tmp_path / "tasks.csv").write_text("q\n" + "\n".join(map(str, range(50))))

    train, val, test = agl.split_dataset(tmp_path / "tasks.csv")

    assert sorted(task["q"] for task in (*train, *val, *test)) == list(range(50))


def test_what_two_splits_share_is_counted():
    """Each two of them; how a task writes its fields does not matter."""
    splits = {"train": [{"a": 1, "b": 2}, 3], "val": [{"b": 2, "a": 1}, 4], "test": [4, 4, 5]}

    found = {error.splits: error.tasks for error in overlaps(splits)}

    assert found == {"train and val": 1, "val and test": 2}


def test_what_comes_more_than_once_is_counted():
    """By what it is."""
    assert repeats([{"a": 1, "b": 2}, 3, {"b": 2, "a": 1}]) == {'{"a":1,"b":2}': 2}
