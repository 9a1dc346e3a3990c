"""Where tasks may come from in memory: lists, iterables, frames, data sets, and mappings of those by split."""

import datetime as dt
import itertools
import subprocess
import sys
from dataclasses import dataclass

import pytest

from agl_core.datasets import load_dataset, tasks_for
from agl_core.datasets._rows import LIMIT
from agl_core.errors import BadValue

ROWS = [{"q": "why", "n": 1, "ok": True}, {"q": None, "n": 2, "ok": False}]


class Numbered:
    """As PyTorch has them: a length, and an item for any number."""

    def __len__(self):
        return 3

    def __getitem__(self, at):
        return {"n": at}


def test_a_list_and_a_generator_give_the_same():
    """In their order."""
    assert load_dataset(iter(ROWS)) == load_dataset(ROWS) == tuple(ROWS)


def test_a_data_set_by_number_ends_at_its_length():
    """It has no end of its own."""
    assert load_dataset(Numbered()) == ({"n": 0}, {"n": 1}, {"n": 2})


def test_what_has_no_end_is_refused():
    """After as many as anybody trains on."""
    with pytest.raises(BadValue, match=f"more than {LIMIT} tasks"):
        load_dataset(itertools.count())


def test_pandas_rows_are_tasks():
    """Whole numbers stay whole, moments are text, and what is missing is None where no number could stand."""
    pandas = pytest.importorskip("pandas")
    when = dt.datetime(2026, 1, 2, tzinfo=dt.UTC)
    frame = pandas.DataFrame({"q": ["why", None], "n": [1, 2], "ok": [True, False], "t": [when, None]}, index=[7, 9])

    assert load_dataset(frame) == (
        {**ROWS[0], "t": "2026-01-02T00:00:00+00:00"},
        {**ROWS[1], "t": None},
    )
    assert load_dataset(frame["q"]) == ("why", None)
    assert load_dataset(pandas.DataFrame()) == ()


def test_pandas_gaps_in_numbers_are_refused_until_they_say_what_they_are():
    """A NaN may be a gap, or what came of a sum; `convert_dtypes` makes gaps of them."""
    pandas = pytest.importorskip("pandas")
    frame = pandas.DataFrame({"n": [1, None]})

    with pytest.raises(BadValue, match="row 1, column 'n'"):
        load_dataset(frame)

    assert load_dataset(frame.convert_dtypes()) == ({"n": 1}, {"n": None})


@pytest.mark.parametrize(("columns", "why"), [([0, 1], "as text"), (["a", "a"], "2 columns")])
def test_columns_have_names_of_their_own(columns, why):
    """Else one would hide the other."""
    pandas = pytest.importorskip("pandas")

    with pytest.raises(BadValue, match=why):
        load_dataset(pandas.DataFrame([[1, 2]], columns=columns))


def test_polars_rows_are_tasks():
    """Of a frame, of one that is still to be made, and of a column; lists and structs stay what they are."""
    polars = pytest.importorskip("polars")
    frame = polars.DataFrame([{**row, "s": {"l": [1, None]}} for row in ROWS])

    assert load_dataset(frame) == load_dataset(frame.lazy()) == tuple({**row, "s": {"l": [1, None]}} for row in ROWS)
    assert load_dataset(frame["q"]) == ("why", None)


def test_arrow_rows_are_tasks(tmp_path):
    """Of tables, batches, readers and data sets in files."""
    pa = pytest.importorskip("pyarrow")
    parquet, dataset = pytest.importorskip("pyarrow.parquet"), pytest.importorskip("pyarrow.dataset")
    table = pa.Table.from_pylist(ROWS)
    parquet.write_table(table, tmp_path / "rows.parquet")

    for source in (table, table.to_batches()[0], table.to_reader(), dataset.dataset(tmp_path / "rows.parquet")):
        assert load_dataset(source) == tuple(ROWS)
    assert load_dataset(table["n"]) == (1, 2)
    assert load_dataset(pa.array([1, 2])) == (1, 2)


def test_hugging_face_rows_are_tasks():
    """Also those that come as tensors, and those that come one by one."""
    datasets = pytest.importorskip("datasets")
    found = datasets.Dataset.from_list(ROWS)

    assert load_dataset(found) == load_dataset(found.to_iterable_dataset()) == tuple(ROWS)
    assert load_dataset(found.select_columns("n").with_format("numpy")) == ({"n": 1}, {"n": 2})


def test_hugging_face_splits_are_found_by_the_name_that_is_meant():
    """`validation` is what they call `val`."""
    datasets = pytest.importorskip("datasets")
    rows = datasets.Dataset.from_list(ROWS)
    splits = datasets.DatasetDict({"train": rows, "validation": rows.select([0])})

    assert tasks_for("train", splits) == tuple(ROWS)
    assert tasks_for("val", splits) == (ROWS[0],)
    with pytest.raises(BadValue, match="it has train, validation"):
        tasks_for("test", splits)


def test_of_several_splits_one_is_asked_for():
    """And of one there is nothing to ask."""
    splits = {"train": [1], "dev": [2]}

    assert load_dataset(splits, split="train") == (1,)
    assert load_dataset(splits, split="val") == (2,)
    assert load_dataset({"all": [3]}) == (3,)
    with pytest.raises(BadValue, match=r"train.*dev.*say which"):
        load_dataset(splits)


def test_what_has_no_splits_has_none_to_ask_for():
    """All of it in the place of a test split would be found out too late; a mode is another thing."""
    with pytest.raises(BadValue, match="no splits"):
        load_dataset([1], split="test")

    assert tasks_for("test", [1]) == (1,)
    assert tasks_for("test", None) == ()


@dataclass
class Single:
    """One task."""

    q: str


@pytest.mark.parametrize("source", [3, b"x", Single("why"), Single, object()])
def test_what_is_no_list_is_refused(source):
    """One task is easily passed for a list of them."""
    with pytest.raises(BadValue, match="data set"):
        load_dataset(source)


def test_one_model_of_pydantic_is_no_list():
    """It can be iterated, and gives its fields."""
    pydantic = pytest.importorskip("pydantic")
    single = pydantic.create_model("Asked", q=(str, ...))(q="why")

    with pytest.raises(BadValue, match=r"write \[task\]"):
        load_dataset(single)


def test_nothing_is_imported_to_know_a_frame_by():
    """Who has no frames pays nothing for those who have."""
    program = (
        "import sys, agl_core as agl; agl.load_dataset([{'q': 1}]);"
        "print(sorted({'pandas', 'polars', 'pyarrow', 'numpy', 'datasets', 'duckdb', 'torch'} & sys.modules.keys()))"
    )

    done = subprocess.run([sys.executable, "-c", program], capture_output=True, text=True, check=True)

    assert done.stdout == "[]\n"
