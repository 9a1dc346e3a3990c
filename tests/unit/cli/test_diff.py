"""`agl diff`: the same or not, task by task, to the first difference; what only one side has is named."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from pathlib import Path

import pytest

from agl_core.clock import Still
from agl_core.events import (
    CallRecorded,
    Choice,
    Component,
    Message,
    ModelCall,
    ReplayStarted,
    RunStarted,
    ToolCall,
)
from agl_core.ids import new_id
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.resources import PromptTemplate
from agl_core.store import EnqueueRolloutRequest, Store

ADD = '{"a": 1, "b": 2}'


@dataclass
class Scene:
    """A log of some runs."""

    path: Path
    runs: list[str] = field(default_factory=list)
    rollouts: list[list[str]] = field(default_factory=list)
    bundle: str = ""


@dataclass
class Tried:
    """What one rollout did."""

    task: str
    reward: float | None
    said: str = "It is 3."
    arguments: str = ADD


def build(path, *runs, started=None, versions=()):
    """A log of runs, each of what its rollouts did; it may be that of a replay."""
    scene = Scene(path)
    with SqliteLog(path, projections=CORE, clock=Still()) as log:
        store = Store(log)
        if started is not None:
            log.append([Draft(stream="log", event=started)])
        for tries in runs:
            asyncio.run(_run(store, scene, tries))
        for template in versions:
            prompt = {"prompt": PromptTemplate(template=template)}
            change = store.update_resources(scene.bundle, prompt) if scene.bundle else store.add_resources(prompt)
            scene.bundle = asyncio.run(change).resources_id
        store.close()
    return scene


async def _run(store, scene, tries):
    run_id, component = new_id("run"), Component(name="agents:solve")
    event = RunStarted(run_id=run_id, agent=component, algorithm=component, seed=len(scene.runs))
    store.log.append([Draft(stream=f"run/{run_id}", event=event, correlation_id=run_id)])
    requests = [EnqueueRolloutRequest(input=one.task, mode="val", run_id=run_id, group="g") for one in tries]
    scene.runs.append(run_id)
    scene.rollouts.append(await store.enqueue(requests))
    for one in tries:
        taken = await store.dequeue_rollout("wk-a")
        store.log.append([Draft(stream=f"rollout/{taken.rollout_id}", event=call) for call in _calls(taken, one)])
        if one.reward is not None:
            await store.add_reward(taken.rollout_id, one.reward, attempt_id=taken.attempt_id)
        await store.finish_attempt(taken.attempt, "completed")


def _calls(taken, one):
    """A wish for a tool, under an id that is new each time, and an answer."""
    id_ = new_id("call")
    asked = Message(role="user", content=one.task)
    wish = Message(role="assistant", tool_calls=(ToolCall(id=id_, name="add", arguments=one.arguments),))
    result = Message(role="tool", tool_call_id=id_, content="3")
    for messages, answer in (
        ((asked,), wish),
        ((asked, wish, result), Message(role="assistant", content=one.said)),
    ):
        yield CallRecorded(
            call_id=new_id("ca"), rollout_id=taken.rollout_id, attempt_id=taken.attempt_id, started_at=0, latency=0.1,
            call=ModelCall(
                model="policy", messages=messages, choices=(Choice(message=answer, token_ids=(5,), logprobs=(-0.1,)),),
                prompt_token_ids=(1, 2), provenance="engine",
            ),
        )  # fmt: skip


@pytest.fixture(scope="module")
def scene(tmp_path_factory):
    """Two runs of the same log: one task better, one worse, one the same, and two that only one of them has."""
    before = [Tried("a", 0.5), Tried("b", 1.0), Tried("c", 0.25), Tried("d", 1.0), Tried("f", None)]
    after = [Tried("a", 1.0), Tried("b", 0.0, said="It is 4."), Tried("c", 0.25), Tried("e", 1.0), Tried("f", 1.0)]
    versions = ("Say {n}.", "Please say {n}.")
    return build(tmp_path_factory.mktemp("diff") / "log.db", before, after, versions=versions)


@pytest.fixture
def diff(ask, scene):
    """Type the command; what came of it, and the document."""

    def type_(*words, log=scene.path, exit_code):
        result = ask("diff", *words, "--log", log, "--json")
        assert result.exit_code == exit_code, result.output
        return json.loads(result.stdout) if result.stdout else json.loads(result.stderr)["error"]

    return type_


def inputs(found, kind):
    """Of the tasks that are named so."""
    (split,) = found["splits"]
    return [found["inputs"][one["task"] if isinstance(one, dict) else one] for one in split[kind]]


def test_runs_are_compared_task_by_task(diff, scene):
    """Won, lost and tied; the largest regression first; every other task is named and counted."""
    found = diff(*scene.runs, exit_code=1)

    (split,) = found["splits"]
    assert {name: split[name] for name in ("split", "tasks", "won", "lost", "tied", "interval")} == {
        "split": "val", "tasks": 3, "won": 1, "lost": 1, "tied": 1, "interval": "bootstrap",
    }  # fmt: skip
    assert split["difference"]["mean"] == pytest.approx(-0.1667, abs=1e-4)
    assert split["difference"]["ci95"][0] < split["difference"]["mean"] < split["difference"]["ci95"][1]
    assert inputs(found, "regressions") == ["b"]
    assert inputs(found, "improvements") == ["a"]
    assert (inputs(found, "only_a"), inputs(found, "only_b"), inputs(found, "without_a_number")) == (
        ["d"],
        ["e"],
        ["f"],
    )
    assert [one["what"] for one in found["settings"]] == ["seed"]


def test_people_see_who_won_and_what_is_on_one_side_only(ask, scene):
    """In words, with the interval."""
    said = ask("diff", *scene.runs, "--log", scene.path).stdout

    assert "3 task(s) on both sides" in said
    assert "won 1, lost 1, tied 1" in said
    for line in ("worse in B", "better in B", "1 task(s) only in A", "1 task(s) only in B", "not scored on both"):
        assert line in said


def test_a_run_is_the_same_as_itself(ask, diff, scene):
    """And says so."""
    assert diff(scene.runs[0], scene.runs[0], exit_code=0)["same"] is True
    assert "are the same" in ask("diff", scene.runs[0], scene.runs[0], "--log", scene.path).stderr


def test_two_logs_are_compared(ask, diff, scene, tmp_path):
    """By `--log-b`, or as LOG#ID: tasks are known by what they are, whatever their rollouts are called."""
    other = build(tmp_path / "other.db", [Tried("a", 0.5), Tried("b", 1.0)])

    by_option = diff(scene.runs[0], other.runs[0], "--log-b", other.path, exit_code=1)
    by_name = diff(f"{scene.path}#{scene.runs[0]}", f"{other.path}#{other.runs[0]}", log="none.db", exit_code=1)

    assert by_option == by_name | {"a": scene.runs[0], "b": other.runs[0]}
    assert by_option["splits"][0]["tied"] == 2
    assert inputs(by_option, "only_a") == ["c", "d", "f"]


