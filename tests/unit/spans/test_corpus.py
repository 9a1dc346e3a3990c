"""What real instrumentations write is understood, each span exactly: see corpus/record.py."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from agl_core.events import Message, SpanRecorded, ToolCall, Usage
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from agl_core.spans import Score, SpanMeaning, meaning

CORPUS = Path(__file__).parent / "corpus"
FILES = sorted(CORPUS.glob("*/*.json"))

WISH = ToolCall(id="call_1", name="add", arguments='{"a": 40, "b": 2}')
ASKED = (
    Message(role="system", content="You add numbers."),
    Message(role="user", content="How much is 40 + 2?"),
)
CALLED = Message(role="assistant", tool_calls=(WISH,))
RESULT = Message(role="tool", content="42", tool_call_id="call_1")
DONE = Message(role="assistant", content="It is 42.")
FIRST = SpanMeaning(
    kind="model_call",
    name="chat policy",
    dialect="gen_ai",
    model="policy",
    messages=ASKED,
    answers=(CALLED,),
    usage=Usage(prompt_tokens=59, completion_tokens=71),
    finish_reasons=("tool_calls",),
    response_id="chatcmpl-1",
)
SECOND = replace(
    FIRST,
    messages=(*ASKED, CALLED, RESULT),
    answers=(DONE,),
    usage=Usage(prompt_tokens=148, completion_tokens=10),
    finish_reasons=("stop",),
    response_id="chatcmpl-2",
)
TOOL = SpanMeaning(
    kind="tool",
    name="execute_tool add",
    dialect="gen_ai",
    tool="add",
    tool_call_id="call_1",
    arguments={"a": 40, "b": 2},
    result="42",
)


def spans(name: str) -> list[SpanRecorded]:
    """Those of a story."""
    told = json.loads((CORPUS / f"{name}.json").read_text())["spans"]
    return [SpanRecorded(**{**span, "events": tuple(span["events"])}) for span in told]


def meanings(name: str) -> list[SpanMeaning]:
    """What they mean."""
    return [meaning(span) for span in spans(name)]


def both(**changes: Any) -> list[SpanMeaning]:
    """The story's two calls, where they are not told in OpenTelemetry's words."""
    return [replace(FIRST, **changes), replace(SECOND, **changes)]


CHATS = {
    "latest/openai-genai-chat": both(),
    "latest/openai-openinference-chat": both(name="ChatCompletion", dialect="openinference"),
    "latest/openai-traceloop-chat": both(name="openai.chat"),
    "older/openai-traceloop-chat": both(name="openai.chat", dialect="openllmetry"),
    "util-0.4/openai-v2-new-chat": both(),
    # What was said is in log records, which are no spans.
    "util-0.4/openai-v2-old-chat": both(messages=(), answers=()),
}


@pytest.mark.parametrize("name", CHATS)
def test_a_chat_means_the_same_in_every_dialect(name):
    """Model, messages, the wish for a tool, its result, tokens, and why the model stopped."""
    assert meanings(name) == CHATS[name]


STREAMS = {
    "latest/openai-genai-streamed": FIRST,
    "latest/openai-openinference-streamed": replace(FIRST, name="ChatCompletion", dialect="openinference"),
    # It puts the pieces of the text together, and there are none.
    "latest/openai-traceloop-streamed": replace(FIRST, name="openai.chat", answers=(replace(CALLED, content=""),)),
    "older/openai-traceloop-streamed": replace(FIRST, name="openai.chat", dialect="openllmetry"),
    "util-0.4/openai-v2-new-streamed": FIRST,
    "util-0.4/openai-v2-old-streamed": replace(FIRST, messages=(), answers=(), finish_reasons=()),
}


@pytest.mark.parametrize("name", STREAMS)
def test_a_streamed_answer_means_what_a_whole_one_means(name):
    """As far as the instrumentation puts the pieces together."""
    assert meanings(name) == [STREAMS[name]]


def responses(*, wish: ToolCall = WISH, goes_on: bool = True, said_why: bool = True, **changes: Any) -> list[Any]:
    """The two calls by the newer route, whose answers have other names."""
    called = replace(CALLED, tool_calls=(wish,))
    first, second = both(**({} if said_why else {"finish_reasons": ()}), **changes)
    went_on = (*ASKED, called, RESULT) if goes_on else ASKED
    return [
        replace(first, answers=(called,), response_id="resp_1"),
        replace(second, messages=went_on, response_id="resp_2"),
    ]


# Traceloop's tells a wish by the id of the item, and not by that of the call.
ITEM = replace(WISH, id="fc_1_0")
RESPONSES = {
    "latest/openai-genai-responses": responses(),
    "latest/openai-openinference-responses": responses(name="Response", dialect="openinference", said_why=False),
    "latest/openai-traceloop-responses": responses(wish=ITEM, name="openai.response"),
    # It leaves out the items that are no messages.
    "older/openai-traceloop-responses": responses(
        wish=ITEM, name="openai.response", dialect="openllmetry", said_why=False, goes_on=False
    ),
}


@pytest.mark.parametrize("name", RESPONSES)
def test_the_newer_route_means_the_same_too(name):
    """Instructions are the system's words; what an instrumentation leaves out stays out."""
    assert meanings(name) == RESPONSES[name]


