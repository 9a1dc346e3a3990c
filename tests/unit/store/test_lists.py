"""Lists: filtered, sorted, a page at a time, and at the same cost however long they are."""

import inspect
import sqlite3

import pytest

from agl_core.errors import BadValue, UnknownId
from agl_core.events import RolloutConfig, SpanRecorded
from agl_core.resources import PromptTemplate
from agl_core.store import UNSET, EnqueueRolloutRequest, PaginatedResult, Store

pytestmark = pytest.mark.anyio

V03 = {
    "start_rollout": "input, mode=None, resources_id=None, config=None, metadata=None, worker_id=None",
    "enqueue_rollout": "input, mode=None, resources_id=None, config=None, metadata=None",
    "enqueue_many_rollouts": "rollouts",
    "dequeue_rollout": "worker_id=None",
    "dequeue_many_rollouts": "*, limit=1, worker_id=None",
    "start_attempt": "rollout_id, worker_id=None",
    "add_many_spans": "spans",
    "add_span": "span",
    "add_otel_span": "rollout_id, attempt_id, readable_span, sequence_id=None",
    "query_rollouts": "*, status_in=None, rollout_id_in=None, rollout_id_contains=None, filter_logic='and', "
    "sort_by=None, sort_order='asc', limit=-1, offset=0",
    "query_attempts": "rollout_id, *, sort_by='sequence_id', sort_order='asc', limit=-1, offset=0",
    "get_rollout_by_id": "rollout_id",
    "get_latest_attempt": "rollout_id",
    "query_resources": "*, resources_id=None, resources_id_contains=None, sort_by=None, sort_order='asc', limit=-1, "
    "offset=0",
    "get_resources_by_id": "resources_id",
    "get_latest_resources": "",
    "get_next_span_sequence_id": "rollout_id, attempt_id",
    "get_many_span_sequence_ids": "rollout_attempt_ids",
    "wait_for_rollouts": "*, rollout_ids, timeout=None",
    "query_spans": "rollout_id, attempt_id=None, *, trace_id=None, trace_id_contains=None, span_id=None, "
    "span_id_contains=None, parent_id=None, parent_id_contains=None, name=None, name_contains=None, "
    "filter_logic='and', limit=-1, offset=0, sort_by='sequence_id', sort_order='asc'",
    "add_resources": "resources",
    "update_resources": "resources_id, resources",
    "update_rollout": "rollout_id, input=UNSET, mode=UNSET, resources_id=UNSET, status=UNSET, config=UNSET, "
    "metadata=UNSET",
    "update_attempt": "rollout_id, attempt_id, status=UNSET, worker_id=UNSET, last_heartbeat_time=UNSET, "
    "metadata=UNSET",
    "query_workers": "*, status_in=None, worker_id_contains=None, filter_logic='and', sort_by=None, "
    "sort_order='asc', limit=-1, offset=0",
    "get_worker_by_id": "worker_id",
    "update_worker": "worker_id, heartbeat_stats=UNSET",
    "statistics": "",
}
"""Agent Lightning's store, as its users call it."""


@pytest.mark.parametrize("name", V03)
def test_the_store_is_called_as_it_was(name):
    """Names, order, defaults and what goes by name only; ours may come after."""
    asked = inspect.signature(eval(f"lambda self, {V03[name]}: 0", {"UNSET": UNSET}))  # noqa: S307 - ours, above
    method = getattr(Store, name)

    ours = inspect.signature(method).parameters
    known = [(each.name, each.kind, each.default) for each in ours.values() if each.name in asked.parameters]

    assert inspect.iscoroutinefunction(method)
    assert known == [(each.name, each.kind, each.default) for each in asked.parameters.values()]
    assert all(ours[name].default is not inspect.Parameter.empty for name in set(ours) - set(asked.parameters))


# --- rollouts


@pytest.fixture
async def six(store):
    """`ro-0` to `ro-5`: two succeeded, one cancelled, one under way, two wait."""
    ids = await store.enqueue([EnqueueRolloutRequest(input={"n": n}, rollout_id=f"ro-{n}") for n in range(6)])
    for _ in range(2):
        one = await store.dequeue_rollout()
        await store.finish_attempt(one.attempt, "completed")
    await store.cancel_rollout(ids[2])
    await store.dequeue_rollout()
    return ids


