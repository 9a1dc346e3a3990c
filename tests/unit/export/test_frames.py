"""Views as frames, of what is installed."""

from importlib.util import find_spec

import pytest

import agl_core as agl
from agl_core.errors import BadQuery, BadValue, MissingExtra
from agl_core.export import VIEWS, _frames, export_log, frame, query

MODULES = {"pandas": "pandas", "polars": "polars", "arrow": "pyarrow"}
HERE = [kind for kind, module in MODULES.items() if find_spec(module)]
each = pytest.mark.parametrize(
    "kind", [pytest.param(kind, marks=() if kind in HERE else pytest.mark.skip("not installed")) for kind in MODULES]
)


def _rows(found, kind):
    match kind:
        case "pandas":
            return [tuple(row) for row in found.itertuples(index=False)]
        case "polars":
            return found.rows()
        case _:
            return [tuple(row.values()) for row in found.to_pylist()]


@pytest.mark.skipif(find_spec("importlinter") is None, reason="the core alone is tested without frames")
def test_a_checkout_tests_all_of_them():
    """None of what follows is skipped where we develop."""
    assert list(MODULES) == HERE


@each
def test_a_view_is_a_frame(full, kind):
    """Its columns by name, its rows in order, its numbers numbers."""
    found = frame(full, "calls", kind=kind)

    assert type(found).__module__.split(".")[0] == MODULES[kind]
    assert list(found.column_names if kind == "arrow" else found.columns) == [
        column.name for column in VIEWS["calls"].columns
    ]
    assert [row[0] for row in _rows(found, kind)] == [f"ca-{turn}" for turn in range(6)]
    assert _rows(frame(full, "select sum(latency_seconds) from calls", kind=kind), kind) == [(3.75,)]


@each
def test_every_view_is_a_frame(full, kind):
    """Whatever its types, and with no row in it."""
    for name in VIEWS:
        with query(full, f"select count(*) from {name}") as answer:  # noqa: S608 - names of ours
            ((count,),) = answer.rows
        assert len(frame(full, name, kind=kind)) == count


@each
def test_a_log_that_is_opened_has_frames_and_answers(full, tmp_path, kind):
    """Whether it is a log or an export."""
    export_log(full, tmp_path / "run.parquet")

    for path in (full.path, tmp_path / "run.parquet"):
        with agl.open_log(str(path), readonly=True) as log:
            assert len(log.frame("events", kind=kind)) == log.head()
            with log.query("select count(*) from events", timeout=60, limit=1) as answer:
                assert list(answer.rows) == [(log.head(),)]


@pytest.mark.parametrize("first", HERE)
def test_what_is_installed_is_taken(full, monkeypatch, first):
    """The first of pandas, polars and pyarrow."""
    gone = {MODULES[kind] for kind in HERE[: HERE.index(first)]}
    monkeypatch.setattr(_frames, "find_spec", lambda name: None if name in gone else find_spec(name))

    assert type(frame(full, "calls")).__module__.split(".")[0] == MODULES[first]


def test_without_any_of_them_it_says_what_to_install(full, monkeypatch):
    """Whichever was asked for."""
    monkeypatch.setattr(_frames, "find_spec", lambda _name: None)

    with pytest.raises(MissingExtra, match="pip install polars"):
        frame(full, "calls")
    with pytest.raises(MissingExtra, match="pip install pyarrow"):
        frame(full, "calls", kind="arrow")


@each
def test_a_frame_of_what_is_not_there_is_refused(full, kind):
    """A view, a column, a kind."""
    with pytest.raises(BadQuery):
        frame(full, "callz", kind=kind)
    with pytest.raises(BadQuery):
        frame(full, "select nothing from calls", kind=kind)
    with pytest.raises(BadValue, match="polars"):
        frame(full, "calls", kind="excel")