def test_a_run_is_compared_with_what_it_was(diff, tmp_path):
    """`--at` is of both sides, `--at-b` of the other: a reward that came later is what changed."""
    one = build(tmp_path / "one.db", [Tried("a", 0.5)])
    with SqliteLog(one.path, projections=CORE) as log:
        then = log.head()
        store = Store(log)
        asyncio.run(store.add_reward(one.rollouts[0][0], 1.0, judge="late"))
        store.close()
    run, rollout = one.runs[0], one.rollouts[0][0]

    now = diff(run, run, "--at", then, "--at-b", "now", log=one.path, exit_code=1)
    of_rollout = diff(rollout, rollout, "--at", then, "--at-b", "now", log=one.path, exit_code=1)

    assert [task["change"] for task in now["splits"][0]["improvements"]] == [0.5]
    assert of_rollout["first"]["at"] == "rewards[1]"
    assert diff(run, run, "--at", then, log=one.path, exit_code=0)["same"] is True
    assert diff(run, run, "--at", then + 2, log=one.path, exit_code=2)["code"] == "BAD_VALUE"


def test_rollouts_that_did_the_same_are_the_same(diff, scene, tmp_path):
    """The ids of their tool calls are not compared, for they are drawn anew each time."""
    other = build(tmp_path / "other.db", [Tried("a", 0.5)])

    found = diff(scene.rollouts[0][0], f"{other.path}#{other.rollouts[0][0]}", exit_code=0)

    assert (found["same"], found["first"]) == (True, None)
    assert found["sides"][0] == {
        "status": "succeeded", "exit_status": "completed", "calls": 2, "tool_calls": 1, "reward": 0.5,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("change", "at", "sides"),
    [
        ({"said": "It is 4."}, "calls[1].answer[0].content", ("It is 3.", "It is 4.")),
        ({"arguments": "{}"}, "calls[0].answer[0].tool_calls[0].arguments", (ADD, "{}")),
        ({"reward": 1.0}, "rewards[0].value", (0.5, 1.0)),
        ({"reward": None}, "rewards[0]", None),
    ],
    ids=str,
)
def test_the_first_difference_of_two_rollouts_is_told(diff, tmp_path, change, at, sides):
    """In the order of the story: what was said, which tools were called, what it earned."""
    told = {"task": "a", "reward": 0.5, **change}
    other = build(tmp_path / "other.db", [Tried("a", 0.5), Tried(**told)])

    found = diff(*other.rollouts[0], log=other.path, exit_code=1)

    assert found["first"]["at"] == at
    if sides is not None:
        assert (found["first"]["a"], found["first"]["b"]) == sides


