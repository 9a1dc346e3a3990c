"""Questions in SQL: what can be asked, what cannot be reached, and what others may do meanwhile."""

import sqlite3
import subprocess
import sys
from contextlib import suppress
from datetime import datetime

import pytest

from agl_core.clock import Still
from agl_core.errors import BadQuery, LogNotFound, QueryCut
from agl_core.events import (
    CORE_EVENTS,
    MetricsLogged,
    NoteTaken,
    ResourcesPublished,
    RewardGiven,
    RolloutEnqueued,
    SpanRecorded,
    Target,
)
from agl_core.export import VIEWS, query
from agl_core.export._deadline import Deadline
from agl_core.ids import task_id
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.store import Queries

NOW = 1_700_000_000_123_456_789


@pytest.fixture
def log(tmp_path):
    """Four rollouts, two of them rewarded, metrics, and a note."""
    with SqliteLog(tmp_path / "log.db", projections=CORE, clock=Still(NOW)) as log:
        for number in range(4):
            rollout = f"ro-{number}"
            log.append(
                [
                    Draft(
                        stream=f"rollout/{rollout}",
                        event=RolloutEnqueued(rollout_id=rollout, input=number, task_id=task_id(number), group="g"),
                    )
                ]
            )
        for rollout, value in (("ro-0", 0.25), ("ro-0", 0.5), ("ro-1", 1.0)):
            target = Target(kind="rollout", id=rollout)
            event = RewardGiven(rollout_id=rollout, target=target, value=value, judge="agent")
            log.append([Draft(stream=f"rollout/{rollout}", event=event)])
        for step in range(3):
            event = MetricsLogged(run_id="run-1", step=step, metrics={"loss": 1.0 / (step + 1)})
            log.append([Draft(stream="run/run-1", event=event)])
        log.append([Draft(stream="log", event=NoteTaken(text="déjà vu", data={"deep": {"n": 7}}))])
        yield log


def rows(log, sql):
    """All of an answer."""
    with query(log, sql) as answer:
        return list(answer.rows)


def test_events_are_counted_by_type(log):
    """The first question anybody asks."""
    assert rows(log, "select type, count(*) from events group by 1 order by 1") == [
        ("metrics.logged", 3),
        ("note.taken", 1),
        ("reward.given", 3),
        ("rollout.enqueued", 4),
    ]


def test_a_path_will_do(log):
    """Where no log is open; where none is, it says so."""
    assert rows(log.path, "select count(*) from events") == [(11,)]
    with pytest.raises(LogNotFound), query(log.path.with_name("none.db"), "select 1"):
        pass


def test_columns_have_names_and_types(log):
    """Times are timestamps, JSON is JSON."""
    with query(log, "select position, type, data, recorded_at from events where data->>'text' = 'déjà vu'") as answer:
        found = list(answer.rows)

    assert answer.columns == ("position", "type", "data", "recorded_at")
    assert answer.types == ("BIGINT", "VARCHAR", "JSON", "TIMESTAMP")
    assert found[0][3] == datetime(2023, 11, 14, 22, 13, 20, 123456)  # noqa: DTZ001 - UTC, as documented
    assert rows(log, "select data->'data'->'deep'->>'n' from events where type = 'note.taken'") == [("7",)]


def test_every_view_reads_every_column(log):
    """What is documented is there, and has the type it says."""
    for name, view in VIEWS.items():
        with query(log, f"select * from {name}") as answer:  # noqa: S608 - names of ours
            list(answer.rows)
        assert answer.columns == tuple(column.name for column in view.columns)
        assert answer.types == tuple(column.type for column in view.columns)


def test_every_table_of_the_core_has_a_view(log):
    """All but the queue and the tallies, which say no more than the rollouts do."""
    tables = {table for projection in CORE for table in projection.tables}

    assert set(VIEWS) == tables - {"queue", "tallies"} | {"events", "promotions", "spending"}


def test_a_rollouts_reward_is_the_stores(log):
    """One definition: the last that counts, and none where there is none."""
    asked = dict(rows(log, "select rollout_id, reward from rollouts"))
    told = {outcome.rollout_id: outcome.reward for outcome in Queries(log).outcomes(list(asked))}

    assert asked == told == {"ro-0": 0.5, "ro-1": 1.0, "ro-2": None, "ro-3": None}


