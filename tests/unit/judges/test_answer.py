"""What the answer is, and where; where there is none, that is no wrong answer."""

from __future__ import annotations

from dataclasses import replace

import pytest

from agl_core.errors import BadValue, NothingToJudge
from agl_core.events import Choice, Message, ToolCall
from agl_core.judges import ExactMatch, answer_of, expected_of

MESSAGE, LITERAL, JSON = "agentlightning.message.body", "agentlightning.object.literal", "agentlightning.object.json"


def saying(trace, message):
    """The trace, its last call answered with that message."""
    *others, last = trace.calls
    call = replace(
        last.call, choices=(Choice(message=message), Choice(message=Message(role="assistant", content="no")))
    )
    return replace(trace, calls=(*others, replace(last, call=call)))


def test_the_last_answer_of_the_policy_counts(rollout):
    """Of several calls the last, of several choices the first; a judge's is not among them."""
    trace = rollout("first", "second", "third", of=({}, {}, {"role": "judge"}))

    assert answer_of(trace, "last") == "second"


def test_a_call_that_failed_is_no_answer(rollout):
    """The one before it is."""
    trace = rollout("first", "second", of=({}, {"status": "error", "error": "timeout"}))

    assert answer_of(trace, "last") == "first"


def test_an_answer_in_parts_is_one(rollout):
    """As providers that know images have it."""
    parts = [{"type": "text", "text": "It is "}, {"type": "image"}, {"type": "text", "text": "4."}]

    assert answer_of(saying(rollout("x"), Message(role="assistant", content=parts)), "last") == "It is 4."


def test_an_empty_answer_is_one(rollout):
    """Whoever says nothing has answered with nothing."""
    assert answer_of(saying(rollout("x"), Message(role="assistant")), "last") == ""


def test_a_wish_for_a_tool_is_no_answer(rollout):
    """The agent left its answer elsewhere."""
    wish = Message(role="assistant", tool_calls=(ToolCall(id="1", name="submit", arguments="{}"),))

    with pytest.raises(NothingToJudge, match="asks for a tool"):
        answer_of(saying(rollout("x"), wish), "last")


def test_one_agent_of_several_may_be_asked(rollout):
    """By its name."""
    trace = rollout("a", "b", "c", of=({"agent": "writer"}, {"agent": "critic"}, {"agent": "critic"}))

    assert answer_of(trace, "agent:writer") == "a"


def test_what_the_agent_emitted_may_be_the_answer(emitted):
    """The last of its kind, or of its name."""
    trace = emitted(
        ("message", {MESSAGE: "named", "name": "final"}),
        ("message", {MESSAGE: "later"}),
        ("object", {JSON: '{"out": {"answer": 4}}'}),
        ("object", {LITERAL: 7}),
        ("annotation", {"score.a": "x"}),
        ("annotation", {"score.a": "y"}),
    )

    found = {where: answer_of(trace, where) for where in (
        "message", "message:final", "object", "object:out.answer", "object:out", "annotation:score.a",
    )}  # fmt: skip

    assert found == {
        "message": "later", "message:final": "named", "object": "7", "object:out.answer": "4",
        "object:out": '{"answer": 4}', "annotation:score.a": "y",
    }  # fmt: skip


def test_a_template_may_make_the_answer(rollout):
    """Of what is in the trace."""
    trace = rollout("first", "second", task={"q": "?"})

    assert answer_of(trace, "{{ task.q }} {{ calls[0].said }} {{ calls | length }}") == "? first 2"


def test_a_template_reaches_nothing_else(rollout):
    """No attribute of Python's, and no name that is not there."""
    for template in ("{{ task.__class__.__mro__ }}", "{{ nowhere }}", "{{ ''.__class__.__base__.__subclasses__() }}"):
        with pytest.raises(BadValue, match="cannot be filled in"):
            answer_of(rollout("x"), template)


@pytest.mark.parametrize("where", ["last", "agent:nobody", "message", "object", "object:a", "annotation:a"])
def test_where_nothing_is_there_is_no_answer(rollout, where):
    """A reason with a code, and no empty text."""
    with pytest.raises(NothingToJudge):
        answer_of(rollout(), where)


@pytest.mark.parametrize(
    "where", ["", "first", "agent", "agent:", "last:x", "annotation", "message:", "{{ a", "{% if %}"]
)
def test_a_place_that_cannot_be_is_refused_when_the_judge_is_made(where):
    """Before anything is judged."""
    with pytest.raises(BadValue, match="answer"):
        ExactMatch(answer=where)


def test_what_is_expected_lies_in_the_task(rollout):
    """At any depth; the task itself where the path is empty."""
    trace = rollout("x", task={"meta": {"answers": ["a", "b"]}})

    assert expected_of(trace, "meta.answers.1") == "b"
    assert expected_of(trace, "") == trace.input