def test_the_log_of_a_replay_is_compared_with_its_source(ask, diff, scene, tmp_path):
    """Alone, it knows where it is from; of a source that is gone, it says so."""
    source = scene.rollouts[0][0]
    started = ReplayStarted(
        replay_id="re-1", source=f"sqlite:///{scene.path}", head=1, rollout_id=source, attempt_id="at-1",
        agent=Component(name="agents:solve"),
    )  # fmt: skip
    replay = build(tmp_path / "replay.db", [Tried("a", 0.5, said="It is 5.")], started=started)

    found = diff(replay.path, exit_code=1)

    (one,) = found["rollouts"]
    assert (one["a"], one["b"]) == (source, replay.rollouts[0][0])
    assert one["first"]["at"] == "calls[1].answer[0].content"
    assert "It is 5." in ask("diff", replay.path).stdout
    assert diff(scene.path, exit_code=2)["code"] == "NOT_REPLAYABLE"

    gone = replace(started, source="sqlite:////nowhere/log.db")
    lost = build(tmp_path / "lost.db", [Tried("a", 0.5)], started=gone)
    assert diff(lost.path, exit_code=2)["code"] == "LOG_UNSUPPORTED"


def test_resources_are_compared_as_they_are_by_their_own_command(ask, diff, scene):
    """Line by line; the same version is the same."""
    first, second = (f"{scene.bundle}@{version}" for version in (1, 2))

    found = diff(first, second, exit_code=1)

    assert "+Please say {n}." in found["resources"]["prompt"]["template"]
    assert "+Please say {n}." in ask("diff", first, second, "--log", scene.path).stdout
    assert diff(first, first, exit_code=0)["same"] is True


def test_rows_in_files_are_compared(ask, diff, tmp_path):
    """Row by row, with the fields that changed; and task by task, by what they are worth."""
    rows = [{"rollout_id": f"ro-{n}", "task_id": f"ta-{n}", "call_ids": [f"ca-{n}"], "reward": 0.5} for n in range(4)]
    others = [rows[0], {**rows[1], "reward": 1.0}, {**rows[2], "reward": 0.0, "mask": [1]}]
    for name, them in (("a", rows), ("b", others)):
        (tmp_path / name).mkdir()
        (tmp_path / name / "rows.jsonl").write_text("".join(json.dumps(one) + "\n" for one in them))

    found = diff(tmp_path / "a", tmp_path / "b", exit_code=1)

    (split,) = found["splits"]
    assert found["rows"] == {"a": 4, "b": 3, "same": 1, "changed": 2, "only_a": 1, "only_b": 0}
    assert found["fields"] == {"reward": 2, "mask": 1}
    assert (split["won"], split["lost"], split["tied"], split["only_a"]) == (1, 1, 1, ["ta-3"])
    assert [one["task"] for one in split["regressions"]] == ["ta-2"]
    assert "fields that changed: reward (2), mask (1)" in ask("diff", tmp_path / "a", tmp_path / "b").stdout
    assert diff(tmp_path / "a" / "rows.jsonl", tmp_path / "a", exit_code=0)["same"] is True


def test_what_cannot_be_compared_is_no_difference(ask, diff, scene, tmp_path):
    """Two kinds, ids there are none of, logs without an id, a file that is none of rows: exit code 2, with a code."""
    run, rollout = scene.runs[0], scene.rollouts[0][0]
    (tmp_path / "no.jsonl").write_text("{\n")
    (tmp_path / "list.jsonl").write_text("[1]\n")
    (tmp_path / "empty").mkdir()

    for words, code in (
        ((run, rollout), "BAD_VALUE"),
        ((run, "run-none"), "UNKNOWN_ID"),
        (("run", run), "BAD_VALUE"),  # of a log of two runs it is no one's beginning
        (("ca-1", "ca-2"), "BAD_VALUE"),
        ((scene.path, scene.path), "BAD_VALUE"),
        ((tmp_path / "no.jsonl", tmp_path / "no.jsonl"), "BAD_VALUE"),
        ((tmp_path / "list.jsonl", tmp_path / "list.jsonl"), "BAD_VALUE"),
        ((tmp_path / "empty", tmp_path / "empty"), "BAD_VALUE"),
    ):
        assert diff(*words, exit_code=2)["code"] == code, words
    assert ask("diff", run, "--log", scene.path).exit_code == 2
    assert diff(run, run, log=tmp_path / "none.db", exit_code=2)["code"] == "LOG_NOT_FOUND"
