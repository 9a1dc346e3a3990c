"""Logs to files and back: nothing is lost, nothing is written over, nothing half-written has a name."""

import json
import sqlite3
from contextlib import closing

import duckdb
import pytest

from agl_core.errors import BadValue, LogCorrupt, LogExists, LogNotFound, LogUnsupported
from agl_core.events import NoteTaken
from agl_core.export import VIEWS, export_log, import_log, query
from agl_core.log import Format, SqliteLog, Stored, _stored, assemble, copy, digest, pages, verify
from agl_core.projections import CORE
from agl_core.record import Draft

FORMATS = ["parquet", "jsonl", "duckdb", "db"]
EXPORTS = FORMATS[:3]


@pytest.mark.parametrize("format", FORMATS)
def test_what_is_imported_is_what_was_exported(full, kept, tmp_path, format):
    """Events, blobs and seals, byte for byte, unknown types among them; and it goes on as a log."""
    out = export_log(full, tmp_path / f"run.{format}")
    back = import_log(out.path, tmp_path / "back.db")

    assert (out.format, out.head, out.seal) == (format, full.head(), digest(full))
    assert (back.head, back.seal) == (out.head, out.seal)
    with SqliteLog(back.path, projections=CORE) as log:
        assert kept(log) == kept(full)
        assert [record.event for record in log.read()] == [record.event for record in full.read()]
        assert list(verify(log)) == []
        assert log.append([Draft(stream="log", event=NoteTaken(text="on"))])[0].position == out.head + 1


@pytest.mark.parametrize("format", FORMATS)
def test_a_log_goes_through_every_format_in_turn(full, kept, tmp_path, format):
    """An export of an export is the export: also from one format to the others."""
    first = export_log(full, tmp_path / f"first.{format}")

    for other in FORMATS:
        second = export_log(first.path, tmp_path / f"second.{other}")
        with SqliteLog(import_log(second.path, tmp_path / f"{other}-back.db").path, readonly=True) as log:
            assert kept(log) == kept(full)
        assert second.seal == first.seal


@pytest.mark.parametrize("format", FORMATS)
def test_an_empty_log_is_a_log(tmp_path, format):
    """Nothing in, nothing out, and no failure."""
    with SqliteLog(tmp_path / "empty.db", projections=CORE) as log:
        out = export_log(log, tmp_path / f"run.{format}")

    assert import_log(out.path, tmp_path / "back.db").head == 0


@pytest.mark.parametrize("format", FORMATS)
def test_the_logs_own_key_stays_behind(full, tmp_path, format):
    """It makes the tokens of attempts: an export may be handed on."""
    out = export_log(full, tmp_path / f"run.{format}")
    back = import_log(out.path, tmp_path / "back.db")

    assert full.secret() not in out.path.read_bytes()
    with SqliteLog(back.path, readonly=True) as log:
        assert log.secret() != full.secret()


@pytest.mark.parametrize("format", FORMATS)
def test_nothing_is_written_over(full, tmp_path, format):
    """What is there stays, and nothing of the attempt does."""
    there = tmp_path / f"run.{format}"
    there.write_text("mine")

    with pytest.raises(LogExists):
        export_log(full, there)

    assert there.read_text() == "mine"
    assert not list(tmp_path.glob(".*"))


@pytest.mark.parametrize("format", EXPORTS)
def test_an_export_has_its_name_when_it_is_whole(full, tmp_path, format):
    """What fails on the way leaves nothing, and comes out as what it was."""

    def fail(_done, _all):
        raise KeyboardInterrupt if format == "jsonl" else LookupError("no more")

    with pytest.raises((LookupError, KeyboardInterrupt)):
        export_log(full, tmp_path / f"run.{format}", progress=fail)

    assert sorted(path.name for path in tmp_path.iterdir() if not path.name.startswith("full.db")) == []


@pytest.mark.parametrize("format", FORMATS)
def test_an_export_is_of_one_moment(full, tmp_path, format):
    """What is written while it is made is in none of it: no event, and no row of a table."""
    head, seal, written = full.head(), digest(full), []

    def write(_done, _all):
        if not written:
            written.extend(full.append([Draft(stream="run/1", event=NoteTaken(text="meanwhile"))]))

    out = export_log(full, tmp_path / f"run.{format}", progress=write)

    assert written
    assert (out.head, out.seal) == (head, seal)
    back = import_log(out.path, tmp_path / "back.db")
    assert (back.head, back.seal) == (head, seal)


