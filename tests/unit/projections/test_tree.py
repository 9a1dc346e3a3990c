"""The span tree: what was done in what, and where each model call was made."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import pytest

from agl_core.cli._tree import branches, drawn
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, SpanRecorded, Target, ToolCall
from agl_core.projections import Node, Trace, TraceReward, _tree, tree
from agl_core.spans import SpanMeaning, meaning

CORPUS = Path(__file__).parents[1] / "spans" / "corpus"
ADD = [("tool", "add", [])]


def trace(*facts: Any) -> Trace:
    """Of one attempt that left these."""
    return Trace(
        rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", status="succeeded",
        spans=tuple(fact for fact in facts if isinstance(fact, SpanRecorded)),
        calls=tuple(fact for fact in facts if isinstance(fact, CallRecorded)),
        rewards=tuple(fact for fact in facts if isinstance(fact, TraceReward)),
    )  # fmt: skip


def story(name: str) -> list[SpanRecorded]:
    """The spans of a recording."""
    told = json.loads((CORPUS / f"{name}.json").read_text())["spans"]
    return [SpanRecorded(**{**span, "events": tuple(span["events"])}) for span in told]


def span(
    id_: str, when: tuple[int, int], *, under: str | None = None, agent: str | None = None, **attributes: Any
) -> SpanRecorded:
    """A span of AGL's own dialect; dots of its attributes are underscores here."""
    said = {name.replace("_", "."): value for name, value in attributes.items()}
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=id_, parent_id=under, name=id_, agent=agent, attributes=said,
        started_at=when[0], ended_at=when[1],
    )  # fmt: skip


def agent(name: str, when: tuple[int, int], *, under: str | None = None) -> SpanRecorded:
    """An agent at work."""
    said = {"agl.span.kind": "agent", "gen_ai.agent.name": name}
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=f"sp-{name}", parent_id=under, name=f"invoke_agent {name}",
        agent=name, attributes=said, started_at=when[0], ended_at=when[1],
    )  # fmt: skip


def tool(name: str, when: tuple[int, int], *, under: str, by: str | None = None) -> SpanRecorded:
    """A tool at work."""
    said = {"agl.span.kind": "tool", "gen_ai.tool.name": name}
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=f"sp-{name}", parent_id=under, name=f"execute_tool {name}",
        agent=by, attributes=said, started_at=when[0], ended_at=when[1],
    )  # fmt: skip


def call(
    id_: str, at: int, *, by: str | None = None, parent: str | None = None, response: str | None = None, **more: Any
) -> CallRecorded:
    """A call that began then."""
    asked = ModelCall(model="policy", response_id=response)
    return CallRecorded(
        call_id=id_, rollout_id="ro-1", attempt_id="at-1", call=asked, agent=by, parent_call_id=parent,
        **{"started_at": at, "latency": 1e-9, **more},
    )  # fmt: skip


def reward(id_: str, kind: str, of: str) -> TraceReward:
    """One that is worth a half."""
    target = Target(kind=kind, id=of)  # type: ignore[arg-type]  # a test's
    return TraceReward(id=id_, given=RewardGiven(rollout_id="ro-1", target=target, value=0.5, judge="agent"))


def shape(nodes: tuple[Node, ...]) -> list[tuple[str, str, list[Any]]]:
    """Kind, name, and what is below."""
    return [(node.kind, node.name, shape(node.below)) for node in nodes]


def ids(nodes: tuple[Node, ...]) -> list[Any]:
    """Ids, each with what is below it, where there is something."""
    return [(node.id or node.name, ids(node.below)) if node.below else node.id for node in nodes]


STORIES = {
    "latest/pydantic-ai-6": [
        ("agent", "adder", [("model_call", "policy", []), *ADD, ("model_call", "policy", [])]),
    ],
    "latest/langchain-openinference-agent": [
        ("agent", "sum_agent", [
            ("task", "model", [("model_call", "policy", [])]),
            ("task", "tools", ADD),
            ("task", "model", [("model_call", "policy", [])]),
        ]),
    ],
    "latest/openai-agents-openinference": [
        ("agent", "Agent workflow", [("task", "Agent workflow", [
            ("agent", "triage", [("task", "turn", [("model_call", "policy", []), ("handoff", "solver", [])])]),
            ("agent", "solver", [
                ("task", "turn", [("model_call", "policy", []), *ADD]),
                ("task", "turn", [("model_call", "policy", [])]),
            ]),
        ])]),
    ],
}  # fmt: skip


