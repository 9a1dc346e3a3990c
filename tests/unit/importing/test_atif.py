"""Trajectories of ATIF: what becomes calls, what is history only, what is refused; rewards of Harbor's trials."""

import copy
import json

import pytest

from agl_core.importing import import_rows
from agl_core.importing._atif_schema import VERSIONS

TRAJECTORY = {
    "schema_version": "ATIF-v1.8",
    "session_id": "session-1",
    "trajectory_id": "trajectory-1",
    "agent": {
        "name": "adder",
        "version": "2.0",
        "model_name": "policy",
        "tool_definitions": [
            {"type": "function", "function": {"name": "add", "description": "Adds.", "parameters": {"type": "object"}}}
        ],
    },
    "steps": [
        {"step_id": 1, "source": "system", "message": "You add numbers.", "timestamp": "2026-05-16T12:00:00Z"},
        {"step_id": 2, "source": "user", "message": "How much is 40 + 2?", "timestamp": "2026-05-16T12:00:01Z"},
        {
            "step_id": 3,
            "source": "agent",
            "message": "Let me add.",
            "timestamp": "2026-05-16T12:00:02.500000Z",
            "reasoning_content": "A sum.",
            "tool_calls": [{"tool_call_id": "c1", "function_name": "add", "arguments": {"a": 40, "b": 2}}],
            "observation": {"results": [{"source_call_id": "c1", "content": "42"}]},
            "metrics": {
                "prompt_tokens": 3, "completion_tokens": 2, "cached_tokens": 1, "cost_usd": 0.001,
                "prompt_token_ids": [1, 2, 3], "completion_token_ids": [4, 5], "logprobs": [-0.5, -0.25],
                "extra": {"reasoning_tokens": 1},
            },
        },
        {
            "step_id": 4,
            "source": "agent",
            "message": "It is 42.",
            "metrics": {"prompt_token_ids": [1, 2, 3, 4, 5, 6], "completion_token_ids": [7], "logprobs": [-1.0]},
            "observation": {"results": [{"content": "the episode is over"}]},
        },
        {"step_id": 5, "source": "user", "message": "Thanks.", "extra": {"mood": "good"}},
    ],
    "notes": "by hand",
    "final_metrics": {"total_prompt_tokens": 9, "total_steps": 5},
    "extra": {"reward": 0.75, "dataset": "sums"},
}  # fmt: skip


@pytest.fixture
def write(tmp_path):
    """Writes a trajectory; its path."""

    def to_disk(said, name="trajectory.json"):
        path = tmp_path / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(said if isinstance(said, str) else json.dumps(said, indent=1))
        return path

    return to_disk


def without(**fields):
    """The trajectory, with other fields."""
    return {**copy.deepcopy(TRAJECTORY), **fields}


def test_each_turn_of_the_agent_is_a_call(log, write, traces):
    """Asked with all that was said before it, tool results included; tokens are the engine's."""
    came = import_rows(log, "atif", write(TRAJECTORY))

    (trace,) = traces()
    first, second = (call.call for call in trace.calls)
    assert (came.rollouts, came.refused) == (1, 0)
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool"]
    assert second.messages[2].extra == {"reasoning_content": "A sum."}
    assert (first.prompt_token_ids, first.choices[0].token_ids, first.choices[0].logprobs) == (
        (1, 2, 3), (4, 5), (-0.5, -0.25),
    )  # fmt: skip
    assert {call.agent for call in trace.calls} == {"adder"}
    assert trace.calls[0].started_at == 1778932802500000000
    assert first.tools[0].name == "add"


def test_what_was_imported_makes_a_row_with_its_reward(log, write, traces):
    """Triplets: both turns are one row, since the second prompt begins with the first and its answer."""
    agl_triplets = pytest.importorskip("agl_triplets")
    import_rows(log, "atif", write(TRAJECTORY))

    (row,) = agl_triplets.Triplets(min_group=1)(traces()).rows

    assert (row.token_ids, row.mask, row.reward) == ((1, 2, 3, 4, 5, 6, 7), (1, 1, 0, 1), 0.75)


@pytest.mark.parametrize("version", VERSIONS)
def test_versions_since_the_first_are_read(log, write, version):
    """1.0 to 1.8: each only added to the one before."""
    came = import_rows(log, "atif", write(without(schema_version=version)))

    assert came.rollouts == 1


def test_a_step_that_no_model_took_is_history_only(log, write, traces):
    """Copied context was trained on before, a deterministic dispatch is nobody's answer."""
    steps = copy.deepcopy(TRAJECTORY["steps"])
    steps[2]["is_copied_context"] = True
    steps.insert(3, {"step_id": 4, "source": "agent", "message": "dispatched", "llm_call_count": 0})
    steps[4]["step_id"], steps[5]["step_id"] = 5, 6

    import_rows(log, "atif", write(without(steps=steps)))

    (call,) = traces()[0].calls
    assert [message.role for message in call.call.messages] == ["system", "user", "assistant", "tool", "assistant"]