@pytest.mark.parametrize(
    ("name", "tool_span", "agent_span", "agent_usage", "asked"),
    [
        ("latest/pydantic-ai-6", "execute_tool add", "invoke_agent adder", None, 145),
        ("older/pydantic-ai-1", "running tool", "agent run", Usage(prompt_tokens=207, completion_tokens=81), 148),
        ("older/pydantic-ai-2", "running tool", "agent run", Usage(prompt_tokens=207, completion_tokens=81), 148),
    ],
)
def test_an_agent_with_spans_of_its_own_is_understood(name, tool_span, agent_span, agent_usage, asked):
    """Calls, tool and agent, in the attributes of today and in the events of before; 1 keeps those in an attribute."""
    (talk,) = {span.attributes["gen_ai.conversation.id"] for span in spans(name)}

    assert meanings(name) == [
        replace(FIRST, agent="adder", conversation_id=talk),
        replace(TOOL, agent="adder", conversation_id=talk, name=tool_span),
        replace(
            SECOND,
            agent="adder",
            conversation_id=talk,
            messages=(*ASKED, CALLED, replace(RESULT, name="add")),
            usage=Usage(prompt_tokens=asked, completion_tokens=10),
        ),
        SpanMeaning(
            kind="agent", name=agent_span, dialect="gen_ai", agent="adder", conversation_id=talk, usage=agent_usage
        ),
    ]


def test_langchains_agent_is_understood():
    """Each of its spans knows the agent; a tool's result is taken out of the message around it."""
    ours = {"dialect": "openinference", "agent": "sum_agent"}

    first, asking, tool, tools, second, asking_again, agent = meanings("latest/langchain-openinference-agent")

    assert first == replace(FIRST, name="ChatOpenAI", **ours)
    assert tool == replace(TOOL, name="add", **ours)
    said = (*ASKED, replace(CALLED, name="sum_agent"), replace(RESULT, name="add"))
    assert second == replace(SECOND, name="ChatOpenAI", messages=said, **ours)
    assert [(task.kind, task.name, task.agent, task.messages) for task in (asking, tools, asking_again)] == [
        ("task", "model", "sum_agent", ()),
        ("task", "tools", "sum_agent", ()),
        ("task", "model", "sum_agent", ()),
    ]
    assert tools.arguments == [{"name": "add", "args": {"a": 40, "b": 2}, "id": "call_1", "type": "tool_call"}]
    assert (agent.kind, agent.name, agent.agent) == ("agent", "sum_agent", "sum_agent")
    assert agent.arguments == {"messages": [{"role": "user", "content": "How much is 40 + 2?"}]}
    assert agent.result["messages"][-1]["data"]["content"] == "It is 42."


