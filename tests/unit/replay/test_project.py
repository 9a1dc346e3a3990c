"""Rows made again from events: the same as were trained on, or why not; and others, of the same outcomes."""

from __future__ import annotations

import asyncio
import hashlib
import json
import shutil
import sqlite3
import tracemalloc
from contextlib import closing
from dataclasses import dataclass, field
from typing import ClassVar

import pytest
from click.testing import CliRunner

from agl_core.adapter import Adapted
from agl_core.cli import agl
from agl_core.clock import Still
from agl_core.errors import UnknownName
from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    BatchFormed,
    CallRecorded,
    Choice,
    Component,
    Message,
    ModelCall,
    PluginLoaded,
    RewardGiven,
    RolloutEnqueued,
    RolloutFinished,
    RolloutUpdated,
    RunStarted,
    SpanRecorded,
    Target,
)
from agl_core.hookspecs import hookimpl
from agl_core.ids import new_id, task_id
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.projections import CORE, tree
from agl_core.record import Draft
from agl_core.replay.projection import Projection, is_by_task
from agl_core.replay.recipes import of_rollouts, otherwise, recorded
from agl_core.run import Run
from agl_core.spans import SpanMeaning
from agl_core.store import EnqueueRolloutRequest, Store

pytest.importorskip("agl_rewards")
pytest.importorskip("agl_triplets")


class Nobody:
    """Serves no model."""

    def initial(self):
        """None."""
        return {}


@dataclass
class Scene:
    """A log, and what is in it."""

    path: object
    run: str
    rollouts: list[str]
    batches: list[str] = field(default_factory=list)

    def hashed(self):
        """Of the file, byte by byte."""
        return hashlib.sha256(self.path.read_bytes()).hexdigest()


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Builds a log: a run of so many tasks, four tries at each, and what its algorithm does with them."""

    def build(*, then=lambda _run, _outcomes: None):
        path = tmp_path_factory.mktemp("scene") / "log.db"
        with SqliteLog(path, projections=CORE, clock=Still()) as log:
            store = Store(log)
            run_id, rollouts = asyncio.run(_happen(store, then))
            store.close()
            batches = [id_ for (id_,) in log.rows("select batch_id from batches order by position")]
        return Scene(path, run_id, rollouts, batches)

    return build


@pytest.fixture(scope="module")
def made(scene):
    """Two batches: the first task by triplets as they are, the second with a rule."""

    def batches(run, outcomes):
        run.adapt(outcomes[:3], "triplets")
        run.adapt(outcomes[3:], "triplets", level="transition", credit={"rule": "discounted", "gamma": 0.5})

    return scene(then=batches)


@pytest.fixture(scope="module")
def whole(scene):
    """One batch of two tasks."""
    return scene(then=lambda run, outcomes: run.adapt(outcomes, "triplets"))


async def _happen(store, then):
    run_id, component = new_id("run"), Component(name="agents:solve")
    started = RunStarted(run_id=run_id, agent=component, algorithm=component)
    store.log.append([Draft(stream=f"run/{run_id}", event=started, correlation_id=run_id)])
    for loaded in Plugins.load().loaded:
        store.log.append([Draft(stream="log", event=PluginLoaded(name=loaded.name, version=loaded.version))])
    requests = [
        EnqueueRolloutRequest(input={"task": task}, mode="train", run_id=run_id, group="g", repeat=repeat)
        for task in range(2)
        for repeat in range(3)
    ]
    ids = await store.enqueue(requests)
    for number, _ in enumerate(ids):
        taken = await store.dequeue_rollout("wk-a")
        for turn in range(2):
            store.log.append([Draft(stream=f"rollout/{taken.rollout_id}", event=_call(taken, number, turn))])
        await store.add_reward(taken.rollout_id, float(number % 3), attempt_id=taken.attempt_id)
        await store.finish_attempt(taken.attempt, "completed")
    then(Run(id=run_id, store=store, plugins=Plugins.load(), serving=Nobody()), store.ask.outcomes(ids))
    return run_id, list(ids)


def _call(taken, number, turn):
    answer = Choice(
        message=Message(role="assistant", content=f"{number}.{turn}"), token_ids=(number, turn), logprobs=(-0.1, -0.2)
    )
    return CallRecorded(
        call_id=new_id("ca"), rollout_id=taken.rollout_id, attempt_id=taken.attempt_id, started_at=0, latency=0.1,
        call=ModelCall(
            model="policy", messages=(Message(role="user", content=f"turn {turn}"),), choices=(answer,),
            prompt_token_ids=(900, turn), provenance="engine",
        ),
    )  # fmt: skip


def project(scene, *arguments, target=None):
    """Type the command."""
    words = ["replay", target or scene.run, "--mode", "project", "--log", scene.path, *arguments]
    return CliRunner().invoke(agl, [str(word) for word in words])


def told(result, *, exit_code=0):
    """The document."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stdout)["batches"]