@pytest.mark.parametrize(
    ("asked", "numbers", "total"),
    [
        ({}, [0, 1, 2, 3, 4, 5], 6),
        ({"status_in": ["succeeded"]}, [0, 1], 2),
        ({"status_in": ["queuing", "succeeded"]}, [0, 1, 4, 5], 4),
        ({"status_in": []}, [], 0),
        ({"status_in": ["queuing", "succeeded"], "limit": 2, "offset": 1}, [1, 4], 4),
        ({"status_in": ["queuing"], "limit": 1}, [4], 2),
        ({"status_in": ["succeeded"], "rollout_id_in": ["ro-1", "ro-4"]}, [1], 1),
        ({"status_in": ["succeeded"], "rollout_id_in": ["ro-1", "ro-4"], "filter_logic": "or"}, [0, 1, 4], 3),
        ({"rollout_id_contains": "-3"}, [3], 1),
        ({"rollout_id_contains": "RO"}, [], 0),
        ({"rollout_id_in": []}, [], 0),
        ({"limit": 2, "offset": 5}, [5], 6),
        ({"limit": 2, "offset": 9}, [], 6),
        ({"sort_by": "start_time", "sort_order": "desc", "limit": 2}, [5, 4], 6),
        ({"sort_by": "status"}, [2, 3, 4, 5, 0, 1], 6),
        ({"sort_by": "status", "sort_order": "desc", "offset": 4}, [3, 2], 6),
        ({"sort_by": "rollout_id", "status_in": ["queuing", "cancelled"], "limit": 2}, [2, 4], 3),
        ({"rollout_id_in": ["ro-1", "ro-2", "ro-3"], "limit": 1}, [1], 3),
    ],
)
async def test_rollouts_are_listed_as_asked(store, six, asked, numbers, total):
    """Which, in which order, which part, and of how many."""
    page = await store.query_rollouts(**asked)

    assert [rollout.input["n"] for rollout in page] == numbers
    assert (page.total, page.limit, page.offset) == (total, asked.get("limit", -1), asked.get("offset", 0))


async def test_a_page_is_a_sequence(store, six):
    """Of its items."""
    page = await store.query_rollouts(limit=2)

    assert isinstance(page, PaginatedResult)
    assert (len(page), page[0].rollout_id, page[-1].rollout_id) == (2, "ro-0", "ro-1")
    assert [one.rollout_id for one in page[1:]] == ["ro-1"]
    assert page[0] in page


@pytest.mark.parametrize(
    "asked", [{"limit": 0}, {"limit": -2}, {"offset": -1}, {"sort_by": "luck"}, {"sort_order": "up"}]
)
async def test_a_page_that_makes_no_sense_is_refused(store, six, asked):
    """Of every list; a limit of 0 is a mistake, -1 means all."""
    for query in (store.query_rollouts, store.query_resources, store.query_workers):
        with pytest.raises(BadValue):
            await query(**asked)
    for query in (store.query_attempts, store.query_spans):
        with pytest.raises(BadValue):
            await query("ro-0", **asked)
    with pytest.raises(BadValue, match="filter_logic"):
        await store.query_rollouts(status_in=["queuing"], filter_logic="xor")


async def test_those_that_were_tried_come_with_the_attempt_that_counts(store, six):
    """The others have none."""
    found = await store.query_rollouts()

    assert [getattr(one, "attempt_id", None) is not None for one in found] == [True, True, False, True, False, False]


async def test_a_list_reads_a_page_and_no_more(store, log, six, monkeypatch):
    """Two reads of the facts and the attempts, however many rollouts there are, and none for each."""
    seen = []
    monkeypatch.setattr(log, "rows", lambda sql, given=(), rows=log.rows: seen.append(sql) or rows(sql, given))
    monkeypatch.setattr(log, "records", lambda places, found=log.records: seen.append("records") or found(places))

    await store.query_rollouts(status_in=["queuing", "succeeded"], limit=100)
    of_six = len(seen)
    await store.enqueue([EnqueueRolloutRequest(input=n) for n in range(200)])
    seen.clear()
    page = await store.query_rollouts(status_in=["queuing", "succeeded"], limit=100)

    assert (len(page), page.total) == (100, 204)
    assert len(seen) == of_six == 4


async def test_a_list_walks_an_index(store, log, six, monkeypatch):
    """Never all rollouts, and nothing is sorted that an index has in order."""
    seen = []
    monkeypatch.setattr(log, "rows", lambda sql, given=(), rows=log.rows: seen.append((sql, given)) or rows(sql, given))
    await store.query_rollouts(status_in=["queuing"], limit=2)
    await store.query_rollouts(sort_by="start_time", sort_order="desc", limit=2)

    db = sqlite3.connect(log.path)
    plans = [
        "\n".join(row[3] for row in db.execute(f"explain query plan {sql}", given))
        for sql, given in seen
        if "from rollouts" in sql
    ]
    db.close()

    assert len(plans) == 2
    for plan, index in zip(plans, ["rollouts_status", "rollouts_position"], strict=True):
        inner = plan.partition("LIST SUBQUERY")[2].partition("USE TEMP B-TREE")[0]
        assert f"SEARCH rollouts USING COVERING INDEX {index}" in inner
        assert "SCAN" not in plan


async def test_tallies_are_what_counting_would_say(store, log, six):
    """Whatever happened to the rollouts."""
    await store.delete_rollout("ro-0")
    await store.delete_rollout("ro-4")
    counted = log.rows("select status, count(*) from rollouts where hidden = 0 group by 1 order by 1")

    assert log.rows("select * from tallies where rollouts > 0 order by 1") == counted
    assert (await store.query_rollouts(limit=1)).total == 4