@pytest.mark.parametrize("name", STORIES)
def test_a_recording_of_any_dialect_is_a_tree(name):
    """Pydantic AI, LangChain by OpenInference, the Agents SDK by OpenInference: as they nest."""
    assert shape(tree(trace(*story(name)))) == STORIES[name]


@pytest.mark.parametrize("name", ["latest/pydantic-ai-6", "latest/langchain-openinference-agent"])
def test_a_call_the_wire_had_too_is_one_node(name):
    """Known again by the id of its answer: the span says where, the wire says what."""
    spans = story(name)
    before = shape(tree(trace(*spans)))
    told = [(one.started_at, answer) for one in spans if (answer := meaning(one).response_id)]
    calls = [call(f"ca-{began}", began, response=answer) for began, answer in told]

    found = tree(trace(*spans, *calls))

    assert len(calls) == 2
    assert json.dumps(shape(found)) == json.dumps(before).replace('"model_call"', '"call"')


def test_a_call_hangs_in_the_innermost_span_of_its_agent():
    """Under way when it began; not in the next one, and not in another agent's."""
    spans = [
        agent("planner", (0, 100)),
        tool("search", (10, 40), under="sp-planner"),
        agent("writer", (20, 30), under="sp-search"),
    ]

    found = tree(trace(*spans, call("a", 5, by="planner"), call("b", 15, by="planner"), call("c", 25, by="writer"),
                       call("d", 27), call("e", 50, by="planner"), call("f", 200)))  # fmt: skip

    assert ids(found) == [
        ("sp-planner", ["a", ("sp-search", ["b", ("sp-writer", ["c", "d"])]), "e"]),
        "f",
    ]


def test_where_two_places_fit_the_one_around_both_is_taken():
    """Two tools of one agent at once: which of them asked is not guessed."""
    spans = [
        agent("planner", (0, 100)),
        tool("left", (10, 40), under="sp-planner"),
        tool("right", (20, 50), under="sp-planner"),
    ]

    found = tree(trace(*spans, call("a", 15, by="planner"), call("b", 30, by="planner"), call("c", 45, by="planner")))

    assert ids(found) == [("sp-planner", [("sp-left", ["a"]), ("sp-right", ["c"]), "b"])]


def test_an_agent_that_no_span_tells_of_hangs_where_it_was_spawned():
    """By the call it works for; at the tool of that call's agent when one was under way."""
    plain = [call("a", 5, by="planner"), call("b", 6, by="writer", parent="a"), call("c", 7, by="planner"),
             call("d", 8, by="writer", parent="a"), call("e", 9, by="writer", parent="c")]  # fmt: skip
    spans = [agent("planner", (0, 100)), tool("delegate", (10, 40), under="sp-planner")]
    told = [call("a", 5, by="planner"), call("b", 20, by="writer", parent="a")]

    assert ids(tree(trace(*plain))) == [
        ("planner", [("a", [("writer", ["b", "d"])]), ("c", [("writer", ["e"])])])
    ]  # fmt: skip
    assert ids(tree(trace(*spans, *told))) == [("sp-planner", ["a", ("sp-delegate", [("writer", ["b"])])])]


def test_rewards_hang_at_what_earned_them():
    """Those of the rollout, of an agent, and of what is not there, at the end."""
    spans = [agent("planner", (0, 100))]
    rewards = [reward("r1", "rollout", "ro-1"), reward("r2", "call", "a"), reward("r3", "span", "sp-planner"),
               reward("r4", "agent", "planner"), reward("r5", "call", "gone")]  # fmt: skip

    found = tree(trace(*spans, call("a", 5, by="planner"), *rewards))

    assert ids(found) == [("sp-planner", [("a", ["r2"]), "r3"]), "r1", "r4", "r5"]
    assert found[2].agent == "planner"


def test_spans_in_a_circle_and_orphans_are_all_there():
    """Whatever was written: nothing is lost, and nothing goes on for ever."""
    spans = [
        span("a", (0, 9), under="b"),
        span("b", (1, 9), under="a"),
        span("self", (2, 9), under="self"),
        span("orphan", (3, 9), under="gone"),
    ]

    found = tree(trace(*spans))

    def count(nodes: tuple[Node, ...]) -> int:
        return sum(1 + count(node.below) for node in nodes)

    assert count(found) == 4


def test_errors_and_times_are_told():
    """Of a span, of a call that failed, of an agent that only its calls tell of."""
    failed = SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name="t", status="error", status_message="no such file",
        attributes={"error.type": "OSError"}, started_at=1, ended_at=2,
    )  # fmt: skip
    calls = [call("a", 10, by="x", status="broken", error="cut"), call("b", 20, by="x", latency=5e-9)]

    span_node, agent_node = tree(trace(failed, *calls))

    assert span_node.error == "OSError: no such file"
    assert [node.error for node in agent_node.below] == ["cut", None]
    assert (agent_node.started_at, agent_node.ended_at) == (10, 25)


