"""Which calls a batch is made of."""

from __future__ import annotations

import pytest

from agl_core.adapter import Dropped, Trace
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, ModelCall
from agl_core.run import Selection


def call(id_: str, *, agent: str | None = None, model: str = "policy", role: str = "policy") -> CallRecorded:
    """A call of that agent."""
    return CallRecorded(
        call_id=id_, rollout_id="ro-1", attempt_id="at-1", agent=agent, role=role,  # type: ignore[arg-type]  # a test's
        call=ModelCall(model=model), started_at=1, latency=0.1,
    )  # fmt: skip


CALLS = (
    call("a", agent="writer"),
    call("b", agent="critic"),
    call("c"),
    call("d", agent="writer", model="small"),
    call("e", agent="writer", model="grader", role="judge"),
)


def kept(**wanted: object) -> list[str]:
    """Ids of the policy calls that are."""
    selection = Selection.of(wanted)  # type: ignore[arg-type]  # as it may be given
    return [one.call_id for one in CALLS if one.role == "policy" and selection.why_not(one) is None]


def test_every_column_must_fit_and_any_value_of_one_will_do():
    """Nothing named keeps all; the empty agent is that of calls without a name."""
    assert kept() == ["a", "b", "c", "d"]
    assert kept(agent="writer") == ["a", "d"]
    assert kept(agent=["writer", "critic"]) == ["a", "b", "d"]
    assert kept(agent="writer", model="small") == ["d"]
    assert kept(agent="") == ["c"]


def test_what_is_left_out_says_why_and_nothing_is_lost():
    """The agent is looked at first; calls of judges were never going to be rows, and stay where they are."""
    trace = Trace(rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", status="succeeded", calls=CALLS)

    traces, dropped = Selection.of({"agent": "writer", "model": "policy"}).parted([trace])

    assert [one.call_id for one in traces[0].calls] == ["a", "e"]
    assert dropped == [
        Dropped(call_id="b", rollout_id="ro-1", reason="other_agent"),
        Dropped(call_id="c", rollout_id="ro-1", reason="other_agent"),
        Dropped(call_id="d", rollout_id="ro-1", reason="not_selected"),
    ]


def test_each_predicate_is_counted_alone_and_then_together():
    """Of the policy calls, with the agents it finds."""
    policy = {("writer", "policy"): 1, ("critic", "policy"): 1, (None, "policy"): 1, ("writer", "small"): 1}

    counted = Selection.of({"agent": ["writer", "nobody"], "model": "small"}).counted(policy)

    assert [(one.predicate, one.keeps, one.of, one.agents) for one in counted] == [
        ("agent=writer", 2, 4, {"writer": 2}),
        ("agent=nobody", 0, 4, {}),
        ("model=small", 1, 4, {"writer": 1}),
        ("agent=writer or nobody and model=small", 1, 4, {"writer": 1}),
    ]
    assert [(one.predicate, one.told) for one in Selection().counted(policy)] == [
        ("all", ["no named agent (1)", "critic (1)", "writer (2)"])
    ]


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"span": "x"}, "calls are selected by agent and model"),
        ({"role": "judge"}, "only calls whose role is policy become rows"),
        ({"agent": []}, "a word, or several"),
        ({"agent": [None]}, "a word, or several"),
        ("writer", "it is a mapping"),
    ],
)
def test_what_calls_have_no_column_of_is_refused(given, why):
    """With what there is instead."""
    with pytest.raises(BadValue, match=why):
        Selection.of(given)
