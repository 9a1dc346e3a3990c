"""ATIF out of a log: what the schema's own package accepts, and what comes back as it went."""

import copy
import json
from dataclasses import replace

import pytest

from agl_core.adapter import Trace
from agl_core.events import CallRecorded, Choice, Message, ModelCall, ToolCall, Usage
from agl_core.export import Skipped
from agl_core.export.rows import Atif, Attempts
from agl_core.export.rows._atif import trajectory
from agl_core.importing import import_rows
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.store import Queries
from agl_core.testing import AdapterContract

ASKED = (Message(role="system", content="You add."), Message(role="user", content="40 + 2?"))
WISH = Message(role="assistant", content=None, tool_calls=(ToolCall(id="c1", name="add", arguments='{"a": 40}'),))
RESULT = Message(role="tool", content="42", tool_call_id="c1")
DONE = Message(role="assistant", content="It is 42.")

SOURCE = {
    "schema_version": "ATIF-v1.8",
    "session_id": "session-1",
    "trajectory_id": "trajectory-1",
    "agent": {"name": "adder", "version": "2.0", "model_name": "policy", "extra": {"temperature": 1}},
    "steps": [
        {"step_id": 1, "source": "system", "message": "You add numbers.", "timestamp": "2026-05-16T12:00:00+00:00"},
        {"step_id": 2, "source": "user", "message": [
            {"type": "text", "text": "See:"},
            {"type": "image", "source": {"media_type": "image/webp", "path": "images/a"}},
        ]},
        {
            "step_id": 3, "source": "agent", "message": "Let me add.", "timestamp": "2026-05-16T14:00:02+02:00",
            "reasoning_content": "A sum.", "reasoning_effort": "high", "llm_call_count": 1,
            "tool_calls": [
                {"tool_call_id": "c1", "function_name": "add", "arguments": {"a": 40, "b": 2}, "extra": {"tries": 1}},
                {"tool_call_id": "c2", "function_name": "help", "arguments": {}},
            ],
            "observation": {"results": [
                {"source_call_id": "c1", "content": "42", "extra": {"seconds": 2}},
                {"source_call_id": "c2", "subagent_trajectory_ref": [{"trajectory_id": "inner"}]},
                {"content": "the clock ticks"},
            ]},
            "metrics": {
                "prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1, "cost_usd": 0.5,
                "prompt_token_ids": [1, 2, 3], "completion_token_ids": [4, 5], "logprobs": [-0.5, -0.25],
            },
            "extra": {"temper": "even"},
        },
        {"step_id": 4, "source": "agent", "message": "dispatched", "llm_call_count": 0},
        {"step_id": 5, "source": "agent", "message": "copied", "is_copied_context": True},
        {"step_id": 6, "source": "agent", "message": "Both.", "llm_call_count": 2, "model_name": "other",
         "metrics": {"prompt_tokens": 9, "completion_tokens": 9}},
        {"step_id": 7, "source": "agent", "message": "It is 42.",
         "observation": {"results": [{"content": "the episode is over"}]}},
        {"step_id": 8, "source": "user", "message": "Thanks.", "extra": {"mood": "good"}},
    ],
    "notes": "by hand",
    "final_metrics": {"total_prompt_tokens": 12, "total_steps": 8},
    "extra": {"reward": 0.75, "dataset": "sums"},
    "subagent_trajectories": [
        {
            "schema_version": "ATIF-v1.8", "trajectory_id": "inner", "agent": {"name": "helper", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "Help."},
                {"step_id": 2, "source": "agent", "message": "Yes.", "model_name": "small"},
            ],
            "subagent_trajectories": [
                {
                    "schema_version": "ATIF-v1.8", "trajectory_id": "deeper",
                    "agent": {"name": "third", "version": "1"},
                    "steps": [
                        {"step_id": 1, "source": "user", "message": "You, too."},
                        {"step_id": 2, "source": "agent", "message": "Me, too."},
                    ],
                }
            ],
        }
    ],
}  # fmt: skip


def call(number, asked, answer, *, agent="adder", **more):
    """A call with tokens."""
    asking = ModelCall(
        model="policy", messages=tuple(asked), prompt_token_ids=(1, 2, 3), provenance="engine",
        choices=(Choice(message=answer, token_ids=(7, 8), logprobs=(-1.0, -2.0)),),
        usage=Usage(prompt_tokens=3, completion_tokens=2),
    )  # fmt: skip
    return CallRecorded(
        call_id=f"ca-{number}", rollout_id="ro-1", attempt_id="at-1", agent=agent, call=asking, latency=0.5,
        started_at=1_778_932_800_000_000_000, **more,
    )  # fmt: skip


def trace(*calls):
    """A rollout that did well."""
    return Trace(
        rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", input={"q": "40 + 2"}, mode="train", status="succeeded",
        exit_status="completed", run_id="run-1", calls=calls,
    )  # fmt: skip


STORY = trace(call(1, ASKED, WISH), call(2, (*ASKED, WISH, RESULT), DONE))


@pytest.fixture
def again(tmp_path):
    """What a trajectory is after it went into a log; the rollouts of the log."""

    def through(said, name="log.db"):
        path = tmp_path / f"{name}.json"
        path.write_text(json.dumps(said))
        with SqliteLog(tmp_path / name, projections=CORE) as log:
            came = import_rows(log, "atif", path)
            assert came.refused == 0, came.reasons
            return Queries(log).traces([id_ for (id_,) in log.rows("select rollout_id from rollouts")])

    return through


