"""What a critic is shown of a rollout."""

from dataclasses import replace

from agl_apo._transcripts import short, teaches, told

from agl_core.adapter import Trace
from agl_core.events import CallRecorded, Choice, Message, ModelCall, SpanRecorded, ToolCall
from agl_core.store import Outcome

OUTCOME = Outcome(
    rollout_id="ro-1", task_id="ta-1", task={"q": "6*7"}, repeat=0, status="succeeded", exit_status="completed",
    reward=0.5,
)  # fmt: skip


def call(n, messages, answer, **more):
    """A call of a conversation."""
    said = Message(role="assistant", content=answer)
    asked = tuple(Message(role=role, content=content) for role, content in messages)
    made = ModelCall(model="m", messages=asked, choices=(Choice(message=said, finish_reason="stop"),))
    return CallRecorded(
        call_id=f"ca-{n}", rollout_id="ro-1", attempt_id="at-1", call=made, started_at=n, latency=0.1, **more
    )


def trace(*calls, spans=(), **more):
    """A rollout of them."""
    return Trace(
        rollout_id="ro-1", attempt_id="at-1", task_id="ta-1", status="succeeded", calls=calls, spans=spans, **more
    )


def test_a_chat_is_told_once():
    """What the second call repeats of the first is left out; what a judge said is not the agent's."""
    first = [("system", "Be brief."), ("user", "6*7?")]
    second = [*first, ("assistant", "41"), ("user", "Sure?")]
    judge = call(3, [("user", "Is 42 right?")], "yes", role="judge")

    text = told(trace(call(1, first, "41"), call(2, second, "42"), judge), OUTCOME, form="chat", longest=1000)

    assert text == (
        'task: {"q": "6*7"}\nended: completed\nreward: 0.5\n'
        "system: Be brief.\nuser: 6*7?\nassistant: 41\nuser: Sure?\nassistant: 42"
    )


def test_wishes_for_tools_and_failures_are_told():
    """They are often what went wrong."""
    wish = ToolCall(id="1", name="add", arguments='{"a": 1}')
    asking = call(1, [("user", "1+1?")], None)
    message = Message(role="assistant", content=None, tool_calls=(wish,))
    asking = replace(asking, call=replace(asking.call, choices=(Choice(message=message, finish_reason="tool_calls"),)))
    broken = call(2, [("user", "Well?")], "")
    broken = replace(broken, status="error", error="429 slow down", call=replace(broken.call, choices=()))

    text = told(trace(asking, broken), replace(OUTCOME, reward=None), form="chat", longest=1000)

    assert "reward: none: nobody scored it" in text
    assert 'calls add({"a":1})' in text
    assert text.endswith("user: Well?\n[no answer: 429 slow down]")


def test_spans_are_told_as_they_were_recorded():
    """In the order of the log, calls among them."""
    span = SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name="search", attributes={"hits": 0}, status="error",
        status_message="no index", started_at=1, ended_at=2,
    )  # fmt: skip

    text = told(
        trace(call(1, [("user", "Hi")], "Ho"), spans=(span,), positions={"sp-1": 1, "ca-1": 2}), OUTCOME,
        form="spans", longest=1000,
    )  # fmt: skip

    first, second = text.splitlines()[3:]
    assert first == '{"attributes": {"hits": 0}, "message": "no index", "span": "search", "status": "error"}'
    assert '"content": "Ho"' in second


def test_what_is_too_long_keeps_its_beginning_and_its_end():
    """What it came to stands at the end."""
    assert short("a" * 10 + "b" * 10, 4) == "aa\n[... 16 characters left out ...]\nbb"


def test_what_the_infrastructure_did_teaches_nothing():
    """No wording would have helped; an agent that raised may have stumbled over the answer."""
    assert teaches(OUTCOME)
    assert teaches(replace(OUTCOME, status="failed", exit_status="agent_raised"))
    assert not teaches(replace(OUTCOME, status="failed", exit_status="endpoint_down"))
    assert not teaches(replace(OUTCOME, status="cancelled", exit_status=None))