@pytest.mark.parametrize(
    ("sql", "found"),
    [
        ("select count(*) from rollouts", [(4,)]),
        ("select #3 from metrics where step = 0", [("loss",)]),
        ("select count(*) from events where type = 'note.taken' and data like '%vu%'", [(1,)]),
        ("select m from metrics m where step = 0", [({"run_id": "run-1", "step": 0, "name": "loss", "value": 1.0},)]),
        ("select value from rewards join rollouts using (rollout_id) where rollout_id = 'ro-1'", [(1.0,)]),
        ("with events as (select 1 as a) select * from events", [(1,)]),
        ("select (select max(step) from metrics), (select count(*) from workers)", [(2, 0)]),
        ("pivot metrics on name using sum(value) group by run_id", [("run-1", pytest.approx(11 / 6))]),
        ("select loss > 1 from (pivot metrics on name using sum(value) group by run_id)", [(True,)]),
        ('with p as (pivot metrics on step using max(name) group by run_id) select "2" from p', [("loss",)]),
        ("select v from (unpivot (select value from metrics where step = 0) on value into name n value v)", [(1.0,)]),
        ("from Rollouts select max(ROLLOUT_ID)", [("ro-3",)]),
        ("select columns('step|value') from metrics where step = 1", [(1, 0.5)]),
        ("select 1 from events where false", []),
        ("select rollout_id from memory.main.rollouts order by 1 limit 1", [("ro-0",)]),
    ],
)
def test_only_what_a_query_looks_at_is_read_and_nothing_changes_by_that(log, sql, found):
    """By name, by place, by pattern, as a whole, in a filter or through a join."""
    assert rows(log, sql) == found


def test_a_view_whose_name_is_a_word_of_sql_may_be_joined(log):
    """DuckDB quotes it in its plan; its rows are read all the same."""
    published = ResourcesPublished(resources_id="rs-1", version=1, resources={})
    log.append([Draft(stream="resources/rs-1", event=published)])

    assert rows(log, "select type, version from resources join events using (position, version)") == [
        ("resources.published", 1)
    ]


def test_columns_that_nobody_looks_at_stay_where_they_are(log):
    """The data of a million events is not read to count them."""
    asked = []
    with log.reading() as db:
        db.set_trace_callback(asked.append)  # the connection that is used next

    rows(log, "select type, count(*) from events where recorded_at is not null group by 1")

    assert [sql for sql in asked if "events" in sql] == ["select position, type, (recorded_at) / 1000 from events"]


def test_names_can_be_found_out(log):
    """Views, and the columns of one."""
    assert [name for (name,) in rows(log, "show tables")] == sorted(VIEWS)
    assert [row[0] for row in rows(log, "describe metrics")] == ["run_id", "step", "name", "value"]


@pytest.mark.parametrize(
    "sql",
    [
        "",
        "selec 1",
        "select * from nowhere",
        "select nothing from runs",
        "select 1; select 2",
        "select cast('x' as int) from events",
        "delete from events",
        "create table mine as select 1",
        "set memory_limit = '100GB'",
        "pragma enable_profiling",
    ],
)
def test_what_is_no_question_is_refused(log, sql):
    """With what DuckDB says, and with a code."""
    with pytest.raises(BadQuery, match="show tables"):
        rows(log, sql)


@pytest.mark.parametrize(
    "sql",
    [
        "select * from read_csv('{secret}')",
        "select * from '{secret}'",
        "select * from read_text('{secret}')",
        "select * from glob('{folder}/*')",
        "select * from sqlite_scan('{log}', 'secrets')",
        "attach '{log}' as other",
        "copy metrics to '{folder}/out.csv'",
        "install httpfs",
        "load '{secret}'",
        "select * from log",
        "select * from secrets",
        "select getenv('HOME')",
        "select * from read_csv('http://127.0.0.1:1/x.csv')",
        "select * from read_parquet('s3://bucket/x')",
        "select * from read_json('{secret}')",
        "select * from read_blob('{log}')",
        "select * from parquet_metadata('{secret}')",
        "copy (select 1) to '{folder}/out.parquet'",
        "export database '{folder}/all'",
        "import database '{folder}/all'",
        "attach 'http://127.0.0.1:1/x.duckdb' as other",
        "detach memory",
        "use memory",
        "pragma database_list",
        "pragma temp_directory='{folder}'",
        "set enable_external_access = true",
        "reset lock_configuration",
        "create secret s (type s3)",
        "create macro f() as table select * from read_csv('{secret}')",
        "checkpoint",
        "vacuum",
        "call pragma_version()",
        "prepare p as select 1",
        "execute p",
        "select * from query('select * from read_csv(''{secret}'')')",
        "explain analyze copy metrics to '{folder}/out.csv'",
    ],
)
def test_nothing_but_the_log_can_be_reached(log, tmp_path, sql):
    """No file, no network, no extension, no variable of ours, no table that is not a view."""
    secret = tmp_path / "secret.csv"
    secret.write_text("a,b\n1,2\n")

    with pytest.raises(BadQuery):
        rows(log, sql.format(secret=secret, folder=tmp_path, log=log.path))
    assert not (tmp_path / "out.csv").exists()


def test_what_a_query_changes_is_a_copy(log):
    """DuckDB lets a select delete: what it deletes are rows that were copied for it."""
    with suppress(BadQuery):
        rows(log, "with gone as (delete from metrics returning *) select * from gone")

    assert rows(log, "select count(*) from metrics") == [(3,)]