def test_langchains_chain_and_retriever_are_understood():
    """What they were given, and what came of it."""
    book = {"id": None, "metadata": {"page": 7}, "page_content": "40 + 2 is 42.", "type": "Document"}
    question = "How much is 40 + 2?"

    assert meanings("latest/langchain-openinference-chain") == [
        SpanMeaning(
            kind="retriever",
            name="Shelf",
            dialect="openinference",
            arguments=question,
            result={"documents": [book]},
        ),
        SpanMeaning(kind="task", name="len", dialect="openinference", arguments=[book], result="1"),
        SpanMeaning(kind="task", name="RunnableSequence", dialect="openinference", arguments=question, result="1"),
    ]


def test_langchains_agent_is_understood_as_traceloop_tells_it():
    """What its callbacks hand round with the inputs and the result is taken off."""
    ours = {"dialect": "openllmetry", "agent": "sum_agent"}

    made, first, asking, tool, tools, second, asking_again, work, agent = meanings("latest/langchain-traceloop-agent")

    assert first == replace(FIRST, name="ChatOpenAI.chat", **ours)
    assert tool == replace(TOOL, **ours)
    assert second == replace(SECOND, name="ChatOpenAI.chat", **ours)
    assert made == SpanMeaning(name="create_agent sum_agent", dialect="gen_ai", agent="sum_agent", messages=ASKED[:1])
    assert [(task.kind, task.name, task.agent) for task in (asking, tools, asking_again, work)] == [
        ("task", "execute_task model", "sum_agent"),
        ("task", "execute_task tools", "sum_agent"),
        ("task", "execute_task model", "sum_agent"),
        ("task", "sum_agent.workflow", "sum_agent"),
    ]
    assert tools.arguments == [{"name": "add", "args": {"a": 40, "b": 2}, "id": "call_1", "type": "tool_call"}]
    assert work.arguments == {"messages": [{"role": "user", "content": "How much is 40 + 2?"}]}
    assert agent == SpanMeaning(kind="agent", name="invoke_agent sum_agent", dialect="gen_ai", agent="sum_agent")


def test_langchains_chain_and_retriever_are_understood_as_traceloop_tells_them():
    """It calls a retriever a task, and its operation says what it is; it takes a chain for an agent's work."""
    retriever, length, chain = meanings("latest/langchain-traceloop-chain")
    question = "How much is 40 + 2?"

    assert retriever == SpanMeaning(
        kind="retriever",
        name="vector_db_retrieve Shelf",
        dialect="openllmetry",
        arguments=question,
        result={"documents": [{"page_content": "40 + 2 is 42.", "metadata": {"page": 7}}], "count": 1},
    )
    assert (length.kind, length.name, length.result) == ("task", "execute_task len", 1)
    assert chain == SpanMeaning(
        kind="task",
        name="RunnableSequence.workflow",
        dialect="openllmetry",
        agent="RunnableSequence",
        arguments=question,
        result=1,
    )


HANDING = ToolCall(id="call_0", name="transfer_to_solver", arguments="{}")
HANDED = (
    Message(role="assistant", tool_calls=(HANDING,)),
    Message(role="tool", content='{"assistant": "solver"}', tool_call_id="call_0"),
)
TRIAGE = (replace(ASKED[0], content="You hand over."), ASKED[1])


def test_a_hand_off_between_openais_agents_is_understood():
    """OpenInference has no kind for it, nor a name for arguments of which there are none."""
    ours = {"dialect": "openinference"}
    task = SpanMeaning(kind="task", name="turn", **ours)
    called = (replace(HANDED[0], tool_calls=(replace(HANDING, arguments=""),)), HANDED[1])
    call = replace(FIRST, name="generation", finish_reasons=(), response_id=None, **ours)

    assert meanings("latest/openai-agents-openinference") == [
        replace(call, messages=TRIAGE, answers=called[:1], usage=Usage(prompt_tokens=57, completion_tokens=71)),
        SpanMeaning(kind="handoff", name="handoff to solver", agent="triage", handed_to="solver", **ours),
        task,
        SpanMeaning(kind="agent", name="triage", agent="triage", **ours),
        replace(call, messages=(*ASKED, *called), usage=Usage(prompt_tokens=169, completion_tokens=71)),
        replace(TOOL, name="add", tool_call_id=None, result=42, **ours),
        task,
        replace(
            call,
            messages=(*ASKED, *called, CALLED, RESULT),
            answers=(DONE,),
            usage=Usage(prompt_tokens=258, completion_tokens=10),
        ),
        task,
        SpanMeaning(kind="agent", name="solver", agent="solver", **ours),
        replace(task, name="Agent workflow"),
        SpanMeaning(kind="agent", name="Agent workflow", **ours),
    ]