def code_of(result, *, exit_code=1):
    """Of the error that it ended with."""
    assert result.exit_code == exit_code, result.output
    return json.loads(result.stderr.splitlines()[-1])["error"]["code"]


def contents(folder):
    """Every file, by name."""
    return {path.name: path.read_bytes() for path in sorted(folder.iterdir())}


def test_every_batch_is_what_was_trained_on(made):
    """Made again by what it recorded of itself, each has its digest; the log is not touched."""
    before = made.hashed()

    batches = told(project(made, "--json"))

    assert [one["batch_id"] for one in batches] == made.batches
    assert [(one["same"], one["digest"] == one["recorded"], one["why"]) for one in batches] == [(True, True, [])] * 2
    assert made.hashed() == before
    assert "same" in project(made).stdout


def test_two_projections_are_the_same_bytes(made, tmp_path):
    """Rows and summary: of the whole run, and by other means."""
    for number in (1, 2):
        assert project(made, "--into", tmp_path / f"as-recorded-{number}").exit_code == 0
        other = ("--adapter", "rewards", "--credit", "group_relative", "--into", tmp_path / f"other-{number}")
        assert project(made, *other).exit_code == 0

    for name in ("as-recorded", "other"):
        assert contents(tmp_path / f"{name}-1") == contents(tmp_path / f"{name}-2")
    assert set(contents(tmp_path / "other-1")) == {
        ".agl-export",
        "projection.json",
        *(f"{id_}.jsonl" for id_ in made.batches),
    }
    assert contents(tmp_path / "other-1") != contents(tmp_path / "as-recorded-1")


@pytest.mark.parametrize(
    "means",
    [{}, {"adapter": "rewards", "credit": "group_relative"}, {"adapter": "messages"}, {"adapter": "preferences"}],
    ids=str,
)
def test_slices_are_the_whole(whole, means, monkeypatch):
    """An adapter that goes by task, handed a task at a time, gives the digest of the whole batch."""
    pytest.importorskip("agl_messages")
    monkeypatch.setattr("agl_core.replay.projection._TOGETHER", 1)
    with SqliteLog(whole.path, projections=CORE, readonly=True) as log:
        (recipe,) = recorded(log, run_id=whole.run)
        recipe = otherwise(log, recipe, **means) if means else recipe
        sliced, at_once = (Projection(log, Plugins.load(), recipe) for _ in range(2))
        at_once._slices = [recipe.rollouts]

        assert len(sliced._slices) == 2
        assert sliced.through().told() == at_once.through().told()


def test_an_adapter_that_compares_a_batch_has_all_of_it(whole, monkeypatch):
    """`reinforce++` measures by the whole batch: it is never handed a part."""
    monkeypatch.setattr("agl_core.replay.projection._TOGETHER", 1)
    by_batch = {"rule": "group_relative", "advantage": "reinforce++"}
    with SqliteLog(whole.path, projections=CORE, readonly=True) as log:
        (recipe,) = recorded(log, run_id=whole.run)
        recipe = otherwise(log, recipe, adapter="triplets", told={"credit": by_batch})

        made = Projection(log, Plugins.load(), recipe)

    assert not is_by_task(made.adapter)
    assert made._slices == [recipe.rollouts]


@dataclass(frozen=True)
class Kinds:
    """An adapter that looks at spans: its rows say what the tree makes of them."""

    name: ClassVar[str] = "kinds"

    def __call__(self, traces):
        """A row a trace, of every call it has."""
        rows = [Row(tuple(node.meaning.dialect for node in tree(trace) if node.meaning)) for trace in traces]
        return Adapted(rows=rows, kept=sum(len(trace.calls) for trace in traces))


@dataclass(frozen=True)
class Row:
    """What spans at the root were read by."""

    dialects: tuple[str | None, ...]


