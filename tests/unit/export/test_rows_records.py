"""Records in files: as they are in lines, of one type a column in Parquet, and none in no file."""

import json
import math
import tempfile
import tracemalloc
from pathlib import Path

import duckdb
import nanoarrow
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.errors import ExportEmpty, ExportRefused
from agl_core.export import Skipped
from agl_core.export.rows import _columns, new_folder, write_records


def read(path):
    """What is in a file of records."""
    match path.suffix:
        case ".jsonl":
            return [json.loads(line) for line in path.read_text().splitlines()]
        case ".json":
            return json.loads(path.read_text())
    with duckdb.connect() as db:
        answer = db.execute("select * from read_parquet(?)", [str(path)])
        columns = [name for name, *_ in answer.description]
        return [dict(zip(columns, row, strict=True)) for row in answer.fetchall()]


def dataset(rows, path):
    """What is in a data set that was made of them."""
    with new_folder(path) as folder:
        _columns.write_dataset(rows, folder)
    return nanoarrow.ArrayStream.from_path(path / "data-00000-of-00001.arrow").read_all().to_pylist()


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_records_are_written_and_what_is_skipped_is_counted(tmp_path, suffix):
    """Together, all that went in."""
    rows = [{"a": [{"b": "é\n"}], "n": 1}, Skipped(reason="odd"), {"a": [], "n": None}, Skipped(reason="odd")]

    told = write_records(rows, tmp_path / f"rows{suffix}")

    assert (told.written, told.skipped) == (2, {"odd": 2})
    assert read(told.path) == [rows[0], rows[2]]


@pytest.mark.parametrize("suffix", [".jsonl", ".json", ".parquet"])
def test_of_no_record_there_is_no_file(tmp_path, suffix):
    """An empty file is read as data by whoever gets it."""
    with pytest.raises(ExportEmpty, match=r"2 row\(s\) skipped: odd"):
        write_records([Skipped(reason="odd")] * 2, tmp_path / f"rows{suffix}")

    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("name", ["rows.csv", "rows"])
def test_a_name_that_says_no_format_is_refused(tmp_path, name):
    """With those that do."""
    with pytest.raises(ExportRefused, match=r"\.jsonl, \.json or \.parquet"):
        write_records([{"a": 1}], tmp_path / name)


def test_lines_are_written_in_the_memory_of_one(tmp_path):
    """However many there are."""
    rows = ({"text": "x" * 1000, "n": n} for n in range(20_000))

    tracemalloc.start()
    write_records(rows, tmp_path / "rows.jsonl")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert (tmp_path / "rows.jsonl").stat().st_size > 20_000_000
    assert peak < 1_000_000


def test_a_column_of_two_kinds_is_json_text(tmp_path):
    """Nothing is dropped, and nothing is made to be another thing."""
    rows = [{"m": "a", "o": {"A": 1, "a": 2}, "e": {}, "big": 2**70}, {"m": [1], "o": None, "e": {}, "big": 1}]

    found = read(write_records(rows, tmp_path / "rows.parquet").path)

    texts = [{name: None if text is None else json.loads(text) for name, text in row.items()} for row in found]
    assert texts == rows


def test_columns_whose_names_clash_are_refused(tmp_path):
    """DuckDB takes `A` and `a` for one."""
    with pytest.raises(ExportRefused, match="columns cannot be called A, a"):
        write_records([{"A": 1, "a": 2}], tmp_path / "rows.parquet")

    assert list(tmp_path.iterdir()) == []


_LEAVES = (
    st.none() | st.booleans() | st.integers(-(2**63), 2**63 - 1) | st.floats(allow_nan=False) | st.text(max_size=5)
)
_NAMES = st.sampled_from(["a", "b", "c d", 'q"uote', "it's"])
_VALUES = st.recursive(
    _LEAVES,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_NAMES, inner, max_size=3),
    max_leaves=8,
)


@settings(max_examples=25)  # DuckDB takes a moment for each
@given(st.lists(st.fixed_dictionaries({"x": _VALUES, "y": _VALUES}), min_size=1, max_size=4))
def test_columns_hold_what_lines_hold(rows):
    """Whatever JSON the records are: the same values, a null where a field is missing, JSON text where kinds differ.

    In Parquet, and in a data set.
    """
    rows = [_finite(row) for row in rows]

    with tempfile.TemporaryDirectory() as folder:
        found = read(write_records(rows, Path(folder, "rows.parquet")).path)
        kept = dataset(rows, Path(folder, "rows"))

    assert kept == found
    for row, again in zip(rows, found, strict=True):
        assert _holds(again["x"], row["x"]), (again, row)
        assert _holds(again["y"], row["y"]), (again, row)


def _finite(value):
    if isinstance(value, float) and not math.isfinite(value):
        return 0.5
    if isinstance(value, dict):
        return {name: _finite(inner) for name, inner in value.items()}
    return [_finite(inner) for inner in value] if isinstance(value, list) else value


def _holds(found, value):
    """Whether a column has the value, or its JSON text."""
    if isinstance(value, dict) and isinstance(found, dict):
        others = [inner for name, inner in found.items() if name not in value]
        return all(_holds(found.get(name), inner) for name, inner in value.items()) and others == [None] * len(others)
    if isinstance(value, list) and isinstance(found, list):
        return len(found) == len(value) and all(map(_holds, found, value))
    if type(found) is type(value) and found == value:
        return True
    if isinstance(found, float) and isinstance(value, int) and not isinstance(value, bool):
        return found == float(value)
    return isinstance(found, str) and json.loads(found) == value


@pytest.mark.parametrize("write", ["parquet", "dataset"])
def test_what_is_held_in_several_files_is_one_table_in_order(tmp_path, monkeypatch, write):
    """The types of all files hold in each, also where the first has only nulls."""
    monkeypatch.setattr(_columns, "_GROUP", 100)
    rows = [{"n": n, "text": None if n < 50 else "x", "of": [{"a": 1}] if n % 2 else [{"b": 0.5}]} for n in range(100)]

    if write == "parquet":
        found = read(write_records(rows, tmp_path / "rows.parquet").path)
    else:
        found = dataset(rows, tmp_path / "rows")

    assert [row["n"] for row in found] == list(range(100))
    assert [row["text"] for row in found] == [None] * 50 + ["x"] * 50
    assert found[0]["of"] == [{"a": None, "b": 0.5}]
    assert not list(tmp_path.glob("**/lines"))


def test_nothing_lies_under_the_nulls_of_a_data_set(tmp_path):
    """What was in the memory before is nobody's business, and would be other bytes each time."""
    rows = [{"n": n if n % 3 else None, "f": [None, 0.5][n % 2], "b": [True, None, False][n % 3]} for n in range(50)]

    seen = set()
    for name in "abc":
        dataset(rows, tmp_path / name)
        seen.add((tmp_path / name / "data-00000-of-00001.arrow").read_bytes())

    assert len(seen) == 1
