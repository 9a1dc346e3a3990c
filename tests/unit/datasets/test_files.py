"""Files of tasks: JSON, JSON Lines, CSV and Parquet, by name or by pattern."""

import datetime as dt
import decimal
import gzip
import json
import time
from importlib.util import find_spec
from pathlib import Path

import duckdb
import pytest
from hypothesis import given
from hypothesis import strategies as st

from agl_core.datasets import load_dataset
from agl_core.errors import BadValue, MissingExtra

TASKS = [{"q": 1}, [2, "two"]]


# --- JSON


@pytest.mark.parametrize(
    ("name", "text"),
    [
        ("tasks.jsonl", '{"q": 1}\n\n[2, "two"]\n'),
        ("tasks.ndjson", '{"q": 1}\n[2, "two"]\n'),
        ("tasks.json", '[{"q": 1}, [2, "two"]]'),
        ("tasks.json", '{"q": 1}\n[2, "two"]\n'),
        ("tasks", '[{"q": 1},\n [2, "two"]]'),
        ("tasks.txt", '{"q": 1}\r\n[2, "two"]'),
        ("tasks.jsonl", '\ufeff{"q": 1}\n[2, "two"]'),
    ],
)
def test_tasks_come_as_lines_or_as_an_array(tmp_path, name, text):
    """By the file's name, else by how it begins; a path is text or a path."""
    (tmp_path / name).write_text(text)

    assert load_dataset(tmp_path / name) == load_dataset(str(tmp_path / name)) == tuple(TASKS)


@pytest.mark.parametrize("name", ["tasks.jsonl.gz", "tasks.json.gz", "tasks.gz"])
def test_packed_files_are_unpacked(tmp_path, name):
    """By their name."""
    (tmp_path / name).write_bytes(gzip.compress(json.dumps(TASKS[0]).encode() + b"\n"))
    if "jsonl" not in name:
        (tmp_path / name).write_bytes(gzip.compress(json.dumps(TASKS[:1]).encode()))

    assert load_dataset(tmp_path / name) == ({"q": 1},)


@pytest.mark.parametrize("line", ['{"q": ', "NaN", "{'q': 1}", '"\\ud800"'])
def test_a_bad_line_is_named(tmp_path, line):
    """By its number."""
    (tmp_path / "tasks.jsonl").write_text(f'{{"q": 1}}\n{line}\n')

    with pytest.raises(BadValue, match=r"tasks\.jsonl, line 2"):
        load_dataset(tmp_path / "tasks.jsonl")


@pytest.mark.parametrize(("text", "why"), [('{"q": 1}', "one JSON value"), ("[1,", "not JSON")])
def test_what_is_no_list_of_tasks_is_refused(tmp_path, text, why):
    """One value of JSON is no list."""
    (tmp_path / "tasks.json").write_text(text)

    with pytest.raises(BadValue, match=why):
        load_dataset(tmp_path / "tasks.json")


@given(st.lists(st.dictionaries(st.text(), st.integers() | st.text() | st.none())))
def test_lines_are_what_was_written(tmp_path_factory, tasks):
    """Whatever is in them: other signs that end a line do not."""
    path = tmp_path_factory.mktemp("lines") / "tasks.jsonl"
    path.write_text("".join(json.dumps(task, ensure_ascii=False) + "\n" for task in tasks), "utf-8", newline="")

    assert list(load_dataset(path)) == tasks


# --- what every file may have wrong


@pytest.mark.parametrize("name", ["tasks.jsonl", "tasks.csv", "tasks.json.gz"])
@pytest.mark.parametrize(
    ("content", "at", "likely"),
    [(b'"abc\xe9"', 4, "ISO-8859-1"), (b"\xef\xbb\xbf\xff", 3, "ISO-8859-1"), ("q".encode("utf-16"), 0, "UTF-16")],
)
def test_other_encodings_are_refused(tmp_path, name, content, at, likely):
    """With the byte, counted from 0, and what would make UTF-8 of it."""
    (tmp_path / name).write_bytes(gzip.compress(content) if name.endswith(".gz") else content)

    with pytest.raises(BadValue, match=rf"byte {at} is not UTF-8: `iconv -f {likely}"):
        load_dataset(tmp_path / name)


@pytest.mark.parametrize("name", ["tasks.jsonl.gz", "tasks.parquet"])
def test_broken_files_are_refused(tmp_path, name):
    """Without a traceback."""
    (tmp_path / name).write_bytes(b"not what its name says")

    with pytest.raises(BadValue, match=name):
        load_dataset(tmp_path / name)


def test_what_is_not_there_is_refused(tmp_path):
    """A name, a pattern, and a folder."""
    for name, why in (("none.csv", "no such file"), ("*.csv", "no such file"), ("", "it is a folder")):
        with pytest.raises(BadValue, match=why):
            load_dataset(tmp_path / name)