def test_all_views_show_one_moment(log, monkeypatch):
    """What is written between two copies is in neither."""
    from agl_core.export import _query

    copy = _query.copy

    def write_before(source, db, view, columns):
        copy(source, db, view, columns)
        log.append([Draft(stream="run/run-1", event=MetricsLogged(run_id="run-1", step=9, metrics={"loss": 0.0}))])

    monkeypatch.setattr(_query, "copy", write_before)

    sql = "select (select count(*) from events where type = 'metrics.logged'), (select count(*) from metrics)"
    assert rows(log, sql) == [(3, 3)]
    assert rows(log, sql)[0][0] > 3


WRITER = """
import sys
from agl_core.events import NoteTaken
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
with SqliteLog(sys.argv[1], projections=CORE) as log:
    print("ready", flush=True)
    for number in range(int(sys.argv[2])):
        log.append([Draft(stream="log", event=NoteTaken(text=str(number)))])
        if number == 20:
            print("writing", flush=True)
    print("done", log.head(), flush=True)
"""


def test_a_log_may_be_asked_while_another_process_writes(log):
    """Each answer is a prefix without gaps, and nothing that was committed is lost."""
    log.close()
    command = [sys.executable, "-c", WRITER, str(log.path), "400"]

    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as writer:
        assert writer.stdout.readline() == "ready\n"
        assert writer.stdout.readline() == "writing\n"
        seen = [rows(log.path, "select count(*), max(position), min(position) from events")[0] for _ in range(5)]
        said = writer.stdout.read().split()

    assert [(count, first) for count, _, first in seen] == [(last, 1) for _, last, _ in seen]
    assert said == ["done", str(11 + 400)]
    assert rows(log.path, "select count(*) from events") == [(411,)]
    with sqlite3.connect(log.path) as db:
        assert db.execute("pragma integrity_check").fetchone() == ("ok",)
    db.close()


def test_asking_does_not_touch_the_locks_of_a_writer_in_this_process(log):
    """A second copy of SQLite would drop them when it closes, and a third process could write in between."""
    holder = sqlite3.connect(log.path, isolation_level=None)
    holder.execute("begin immediate")
    other = "import sqlite3, sys; sqlite3.connect(sys.argv[1], timeout=0).execute('begin immediate')"

    rows(log, "select count(*) from events")
    done = subprocess.run([sys.executable, "-c", other, str(log.path)], capture_output=True, text=True, check=False)

    holder.close()
    assert "database is locked" in done.stderr


def test_a_span_has_its_attributes(log):
    """As they came, from the event: the table has columns only."""
    event = SpanRecorded(
        rollout_id="ro-0", attempt_id="at-1", span_id="sp-1", name="tool", attributes={"tool.name": "calculator"},
        started_at=NOW, ended_at=NOW,
    )  # fmt: skip
    log.append([Draft(stream="rollout/ro-0", event=event)])

    assert rows(log, """select name, sequence_id, attributes->>'$."tool.name"' from spans""") == [
        ("tool", 1, "calculator")
    ]


def test_erased_and_unknown_events_are_still_rows(log):
    """`data` is what the log keeps, whether this release knows the type or not."""
    with sqlite3.connect(log.path) as db:
        head = db.execute("select max(position) from events").fetchone()[0]
        db.execute(
            "insert into events values (?, 'x', 'log', 2, 'future.thing', 9, ?, null, null, null, 'me', 1, 1)",
            (head + 1, '{"a": 1}'),
        )
    db.close()

    assert "future.thing" not in {event.type for event in CORE_EVENTS}
    assert rows(log, "select data->>'a' from events where type = 'future.thing'") == [("1",)]


def test_a_query_has_its_time(log):
    """It is stopped, wherever it is, and says after how long."""
    long = "select count(*) from range(1000000000) a, range(1000000) b where (a.range * b.range) % 7 = 3"

    with pytest.raises(QueryCut, match=r"0\.1 seconds") as cut, query(log, long, timeout=0.1):
        pass

    assert cut.value.code == "QUERY_CUT"


def test_an_answer_has_its_time_row_by_row(log):
    """Also what is made while it is read; not the time in which nobody asks for more."""
    clock = iter([0.0, 1.0, 101.0, 102.0, 202.0, 203.0])
    deadline = Deadline(10, lambda: None, clock=lambda: next(clock))

    for _ in range(3):
        with deadline.running():
            pass

    assert deadline.left == 7.0


def test_a_copy_has_its_time(log, monkeypatch):
    """The rows that a query needs are fetched from the log first, and that is part of it."""
    from agl_core.export import _query

    def copy(source, _db, _view, _columns):
        source.execute(
            "with recursive n(i) as (select 1 union all select i + 1 from n) select max(i) from n"
        ).fetchall()

    monkeypatch.setattr(_query, "copy", copy)

    with pytest.raises(QueryCut), query(log, "select * from metrics", timeout=0.1):
        pass


def test_an_answer_has_at_most_so_many_rows(log):
    """Those come; that there are more is an error, and that there are not is none."""
    with query(log, "from range(5)", limit=3) as answer:
        found = [next(answer.rows) for _ in range(3)]
        with pytest.raises(QueryCut, match="3 rows"):
            next(answer.rows)
    with query(log, "from range(3)", limit=3) as answer:
        assert list(answer.rows) == found == [(0,), (1,), (2,)]