def test_progress_is_told(full, tmp_path):
    """How many of how many; on the way back, how many."""
    heard = []
    for suffix in FORMATS:
        export_log(full, tmp_path / f"run.{suffix}", progress=lambda done, whole: heard.append((done, whole)))

    assert set(heard) == {(full.head(), full.head())}


def test_the_suffix_says_the_format(full, tmp_path):
    """Or the caller does; any other name is refused before anything is written."""
    assert export_log(full, tmp_path / "run.bin", format=Format.PARQUET).format == "parquet"
    assert export_log(full, tmp_path / "run.SQLITE").format == "db"
    with pytest.raises(BadValue, match=r"\.parquet"):
        export_log(full, tmp_path / "run.csv")
    with pytest.raises(LogUnsupported, match="only SQLite"):
        import_log(tmp_path / "run.bin", tmp_path / "back.parquet")


def test_a_page_is_cut_where_it_is_enough(full, monkeypatch):
    """By the bytes of its rows or of its blobs, so that large payloads are not held by the thousand."""
    monkeypatch.setattr(_stored, "_BYTES", 1000)
    monkeypatch.setattr(_stored, "_SOME", 2)

    cut = list(pages(full, until=full.head()))

    monkeypatch.undo()
    (whole,) = pages(full, until=full.head())
    assert len(cut) > 5
    assert [row for page in cut for row in page.rows] == whole.rows
    assert {position: blobs for page in cut for position, blobs in page.blobs.items()} == whole.blobs
    assert {position: seal for page in cut for position, seal in page.seals.items()} == whole.seals


def test_a_name_is_no_pattern(full, kept, tmp_path):
    """Brackets, quotes and blanks are letters."""
    for name in ("run[1].parquet", "it's mine.parquet", "a*b?.jsonl", "a*b.duckdb"):
        back = import_log(export_log(full, tmp_path / name).path, tmp_path / f"{name}.db")
        with SqliteLog(back.path, readonly=True) as log:
            assert kept(log) == kept(full)


@pytest.mark.parametrize("format", FORMATS)
def test_what_was_erased_stays_erased(full, kept, tmp_path, format):
    """And nothing else is missing: a copy without a stream goes out and comes back as it is."""
    copy(full.path, tmp_path / "copy.db", erase=["rollout/ro-1"], projections=CORE)

    with SqliteLog(tmp_path / "copy.db", projections=CORE) as without:
        out = export_log(without, tmp_path / f"run.{format}")
        with SqliteLog(import_log(out.path, tmp_path / "back.db").path, projections=CORE) as back:
            assert kept(back) == kept(without)
            assert list(verify(back)) == list(verify(without)) == []


def test_data_that_is_not_one_line_comes_back_as_it_was(tmp_path):
    """Facts of other hands: with line breaks, blanks around, numbers as no encoder of ours writes them."""
    written = ['{\n"a": 1}', ' {"a":1} ', '{"b":1.0e+5,"a":1}', '{"a":"\\u00e9"}', '"\\ud83d\\ude42"', "null", "[1 ,2]"]
    facts = [
        Stored((n, f"id-{n}", "log", n, "odd.thing", 1, data, None, None, None, "me", 1, 1))
        for n, data in enumerate(written, start=1)
    ]
    assemble(tmp_path / "odd.db", facts)

    for suffix in ("jsonl", "parquet"):
        out = export_log(tmp_path / "odd.db", tmp_path / f"odd.{suffix}")
        with SqliteLog(import_log(out.path, tmp_path / f"{suffix}.db").path, readonly=True) as log:
            assert [data for (data,) in log.rows("select data from events order by position")] == written


def test_lines_can_be_read_and_cut_without_us(full, tmp_path):
    """An event a line, its blobs with the first that needs them: the first lines are a log of their own."""
    out = export_log(full, tmp_path / "run.jsonl")
    lines = out.path.read_text().split("\n")[:-1]

    (tmp_path / "cut.jsonl").write_text("\n".join(lines[:5]) + "\n")
    cut = import_log(tmp_path / "cut.jsonl", tmp_path / "cut.db")

    assert [json.loads(line)["position"] for line in lines] == list(range(1, out.head + 1))
    assert json.loads(lines[0])["data"]["input"]["q"].startswith("line\nbreak")
    with SqliteLog(cut.path, projections=CORE) as log:
        assert [record.event for record in log.read()] == [record.event for record in full.read(until=5)]
        assert list(verify(log)) == []