def test_a_pattern_names_files_from_a_to_z(tmp_path):
    """Also in folders below."""
    (tmp_path / "deep").mkdir()
    for name in ("b.jsonl", "a.jsonl", "deep/c.jsonl"):
        (tmp_path / name).write_text(json.dumps(Path(name).stem) + "\n")

    assert load_dataset(tmp_path / "*.jsonl") == ("a", "b")
    assert load_dataset(str(tmp_path / "**" / "*.jsonl")) == ("a", "b", "c")


@pytest.mark.parametrize("name", ["a[1].csv", "a*.csv", "what?.csv"])
def test_a_name_that_is_there_is_no_pattern(tmp_path, name):
    """Neither for us nor for DuckDB."""
    (tmp_path / name).write_text("q\nthis\n")
    (tmp_path / "a1.csv").write_text("q\nthat\n")

    assert load_dataset(tmp_path / name) == ({"q": "this"},)


# --- CSV


def csv(folder, text):
    """The tasks of a CSV file."""
    (folder / "tasks.csv").write_text(text, newline="")
    return list(load_dataset(folder / "tasks.csv"))


def test_csv_columns_are_of_a_type_where_all_their_values_are(tmp_path):
    """Written as JSON writes it; `007` and a date stay as they are."""
    found = csv(tmp_path, "n,x,ok,code,day,mixed\n1,1.5,true,007,2026-01-02,1\n-2,2,false,12,2026-02-03,x\n")

    assert found == [
        {"n": 1, "x": 1.5, "ok": True, "code": "007", "day": "2026-01-02", "mixed": "1"},
        {"n": -2, "x": 2.0, "ok": False, "code": "12", "day": "2026-02-03", "mixed": "x"},
    ]


@pytest.mark.parametrize(
    "text", ["12345678901234567890123", "0.1000000000000000055511151231257827", "1e999", "+1", "1_0"]
)
def test_csv_numbers_lose_no_digit(tmp_path, text):
    """A whole number is as long as it is; what a float cannot say stays text."""
    (found,) = csv(tmp_path, f"x\n{text}\n")

    assert found["x"] == (int(text) if text.isdigit() else text)


def test_csv_nothing_is_none_and_quoted_nothing_is_text(tmp_path):
    """They were written differently."""
    assert csv(tmp_path, 'a,b\n,""\n') == [{"a": None, "b": ""}]


def test_csv_quotes_hold_separators_and_lines(tmp_path):
    """As RFC 4180 says; the first line may have other separators."""
    assert csv(tmp_path, 'q,n\r\n"a ""b"", c\r\nd",1\r\n') == [{"q": 'a "b", c\r\nd', "n": 1}]
    assert csv(tmp_path, "q;n\na, b;1\n") == [{"q": "a, b", "n": 1}]
    assert csv(tmp_path, "q\nIs it this; or that?\n") == [{"q": "Is it this; or that?"}]


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("a,b\n1,2\n3\n", "Line: 3"),
        ("a,b\n1,2\n3,4,5\n", "Line: 3"),
        ('a,b\n1,"2\n', "Line: 2"),
        ("a,a\n1,2\n", "2 columns"),
        ("a,\n1,2\n", "as text"),
        ("\na,b\n1,2\n", "its first line is empty"),
        ("a,b\r\n1,2\n3,4\r\n", "line ends alike"),
    ],
)
def test_csv_that_is_not_as_wide_as_its_first_line_is_refused(tmp_path, text, why):
    """With the line."""
    with pytest.raises(BadValue, match=why):
        csv(tmp_path, text)


def test_csv_without_rows_has_no_tasks(tmp_path):
    """Nor has one without anything; an empty line is no row."""
    assert csv(tmp_path, "a,b\n") == csv(tmp_path, "") == csv(tmp_path, "\n") == []
    assert csv(tmp_path, 'a\n\nb\n""\n\n') == [{"a": "b"}, {"a": ""}]
    assert csv(tmp_path, "a,b\n\n1,2\n\n") == [{"a": 1, "b": 2}]


def test_csv_may_be_packed_and_long(tmp_path):
    """A prompt of a megabyte is one value."""
    (tmp_path / "tasks.csv.gz").write_bytes(gzip.compress(b"q\n" + b"x" * 3_000_000 + b"\n"))

    (found,) = load_dataset(tmp_path / "tasks.csv.gz")

    assert found["q"] == "x" * 3_000_000