def test_a_hand_off_is_understood_as_traceloop_tells_it():
    """It does not know to whom, and of the chat route no answers."""
    asked = SpanMeaning(kind="model_call", name="openai.response", dialect="gen_ai", model="policy", messages=TRIAGE)
    ours = {"dialect": "openllmetry"}

    assert meanings("latest/openai-agents-traceloop") == [
        asked,
        SpanMeaning(kind="handoff", name="triage → unknown.handoff", agent="triage", **ours),
        SpanMeaning(kind="agent", name="triage.agent", agent="triage", **ours),
        replace(asked, messages=(*ASKED, *HANDED)),
        replace(TOOL, name="add.tool", tool_call_id=None, **ours),
        replace(asked, messages=(*ASKED, *HANDED, CALLED, RESULT)),
        SpanMeaning(kind="agent", name="solver.agent", agent="solver", **ours),
        SpanMeaning(kind="task", name="Agent Workflow", **ours),
    ]


def test_what_v03_emits_is_understood():
    """Rewards of one name and of several, an annotation, a message, an object, an exception, an operation."""
    annotation = SpanMeaning(kind="reward", name="agentlightning.annotation", dialect="agentlightning")
    other = replace(annotation, kind="other")

    assert meanings("v03/agentlightning-emitted") == [
        replace(annotation, scores=(Score(name="primary", value=0.5),)),
        replace(annotation, scores=(Score(name="right", value=1.0), Score(name="short", value=0.25))),
        other,
        replace(other, name="agentlightning.message", result="a word"),
        replace(other, name="agentlightning.object", result={"total": 42}),
        replace(other, name="agentlightning.exception", error="ValueError"),
        replace(other, kind="task", name="agentlightning.operation", arguments={"a": 40, "b": 2}, result=42),
    ]


def test_what_the_default_tracer_of_v03_writes_is_understood():
    """AgentOps': it leaves the wish for a tool out of an answer, and writes a span of its own for it."""
    ours = {"name": "openai.chat.completion", "dialect": "openllmetry"}

    wish, first, second, session = meanings("v03/agentlightning-agentops-chat")

    assert wish == replace(TOOL, name="tool_call.add", dialect="openllmetry", result=None)
    assert first == replace(FIRST, answers=(Message(role="assistant"),), **ours)
    assert second == replace(SECOND, **ours)
    assert session == SpanMeaning(kind="task", name="session.session", dialect="openllmetry")


def test_every_recording_has_a_test():
    """By its name, in this file."""
    tested = Path(__file__).read_text()

    assert FILES
    assert [path for path in FILES if f'"{path.parent.name}/{path.stem}"' not in tested] == []


@pytest.mark.parametrize("path", FILES, ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_log_gives_back_the_attributes_and_with_them_the_meaning(path):
    """It keeps no meaning: it keeps the span, and what it means is derived again."""
    came = spans(f"{path.parent.name}/{path.stem}")

    with SqliteLog(":memory:", projections=CORE) as log:
        log.append([Draft(stream="rollout/ro-1", event=span) for span in came])
        kept = [record.event for record in log.read()]

    assert [span.attributes for span in kept] == [span.attributes for span in came]
    assert [span.events for span in kept] == [span.events for span in came]
    assert [meaning(span) for span in kept] == [meaning(span) for span in came]