# --- attempts, resources


async def test_attempts_are_listed_as_asked(store):
    """First to last, unless asked otherwise."""
    await store.enqueue_rollout(1, config=RolloutConfig(max_attempts=3))
    for _ in range(3):
        one = await store.dequeue_rollout()
        await store.finish_attempt(one.attempt, "agent_raised")

    all_ = await store.query_attempts(one.rollout_id)
    last = await store.query_attempts(one.rollout_id, sort_order="desc", limit=1, offset=1)

    assert [attempt.sequence_id for attempt in all_] == [1, 2, 3]
    assert ([attempt.sequence_id for attempt in last], last.total) == ([2], 3)
    assert await store.get_latest_attempt(one.rollout_id) == all_[-1]


async def test_the_latest_attempt_of_one_that_waits_is_none(store):
    """That is an answer; one nobody knows is not."""
    waiting = await store.enqueue_rollout(1)

    assert await store.get_latest_attempt(waiting.rollout_id) is None
    with pytest.raises(UnknownId):
        await store.get_latest_attempt("ro-none")


async def test_each_bundle_is_listed_at_its_newest_version(store):
    """In the order they were changed last."""
    first = await store.add_resources({"p": PromptTemplate("a")})
    second = await store.add_resources({"p": PromptTemplate("b")})
    await store.update_resources(first.resources_id, {"p": PromptTemplate("c")})

    all_ = await store.query_resources()
    one = await store.query_resources(resources_id=second.resources_id)
    part = await store.query_resources(resources_id_contains=first.resources_id[4:], sort_by="update_time", limit=1)

    assert [(each.resources_id, each.version) for each in all_] == [(second.resources_id, 1), (first.resources_id, 2)]
    assert [each.resources_id for each in one] == [second.resources_id]
    assert ([each.version for each in part], part.total) == ([2], 1)


# --- spans


def span(taken, n, **fields):
    """The span `sp-n` of an attempt."""
    known = {"rollout_id": taken.rollout_id, "attempt_id": taken.attempt_id, "span_id": f"sp-{n}", "name": f"tool {n}"}
    return SpanRecorded(**{**known, "trace_id": f"tr-{n % 2}", "started_at": 10 - n, "ended_at": 20, **fields})


@pytest.fixture
async def spans(store):
    """A rollout with two attempts: spans 0 to 3 in the first, 4 and 5 in the second."""
    await store.enqueue_rollout(1, config=RolloutConfig(max_attempts=2))
    first = await store.dequeue_rollout()
    await store.add_many_spans([span(first, n, parent_id="sp-0" if n else None) for n in range(4)])
    await store.finish_attempt(first.attempt, "agent_raised")
    second = await store.dequeue_rollout()
    await store.add_many_spans([span(second, n) for n in (4, 5)])
    return first, second


@pytest.mark.parametrize(
    ("asked", "numbers"),
    [
        ({}, [0, 1, 2, 3, 4, 5]),
        ({"attempt_id": "latest"}, [4, 5]),
        ({"trace_id": "tr-1"}, [1, 3, 5]),
        ({"trace_id": "tr-1", "attempt_id": "latest"}, [5]),
        ({"trace_id_contains": "0"}, [0, 2, 4]),
        ({"span_id": "sp-3"}, [3]),
        ({"span_id_contains": "sp"}, [0, 1, 2, 3, 4, 5]),
        ({"parent_id": "sp-0"}, [1, 2, 3]),
        ({"parent_id_contains": "p-"}, [1, 2, 3]),
        ({"name": "tool 2"}, [2]),
        ({"name_contains": "ool", "parent_id": "sp-0", "trace_id": "tr-1"}, [1, 3]),
        ({"name": "tool 2", "span_id": "sp-5"}, []),
        ({"name": "tool 2", "span_id": "sp-5", "filter_logic": "or"}, [2, 5]),
        ({"name": "tool 2", "span_id": "sp-5", "filter_logic": "or", "attempt_id": "latest"}, [5]),
        ({"limit": 2, "offset": 1}, [1, 2]),
        ({"sort_by": "start_time", "limit": 2}, [5, 4]),
        ({"sort_order": "desc", "limit": 1}, [5]),
    ],
)
async def test_spans_are_listed_as_asked(store, spans, asked, numbers):
    """`or` is between the filters; the rollout and the attempt hold always."""
    found = await store.query_spans(spans[0].rollout_id, **asked)

    assert [each.span_id for each in found] == [f"sp-{n}" for n in numbers]


async def test_spans_of_nobody_are_refused(store, spans):
    """And one that waits has none."""
    waiting = await store.enqueue_rollout(2)

    assert list(await store.query_spans(waiting.rollout_id, "latest")) == []
    with pytest.raises(UnknownId):
        await store.query_spans("ro-none")
    with pytest.raises(UnknownId):
        await store.query_spans(waiting.rollout_id, spans[0].attempt_id)