@given(st.lists(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"])), min_size=1))
def test_csv_text_is_what_was_written(tmp_path_factory, values):
    """Whatever it has in it."""
    path = tmp_path_factory.mktemp("csv") / "tasks.csv"
    lines = ["q,mark", *('"{}","x"'.format(value.replace('"', '""')) for value in values)]
    path.write_text("\n".join(lines) + "\n", "utf-8", newline="")

    marked = [task["q"] for task in load_dataset(path)]

    assert [str(value) for value in marked] == values or all(not isinstance(value, str) for value in marked)


# --- Parquet


def parquet(folder, select):
    """The tasks of a Parquet file that DuckDB writes."""
    path = folder / "it's.parquet"
    with duckdb.connect() as db:
        db.execute(f"copy ({select}) to '{str(path).replace(chr(39), chr(39) * 2)}' (format parquet)")
    return load_dataset(path)


def test_parquet_keeps_its_types(tmp_path):
    """Moments are text of ISO 8601, at the same moment; a decimal has its digits."""
    (found,) = parquet(
        tmp_path,
        "select 1 as n, 2.5::double as x, true as ok, 'a' as q, null::integer as gap, [1, 2] as l, "
        "{'a': {'b': 1}} as s, map {'k': 1} as m, date '2026-01-02' as day, timestamp '2026-01-02 03:04:05' as t, "
        "timestamptz '2026-01-02 03:04:05+00' as tz, timestamp_ns '2026-01-02 03:04:05.123456789' as ns, "
        "1.10::decimal(3, 2) as d",
    )

    assert found == {
        "n": 1, "x": 2.5, "ok": True, "q": "a", "gap": None, "l": [1, 2], "s": {"a": {"b": 1}}, "m": {"k": 1},
        "day": "2026-01-02", "t": "2026-01-02T03:04:05", "tz": "2026-01-02T03:04:05+00:00",
        "ns": "2026-01-02T03:04:05.123456789", "d": "1.10",
    }  # fmt: skip


def test_parquet_bytes_are_refused(tmp_path):
    """With the row and the column."""
    with pytest.raises(BadValue, match=r"it's\.parquet, row 0, column 'image'"):
        parquet(tmp_path, "select 'x'::blob as image")


@pytest.fixture(params=["UTC", "America/New_York"])
def _zone(request, monkeypatch):
    """A machine that is there."""
    with monkeypatch.context() as there:
        there.setenv("TZ", request.param)
        time.tzset()
        yield
    time.tzset()


@pytest.mark.usefixtures("_zone")
def test_parquet_moments_are_the_same_text_on_every_machine(tmp_path):
    """Or a task would have another id on each."""
    assert parquet(tmp_path, "select timestamptz '2026-01-02 03:04:05+00' as t") == (
        {"t": "2026-01-02T03:04:05+00:00"},
    )


@pytest.mark.usefixtures("_zone")
def test_parquet_moments_inside_of_structures_are_too(tmp_path):
    """DuckDB wants pytz for those; without it that is said."""
    select = "select {'t': timestamptz '2026-01-02 03:04:05+00'} as s"

    if find_spec("pytz") is None:
        with pytest.raises(MissingExtra, match="pip install pytz"):
            parquet(tmp_path, select)
    else:
        assert parquet(tmp_path, select) == ({"s": {"t": "2026-01-02T03:04:05+00:00"}},)


def test_parquet_of_other_libraries_is_read(tmp_path):
    """What Arrow writes DuckDB reads."""
    pa, pq = pytest.importorskip("pyarrow"), pytest.importorskip("pyarrow.parquet")
    when = dt.datetime(2026, 1, 2, 3, 4, tzinfo=dt.UTC)
    rows = {"q": ["a", None], "t": [when, None], "d": [decimal.Decimal("1.10"), None]}
    pq.write_table(pa.table(rows), tmp_path / "tasks.parquet")

    assert load_dataset(tmp_path / "tasks.parquet") == (
        {"q": "a", "t": "2026-01-02T03:04:00+00:00", "d": "1.10"},
        {"q": None, "t": None, "d": None},
    )


# --- the Hub


def test_the_hub_needs_its_library(monkeypatch):
    """It is said how to get it."""
    monkeypatch.setattr("agl_core.datasets._hub.find_spec", lambda _name: None)

    with pytest.raises(MissingExtra, match="pip install datasets"):
        load_dataset("hf://owner/name")


@pytest.mark.parametrize("address", ["hf://", "hf://name", "hf://owner/name?nonsense=1"])
def test_an_address_that_is_none_is_refused(address):
    """Before anything is asked."""
    with pytest.raises(BadValue, match="hf://OWNER/NAME"):
        load_dataset(address)


@pytest.mark.parametrize(
    ("address", "asked", "options"),
    [
        ("hf://owner/name?name=main&revision=v1", "owner/name", {"name": "main", "revision": "v1"}),
        ("hf://datasets/owner/name?split=train", "owner/name", {"split": "train"}),
        ("hf://owner/name/data/*.parquet", "parquet", {"data_files": "hf://datasets/owner/name/data/*.parquet"}),
    ],
)
def test_the_hub_is_asked_through_its_library(monkeypatch, address, asked, options):
    """With the configuration, the revision and the split that the address says."""
    datasets = pytest.importorskip("datasets")
    calls = []

    def load(path, **given):
        calls.append((path, given))
        rows = datasets.Dataset.from_list([{"q": 1}])
        return rows if "split" in given else datasets.DatasetDict({"train": rows})

    monkeypatch.setattr(datasets, "load_dataset", load)

    assert load_dataset(address) == ({"q": 1},)
    assert calls == [(asked, options)]


def test_what_the_hub_refuses_is_told(monkeypatch):
    """In its words."""
    datasets = pytest.importorskip("datasets")
    monkeypatch.setattr(datasets.config, "HF_HUB_OFFLINE", True)

    with pytest.raises(BadValue, match="hf://owner/nobody-has-this"):
        load_dataset("hf://owner/nobody-has-this")