class Guest:
    """A plugin with an adapter that reads spans, and a dialect that knows every one."""

    NAME = "guest"

    @hookimpl
    def agl_register_adapters(self):
        """The adapter."""
        return {"kinds": Kinds}

    @hookimpl
    def agl_register_dialects(self):
        """The dialect."""
        return [self]

    def read(self, span):
        """Any span."""
        return SpanMeaning(name=span.name, dialect=self.NAME)


def test_spans_are_read_by_the_dialects_that_are_named(scene):
    """In that order, whatever the core's table is; it is the core's again afterwards."""
    plugins = Plugins.load()
    plugins.register(Guest(), name="guest")

    def spoken(run, outcomes):
        span = SpanRecorded(
            rollout_id=outcomes[0].rollout_id, attempt_id=run.store.ask.latest_attempt(outcomes[0].rollout_id),
            span_id="sp-1", name="think", attributes={"openinference.span.kind": "AGENT"}, started_at=1, ended_at=2,
        )  # fmt: skip
        run.store.log.append([Draft(stream=f"rollout/{span.rollout_id}", event=span)])

    made = scene(then=spoken)
    with SqliteLog(made.path, projections=CORE, readonly=True) as log:
        base = of_rollouts(log, made.rollouts[:1], run_id=made.run, as_of=log.head())

        def rows(*dialects):
            return list(Projection(log, plugins, otherwise(log, base, adapter="kinds", dialects=dialects)))

        assert rows("guest") == rows("guest", "openinference") == [Row(("guest",))]
        assert rows() == rows("openinference", "guest") == [Row(("openinference",))]
        with pytest.raises(UnknownName, match="dialect"):
            rows("guset")


def test_a_batch_that_differs_says_why(scene):
    """The counts then and now, and an adapter that was of another version."""

    def forge(run, outcomes):
        ids = tuple(outcome.rollout_id for outcome in outcomes)
        event = PluginLoaded(name="triplets", version="0.0.1")
        batch = BatchFormed(
            run_id=run.id, batch_id=new_id("ba"), adapter="triplets", rollouts=ids, captured=12, kept=11, rows=9,
            dropped={"too_long": 1}, digest="b2:0",
        )  # fmt: skip
        run.store.log.append([Draft(stream="log", event=event), Draft(stream=f"run/{run.id}", event=batch)])

    made = scene(then=forge)
    result = project(made, "--json")

    (batch,) = told(result, exit_code=1)
    version, options, counts = batch["why"]
    assert batch["same"] is False
    assert "triplets 0.0.1" in version
    assert "not recorded" in options
    assert "kept 11 then, 12 now" in counts
    assert "dropped 1 too_long then, none now" in counts
    assert "comes out other" in result.stderr


def test_other_means_are_compared_with_nothing(made, tmp_path):
    """The same outcomes by another rule: no verdict, rows of their own, and the options in the summary."""
    batches = told(project(made, "--credit", "sum", "--json", "--into", tmp_path / "rows"))
    plain = told(project(made, "--set", "level=transition", "--set", "min_group=1", "--json"))

    assert {one["same"] for one in batches} == {None}
    assert {one["by"] for one in batches} >= {"triplets(credit=rewards(rule='sum'))"}
    assert [one["rows"] for one in plain] == [6, 6]
    rows = [json.loads(line) for line in (tmp_path / "rows" / batches[0]["file"]).read_text().splitlines()]
    assert len(rows) == batches[0]["rows"]


def test_rewards_that_came_later_do_not_count(scene):
    """At a position, the log is what it was there; by default a batch is of the log as it recorded."""
    positions = []

    def late(run, outcomes):
        run.adapt(outcomes, "rewards")
        positions.append(run.store.log.head())
        run.store.log.append([_reward(outcomes[0].rollout_id, 7.0)])
        positions.append(run.store.log.head())

    made = scene(then=late)
    then, now = ([json.dumps(one) for one in told(project(made, "--at", position, "--json"))] for position in positions)

    (as_trained,) = told(project(made, "--json"))
    assert as_trained["same"] is True
    assert json.loads(then[0])["digest"] == as_trained["digest"]
    assert json.loads(now[0])["digest"] != as_trained["digest"]
    assert code_of(project(made, "--at", positions[1] + 1, "--json")) == "BAD_VALUE"


def _reward(rollout_id, value):
    given = RewardGiven(rollout_id=rollout_id, target=Target(kind="rollout", id=rollout_id), value=value, judge="late")
    return Draft(stream=f"rollout/{rollout_id}", event=given)