class TestAttempts(AdapterContract):
    """`attempts` is an adapter like any other."""

    @pytest.fixture
    def adapter(self):
        """As it is made."""
        return Attempts()

    def test_whatever_happens_is_a_trajectory(self, adapter, traces):
        """Of all that happens to rollouts, what is not skipped is what the schema's own package accepts."""
        atif = pytest.importorskip("atif")

        made = [trajectory(one) for one in adapter(traces).rows]

        assert sum(not isinstance(one, Skipped) for one in made) > len(made) // 2
        for one in made:
            if not isinstance(one, Skipped):
                atif.Trajectory.model_validate(one)


def test_a_rollout_is_steps_with_its_tokens():
    """System and user, the wish with its result, and the answer, each with what was sampled."""
    made = trajectory(STORY)

    assert [(step["source"], step["message"]) for step in made["steps"]] == [
        ("system", "You add."), ("user", "40 + 2?"), ("agent", ""), ("agent", "It is 42."),
    ]  # fmt: skip
    assert made["steps"][2]["observation"] == {"results": [{"source_call_id": "c1", "content": "42"}]}
    assert made["steps"][3]["metrics"]["completion_token_ids"] == [7, 8]
    assert made["steps"][3]["timestamp"] == "2026-05-16T12:00:00.500000Z"
    assert (made["schema_version"], made["trajectory_id"], made["session_id"]) == ("ATIF-v1.8", "at-1", "run-1")
    assert made["extra"]["agl"]["task"] == {"q": "40 + 2"}


@pytest.mark.parametrize(
    "story",
    [
        STORY,
        trace(call(1, ASKED, WISH), call(2, ASKED[1:], DONE, agent="helper", parent_call_id="ca-1")),
        trace(call(1, ASKED, replace(WISH, tool_calls=(ToolCall(id="", name="add", arguments="{no"),)))),
        trace(call(1, (*ASKED, DONE, replace(RESULT, tool_call_id=None)), Message(role="assistant", content=[
            {"type": "text", "text": "a"}, {"type": "image_url", "image_url": {"url": "https://x/y.gif"}},
            {"type": "strange", "of": 1},
        ]))),
    ],
    ids=["tool", "handed-over", "not-json", "parts"],
)  # fmt: skip
def test_the_schemas_own_package_accepts_it(story):
    """`atif` 1.8, on the adapter's rows of every kind of story."""
    atif = pytest.importorskip("atif")

    atif.Trajectory.model_validate(trajectory(story))


def test_what_was_imported_leaves_as_it_came(again):
    """Every field of every step, those that no call has a word for included, and agents inside agents."""
    (kept,) = again(SOURCE)

    made = trajectory(kept)

    own = made["extra"].pop("agl")
    assert made["extra"].pop("rewards")[0]["value"] == 0.75
    assert made == SOURCE
    assert own["rollout_id"] == kept.rollout_id


def test_what_was_exported_comes_back_the_same(again):
    """Task, calls, tokens, rewards and their targets: the log that imports it makes the same trajectory."""
    (first,) = again(SOURCE)
    once = trajectory(first)
    (second,) = again(once, "second.db")

    assert second.input == first.input
    assert [one.call for one in second.calls] == [one.call for one in first.calls]
    assert [(one.given.name, one.given.value) for one in second.rewards] == [("primary", 0.75)]
    twice = copy.deepcopy(trajectory(second))
    for made in (once, twice):
        made["extra"].pop("agl")
        made["extra"].pop("rewards")
    assert twice == once


def test_native_rollouts_come_back_with_their_task_and_tokens(again):
    """Nothing but the ids is new."""
    (back,) = again(trajectory(STORY))

    assert (back.input, back.mode, back.exit_status) == (STORY.input, "train", "completed")
    for left, right in zip(back.calls, STORY.calls, strict=True):
        assert left.call.choices[0].token_ids == right.call.choices[0].token_ids
        assert left.call.choices[0].message.tool_calls == right.call.choices[0].message.tool_calls
        assert [message.role for message in left.call.messages] == [message.role for message in right.call.messages]


def test_an_agent_that_was_asked_by_another_lies_inside():
    """And the step that asked says so."""
    story = trace(call(1, ASKED, WISH), call(2, ASKED[1:], DONE, agent="helper", parent_call_id="ca-1"))

    made = trajectory(story)

    (inner,) = made["subagent_trajectories"]
    assert inner["agent"]["name"] == "helper"
    refs = made["steps"][2]["observation"]["results"][0]["subagent_trajectory_ref"]
    assert refs == [{"trajectory_id": inner["trajectory_id"]}]


def test_judges_and_failures_are_counted_and_not_told():
    """They are no turn of an agent."""
    story = trace(call(1, ASKED, DONE), call(2, ASKED, DONE, role="judge"), call(3, ASKED, DONE, status="error"))

    made = trajectory(story)

    assert len(made["steps"]) == 3
    assert (made["extra"]["agl"]["failed_calls"], made["extra"]["agl"]["other_calls"]) == (1, 1)


def test_a_rollout_that_said_nothing_is_skipped():
    """A trajectory has at least one step."""
    assert trajectory(trace()) == Skipped(reason="no_calls")


def test_each_attempt_is_a_file_in_a_folder(tmp_path):
    """`ROLLOUT/trajectory.json`, whole or not at all."""
    done = Atif().write([STORY, trace()], tmp_path / "out")

    assert (done.written, done.skipped) == (1, {"no_calls": 1})
    assert [path.relative_to(tmp_path).as_posix() for path in tmp_path.rglob("*.json")] == ["out/ro-1/trajectory.json"]