def test_parquet_can_be_read_without_us(full, tmp_path):
    """One row an event, the envelope's columns in their order."""
    out = export_log(full, tmp_path / "run.parquet")

    with closing(duckdb.connect()) as db:
        db.execute(f"select * from '{out.path}'")  # noqa: S608
        names = [column[0] for column in db.description]
        counted = db.execute(f"select count(*), sum(len(blobs)) from '{out.path}'").fetchone()  # noqa: S608

    assert names[:3] == ["position", "id", "stream"]
    assert names[-2:] == ["blobs", "seal"]
    assert counted == (full.head(), full.rows("select count(*) from blobs")[0][0])


def test_a_duckdb_export_has_every_view_with_its_types(full, tmp_path):
    """`duckdb run.duckdb` needs none of us; rows are those that a query gives."""
    out = export_log(full, tmp_path / "run.duckdb")

    with closing(duckdb.connect(str(out.path), read_only=True)) as db:
        names = {name for (name,) in db.execute("show tables").fetchall()}
        for name, view in VIEWS.items():
            found = db.execute(f"select * from {name}").fetchall()  # noqa: S608
            assert [(column[0], str(column[1])) for column in db.description] == [
                (column.name, column.type) for column in view.columns
            ]
            with query(full, f"select * from {name}") as answer:  # noqa: S608
                assert found == list(answer.rows)
        blobs = db.execute("select id, content from blobs order by id").fetchall()
        assert db.execute("select comment from duckdb_views() where view_name = 'events'").fetchone()[0]

    assert names == {*VIEWS, "facts", "blobs", "seals"}
    assert blobs == full.rows("select id, content from blobs order by id")


@pytest.mark.parametrize(
    ("name", "content", "why"),
    [
        ("run.jsonl", b'{"position":1}\n', "line 1"),
        ("rows.jsonl", b'{"messages":[]}\n', "Name a log, or what `agl log export` made of one"),
        ("run.jsonl", b"\xff\n", "line 1"),
        ("run.parquet", b"PAR1 and no more", "cannot be read"),
        ("run.duckdb", b"12345678DUCK and no more", "cannot be read"),
    ],
)
def test_what_is_no_export_is_refused(tmp_path, name, content, why):
    """With a code, and nothing is left of the attempt."""
    (tmp_path / name).write_bytes(content)

    with pytest.raises(LogCorrupt, match=why):
        import_log(tmp_path / name, tmp_path / "back.db")

    assert [path.name for path in tmp_path.iterdir()] == [name]


def test_facts_out_of_order_are_refused(full, tmp_path):
    """A line that is missing is noticed."""
    out = export_log(full, tmp_path / "run.jsonl")
    lines = out.path.read_text().split("\n")
    (tmp_path / "gap.jsonl").write_text("\n".join(lines[:3] + lines[4:]))

    with pytest.raises(LogCorrupt, match="next position"):
        import_log(tmp_path / "gap.jsonl", tmp_path / "back.db")


def test_a_parquet_file_of_others_is_refused(tmp_path):
    """It has none of our columns."""
    with closing(duckdb.connect()) as db:
        db.execute(f"copy (select 1 as a) to '{tmp_path}/other.parquet'")

    with pytest.raises(LogCorrupt):
        import_log(tmp_path / "other.parquet", tmp_path / "back.db")


def test_there_must_be_something_to_import(tmp_path):
    """It says where it looked."""
    for name in ("none.parquet", "none.db"):
        with pytest.raises(LogNotFound, match=name):
            import_log(tmp_path / name, tmp_path / "back.db")


def test_a_changed_fact_is_found_by_its_seal(full, tmp_path):
    """Seals travel with the facts: what was changed in an export is told by `verify`."""
    out = export_log(full, tmp_path / "run.jsonl")
    out.path.write_text(out.path.read_text().replace('"text":"7"', '"text":"8"'))

    back = import_log(out.path, tmp_path / "back.db")

    with closing(sqlite3.connect(back.path)) as db:
        assert db.execute('select count(*) from events where data like \'%"text":"8"%\'').fetchone() == (2,)
    with SqliteLog(back.path, projections=CORE, readonly=True) as log:
        assert [finding.what for finding in verify(log)]