def test_a_run_that_formed_no_batch_says_so_and_may_be_projected(scene, tmp_path):
    """With an adapter it has rows of all that it trained on, or could have."""
    made = scene()

    assert code_of(project(made, "--json")) == "NOT_REPLAYABLE"
    (batch,) = told(project(made, "--adapter", "triplets", "--into", tmp_path / "rows", "--json"))

    assert (batch["batch_id"], batch["rollouts"], batch["file"]) == (None, 6, "rows.jsonl")
    assert len((tmp_path / "rows" / "rows.jsonl").read_text().splitlines()) == batch["rows"]


def test_rollouts_that_are_not_learnt_from_are_left_out_aloud(scene):
    """What a run measured on is in no row: a run that did nothing else has none, and says so."""

    def measured(run, outcomes):
        for outcome in outcomes:
            changed = RolloutUpdated(rollout_id=outcome.rollout_id, changed=("mode",), mode="val")
            run.store.log.append([Draft(stream=f"rollout/{outcome.rollout_id}", event=changed)])

    made = scene(then=measured)

    result = project(made, "--adapter", "triplets", "--json")

    assert code_of(result) == "NOT_REPLAYABLE"
    assert "6 of val" in result.stderr


def test_a_rollout_and_a_batch_may_be_named(made):
    """A rollout stands for the batches it is in; an id may be cut short."""
    of_rollout = told(project(made, "--json", target=made.rollouts[0]))
    of_batch = told(project(made, "--json", target=made.batches[1]))

    assert [one["batch_id"] for one in (*of_rollout, *of_batch)] == made.batches
    assert code_of(project(made, "--json", target="ro-none")) == "UNKNOWN_ID"


def test_an_adapter_that_is_not_here_is_said(made, monkeypatch):
    """By its name, with the cure."""
    monkeypatch.setenv("AGL_DISABLE_PLUGINS", "triplets")

    result = project(made)

    assert result.exit_code == 1
    assert "cannot be made again" in result.stderr
    assert "triplets" in result.stderr
    assert code_of(project(made, "--json", target=made.batches[0])) == "UNKNOWN_NAME"


def test_options_that_are_none_are_refused(made):
    """An option the adapter has not, an adapter there is none of, what is no assignment, a mode's that is another."""
    assert code_of(project(made, "--set", "levl=transition", "--json", target=made.batches[0])) == "BAD_VALUE"
    assert code_of(project(made, "--set", "level", "--json")) == "BAD_VALUE"
    assert code_of(project(made, "--adapter", "tripletts", "--json", target=made.batches[0])) == "UNKNOWN_NAME"
    assert project(made, "--judge", "exact_match").exit_code == 2


def test_a_place_that_is_taken_is_left_as_it_is(made, tmp_path):
    """A file, and a folder of something else; and one that cannot be made."""
    file, folder = tmp_path / "file", tmp_path / "folder"
    file.write_text("mine")
    folder.mkdir()
    (folder / "mine").write_text("mine")

    for place in (file, folder, file / "under"):
        assert code_of(project(made, "--into", place, "--json")) == "EXPORT_REFUSED"

    assert file.read_text() == (folder / "mine").read_text() == "mine"
    assert sorted(path.name for path in folder.iterdir()) == ["mine"]


def test_nothing_is_written_where_one_batch_cannot_be_made(scene, tmp_path):
    """A folder has all batches, or is not there; what was made of others goes."""

    def strange(run, outcomes):
        run.adapt(outcomes, "triplets")
        ids = tuple(outcome.rollout_id for outcome in outcomes)
        batch = BatchFormed(
            run_id=run.id, batch_id=new_id("ba"), adapter="absent", rollouts=ids, captured=0, kept=0, rows=0,
            digest="b2:0",
        )  # fmt: skip
        run.store.log.append([Draft(stream=f"run/{run.id}", event=batch)])

    made = scene(then=strange)

    assert code_of(project(made, "--into", tmp_path / "rows", "--json")) == "UNKNOWN_NAME"
    assert project(made).exit_code == 3
    assert list(tmp_path.iterdir()) == []


def test_a_log_that_is_written_meanwhile_gives_the_same(scene):
    """A reader sees the log as its batches recorded it, whatever a writer appends."""
    made = scene(then=lambda run, outcomes: run.adapt(outcomes, "triplets"))

    with SqliteLog(made.path, projections=CORE) as writer:
        writer.append([_reward(made.rollouts[0], 5.0)])
        first = told(project(made, "--json"))
        writer.append([_reward(made.rollouts[0], 6.0)])
        second = told(project(made, "--json"))

    assert first == second
    assert {one["same"] for one in first} == {True}