def test_the_drawing_fits_a_hundred_columns_and_says_what_was_done():
    """Whatever is in it: wide letters, line breaks, control characters, and depth."""
    wish = Message(role="assistant", tool_calls=(ToolCall(id="1", name="search", arguments='{"q": "研究"}'),))
    deep = [agent(f"a{n}", (n, 1000), under=f"sp-a{n - 1}" if n else None) for n in range(12)]
    asked = ModelCall(model="policy", choices=(Choice(message=wish),))
    long = ModelCall(model="policy", choices=(Choice(message=Message(role="assistant", content="研\n\x1b[31m" * 90)),))
    calls = [call("a", 500, by="a3"), call("b", 600, by="a11")]
    calls = [
        CallRecorded(call_id=one.call_id, rollout_id="ro-1", attempt_id="at-1", agent=one.agent, call=said,
                     started_at=one.started_at, latency=0.25)
        for one, said in zip(calls, (asked, long), strict=True)
    ]  # fmt: skip

    lines = list(drawn(tree(trace(*deep, *calls, reward("r", "rollout", "ro-1")))))

    from rich.cells import cell_len

    assert max(map(cell_len, lines)) <= 100
    assert any("call policy  0.2 s" in line and '-> search({"q": "研究"})' in line for line in lines)
    assert lines[-1] == "└─ reward primary  = 0.5 by agent"
    assert not any("\x1b" in line or "\n" in line for line in lines)
    assert len(lines) == 12 + 2 + 1


def test_a_kind_is_not_said_twice():
    """Where the span's own name begins with it."""
    asked = SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name="task Plan", attributes={"agl.span.kind": "task"},
        started_at=1, ended_at=2,
    )  # fmt: skip

    assert list(drawn(tree(trace(asked)))) == ["└─ task Plan  0 ms"]


def test_the_tree_is_plain_json():
    """With what the span says, what the wire says, and nothing that is empty."""
    spans = story("latest/pydantic-ai-6")

    (told,) = branches(tree(trace(*spans)))

    json.dumps(told)
    work = told["below"][1]
    assert (told["kind"], told["name"], told["dialect"]) == ("agent", "adder", "gen_ai")
    assert (work["tool"], work["arguments"], work["result"]) == ("add", {"a": 40, "b": 2}, "42")
    assert "below" not in work


def test_a_dialect_of_somebodys_own_is_understood():
    """What a plugin knows of spans, the tree shows."""

    class Acme:
        NAME = "acme"

        def read(self, span: SpanRecorded) -> SpanMeaning | None:
            tool = span.attributes.get("acme.tool")
            return SpanMeaning(kind="tool", name=span.name, dialect="acme", tool=tool) if tool else None

    seen = trace(span("sp-1", (1, 2), acme_tool="hammer"), span("sp-2", (3, 4)))

    assert [(node.kind, node.name) for node in tree(seen, dialects=(Acme(),))] == [
        ("tool", "hammer"),
        ("other", "sp-2"),
    ]
    assert [node.kind for node in tree(seen)] == ["other", "other"]


def test_a_deep_trace_is_a_tree_like_any_other():
    """Deeper than functions may call each other."""
    depth = 3 * sys.getrecursionlimit()
    spans = [span(f"sp-{level}", (level, 9 * depth), under=f"sp-{level - 1}") for level in range(depth)]

    (node,) = tree(trace(*spans, call("ca-1", 5 * depth)))

    levels = 1
    while node.below:
        (node,) = node.below
        levels += 1
    assert (levels, node.id) == (depth + 1, "ca-1")


def test_steps_grow_with_the_trace_and_not_with_its_square():
    """Counted, not timed: ten times as many spans and calls, ten times the looks at what is above."""

    def steps(count: int) -> int:
        taken = 0

        def count_line(_frame: Any, event: str, _argument: Any) -> Any:
            nonlocal taken
            taken += event == "line"
            return count_line

        facts: list[Any] = []
        for number in range(count):
            facts += [
                tool(f"{number}", (10 * number, 10 * number + 9), under="lost"),
                call(f"ca-{number}", 10 * number),
            ]
        before = sys.gettrace()
        sys.settrace(lambda frame, *_: count_line if frame.f_code.co_filename == _tree.__file__ else None)
        try:
            tree(trace(*facts))
        finally:
            sys.settrace(before)
        return taken

    assert steps(1000) < 15 * steps(100)