def test_of_several_calls_in_one_step_no_token_is_believed(log, write, traces):
    """Aggregated ids are no sequence that was ever sampled."""
    steps = copy.deepcopy(TRAJECTORY["steps"])
    steps[2]["llm_call_count"] = 2

    import_rows(log, "atif", write(without(steps=steps)))

    assert [call.call.provenance for call in traces()[0].calls] == ["absent", "engine"]


def test_agents_inside_are_in_the_same_rollout(log, write, traces):
    """Their calls have their names, and the call that had them do it."""
    said = copy.deepcopy(TRAJECTORY)
    said["steps"][2]["observation"]["results"][0]["subagent_trajectory_ref"] = [{"trajectory_id": "inner"}]
    said["subagent_trajectories"] = [
        {
            "schema_version": "ATIF-v1.8",
            "trajectory_id": "inner",
            "agent": {"name": "helper", "version": "1"},
            "steps": [
                {"step_id": 1, "source": "user", "message": "Add."},
                {"step_id": 2, "source": "agent", "message": "42", "model_name": "small"},
            ],
        }
    ]

    import_rows(log, "atif", write(said))

    calls = traces()[0].calls
    assert [call.agent for call in calls] == ["adder", "adder", "helper"]
    assert calls[2].parent_call_id == calls[0].call_id


def test_a_folder_is_every_trajectory_in_it(log, write, tmp_path, traces):
    """With the rewards, and the end, that Harbor wrote beside them."""
    for number, result in enumerate(
        (
            {"verifier_result": {"rewards": {"reward": 1.0, "style": 0.5}}},
            {"exception_info": {"exception_type": "AgentTimeoutError", "exception_message": "too long"}},
        )
    ):
        said = without(trajectory_id=f"trial-{number}", extra=None)
        write({name: value for name, value in said.items() if value}, f"job/trial-{number}/agent/trajectory.json")
        write(result, f"job/trial-{number}/result.json")
    write("{", "job/trial-2/agent/trajectory.json")

    came = import_rows(log, "atif", tmp_path / "job")

    assert [(trace.status, trace.exit_status) for trace in traces()] == [
        ("succeeded", "completed"),
        ("failed", "timeout"),
    ]
    assert [(one.given.name, one.given.value) for one in traces()[0].rewards] == [("primary", 1.0), ("style", 0.5)]
    assert [one.where for one in came.reasons] == ["trial-2/agent/trajectory.json"]


def test_a_trajectory_that_changed_is_refused(log, write, traces):
    """Facts do not change: what has the id of another one is said so, and the first stays."""
    import_rows(log, "atif", write(TRAJECTORY))

    again = import_rows(log, "atif", write(TRAJECTORY))
    changed = import_rows(log, "atif", write(without(notes="other")), name="trajectory.json")

    assert (again.known, again.facts) == (1, 0)
    assert [one.code for one in changed.reasons] == ["IMPORT_CHANGED"]
    assert len(traces()) == 1


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"schema_version": "ATIF-v2.0"}, "ATIF-v1.0 to ATIF-v1.8 can be read"),
        ({"steps": []}, "steps is empty"),
        ({"steps": [{"step_id": 2, "source": "user", "message": "x"}]}, "numbered from 1"),
        ({"steps": [{"step_id": 1, "source": "user", "message": "x", "tool_calls": []}]}, "agent only"),
        ({"steps": [{"step_id": 1, "source": "king", "message": "x"}]}, "king"),
        ({"steps": [{"step_id": 1, "source": "user", "message": "x", "timestamp": "noon"}]}, "ISO 8601"),
        ({"steps": [{"step_id": 1, "source": "user"}]}, "message"),
        ({"surprise": 1}, "surprise"),
        ({"extra": {"reward": "high"}}, "finite number"),
        ({"subagent_trajectories": [{"schema_version": "ATIF-v1.8"}]}, "trajectory_id is missing"),
    ],
)
def test_what_is_no_trajectory_is_refused_whole(log, write, change, why):
    """The reason says where; nothing of it is written."""
    if change.get("extra") == {"reward": "high"}:
        change = {"extra": {"rewards": [{"value": "high"}]}}

    came = import_rows(log, "atif", write(without(**change)))

    (refused,) = came.reasons
    assert refused.code == "IMPORT_LINE_BAD"
    assert why in refused.why
    assert log.head() == 0