def test_projections_and_batches_are_compared_row_by_row(made, tmp_path):
    """`agl diff` of two folders, and of two batches that are made again for it."""
    for name, words in (("a", ()), ("b", ("--set", "credit.gamma=1.0"))):
        project(made, *words, "--into", tmp_path / name, target=made.batches[1])

    def diff(*words):
        return CliRunner().invoke(agl, ["diff", *map(str, words), "--log", str(made.path), "--json"])

    folders, same = diff(tmp_path / "a", tmp_path / "b"), diff(made.batches[0], made.batches[0])
    batches = diff(*made.batches)

    assert (folders.exit_code, same.exit_code, batches.exit_code) == (1, 0, 1)
    found = json.loads(folders.stdout)
    assert found["fields"] == {"credits": 2}
    assert found["splits"][0]["won"] == 1
    told = json.loads(batches.stdout)
    assert {"by", "kept"} & {one["what"] for one in told["facts"]} == {"by"}
    assert (told["rows"]["only_a"], told["rows"]["only_b"]) == (6, 6)


def test_a_log_without_its_blobs_says_so(made, tmp_path):
    """A file that lost them; and a copy from which a rollout was erased: a code, and nothing is written."""
    lost, erased = tmp_path / "lost.db", tmp_path / "erased.db"
    shutil.copy(made.path, lost)
    with closing(sqlite3.connect(lost)) as db:
        db.execute("delete from blobs")
        db.commit()
    copied = CliRunner().invoke(
        agl, ["log", "copy", str(made.path), str(erased), "--erase", f"rollout/{made.rollouts[0]}"]
    )

    assert copied.exit_code == 0, copied.output
    for path, code in ((lost, "LOG_CORRUPT"), (erased, "CONTENT_ERASED")):
        scene = Scene(path, made.run, made.rollouts)
        target = made.batches[0]
        assert code_of(project(scene, "--json", target=target)) == code
        assert code_of(project(scene, "--json", "--into", tmp_path / "rows", target=target)) == code
        assert not (tmp_path / "rows").exists()


@pytest.mark.slow
def test_what_is_in_memory_does_not_grow_with_the_batch(tmp_path):
    """Four times the rollouts, and as much at its most: a batch of any size is projected a few tasks at a time."""
    ids = tuple(range(200))
    with SqliteLog(tmp_path / "log.db", projections=CORE) as log:
        rollouts = [_appended(log, number, ids) for number in range(1200)]

        def projected(count):
            recipe = of_rollouts(log, rollouts[:count], run_id=None, as_of=log.head())
            return Projection(log, Plugins.load(), otherwise(log, recipe, adapter="triplets"))

        def peak(count):
            made = projected(count)
            tracemalloc.start()
            made.through()
            most = tracemalloc.get_traced_memory()[1]
            tracemalloc.stop()
            return most

        whole = projected(1200).through()  # and the codec remembers what blobs it remembers
        few, many = peak(300), peak(1200)

    assert whole.rows == 1200
    assert many < few * 1.2


def _appended(log, number, ids):
    """A rollout of one call with a long prompt, in a task of four."""
    rollout_id, attempt_id = new_id("ro"), new_id("at")
    task = {"task": number // 4}
    call = CallRecorded(
        call_id=new_id("ca"), rollout_id=rollout_id, attempt_id=attempt_id, started_at=0, latency=0.1,
        call=ModelCall(
            model="policy", prompt_token_ids=(number, *ids), provenance="engine",
            choices=(Choice(message=Message(role="assistant", content="42"), token_ids=(1,), logprobs=(-0.1,)),),
        ),
    )  # fmt: skip
    events = (
        RolloutEnqueued(rollout_id=rollout_id, input=task, task_id=task_id(task), group="g", repeat=number % 4),
        AttemptStarted(rollout_id=rollout_id, attempt_id=attempt_id, sequence=1, worker_id="wk-1", token=1),
        call,
        _reward(rollout_id, float(number % 3)).event,
        AttemptFinished(rollout_id=rollout_id, attempt_id=attempt_id, exit_status="completed"),
        RolloutFinished(rollout_id=rollout_id, attempt_id=attempt_id, status="succeeded", exit_status="completed"),
    )
    log.append([Draft(stream=f"rollout/{rollout_id}", event=event) for event in events])
    return rollout_id
