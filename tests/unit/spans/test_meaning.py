"""The table of dialects: who is asked first, and that nothing a span may hold is ever too much."""

from __future__ import annotations

import json
from typing import Any

from hypothesis import example, given
from hypothesis import strategies as st

from agl_core.codec import Codec
from agl_core.events import SpanRecorded
from agl_core.spans import DIALECTS, SpanMeaning, meaning
from agl_core.testing.strategies import json_values, texts

NAMES = (
    "agentlightning.object.json", "agentlightning.operation.input", "agentlightning.operation.input.messages",
    "agentlightning.operation.output.choices.0.message", "agentlightning.reward", "agentlightning.reward.0.value",
    "agentops.task.output", "agl.span.kind", "error.type", "evaluations.0.evaluation", "events",
    "gen_ai.agent.name", "gen_ai.completion.0.tool_calls.0", "gen_ai.input.messages", "gen_ai.operation.name",
    "gen_ai.output.messages", "gen_ai.prompt", "gen_ai.prompt.0.content", "gen_ai.prompt.0.role", "gen_ai.prompt.x",
    "gen_ai.response.finish_reasons", "gen_ai.response.model", "gen_ai.system_instructions",
    "gen_ai.tool.call.arguments", "gen_ai.usage.input_tokens", "input.value", "llm.finish_reason",
    "llm.input_messages", "llm.input_messages.0", "llm.input_messages.0.message", "llm.input_messages.0.message.role",
    "llm.input_messages.0.message.contents.0.message_content", f"llm.input_messages.{'9' * 5000}.message.role",
    "llm.output_messages.0.message.tool_calls.0.tool_call.function.arguments", "llm.request.type",
    "llm.token_count.prompt", "metadata", "openinference.span.kind", "output.value", "traceloop.entity.input",
    "traceloop.span.kind",
)  # fmt: skip
EVENTS = (
    "exception",
    "gen_ai.choice",
    "gen_ai.client.inference.operation.details",
    "gen_ai.content.completion",
    "gen_ai.content.prompt",
    "gen_ai.evaluation.result",
    "gen_ai.tool.message",
    "gen_ai.user.message",
)
WORDS = (
    *("LLM", "TOOL", "CHAIN", "chat", "tool", "agent", "execute_tool", "handoff", "assistant", "user", "text"),
    *("tool_call", "tool_call_response", "reasoning", "[", "{}", "[[]]", '{"type": "reward", "value": 1e999}'),
    *('{"type": "tool", "data": {"content": {}}}', "[" * 100_000, '{"a":' * 5_000, '"\\ud800"', '["\\ud800"]'),
)
TURN_FIELDS = (
    *("role", "content", "parts", "type", "id", "name", "arguments", "response", "result", "tool_calls", "function"),
    *("message", "contents", "message_content", "tool_call", "text", "data", "finish_reason", "event.name", "kwargs"),
)


def _values() -> st.SearchStrategy[Any]:
    """Anything, with a taste for what almost is a chat; as a value, or as the JSON of it."""
    leaves = st.none() | st.booleans() | st.integers(-9, 1 << 70) | st.floats() | st.sampled_from(WORDS + EVENTS)
    turns = st.recursive(
        leaves,
        lambda inner: (
            st.lists(inner, max_size=3)
            | st.dictionaries(st.sampled_from(TURN_FIELDS) | st.sampled_from(("0", "1", "")), inner, max_size=4)
        ),
        max_leaves=12,
    )
    plain = turns | json_values() | texts()
    return plain | plain.map(json.dumps)


ATTRIBUTES = st.dictionaries(st.sampled_from(NAMES) | texts(), _values(), max_size=8)
SPANS = st.builds(
    lambda name, attributes, events, agent: span(name, attributes, events=tuple(events), agent=agent),
    st.sampled_from(("agentlightning.operation", "agentlightning.annotation", "chat policy")) | texts(),
    ATTRIBUTES,
    st.lists(
        st.fixed_dictionaries(
            {}, optional={"name": st.sampled_from(EVENTS) | _values(), "attributes": ATTRIBUTES | _values()}
        ),
        max_size=3,
    ),
    st.none() | texts(),
)


def span(name: str = "a", attributes: dict[str, Any] | None = None, **others: Any) -> SpanRecorded:
    """One with these attributes."""
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name=name, attributes=attributes or {},
        started_at=1, ended_at=2, **others,
    )  # fmt: skip


@given(SPANS)
@example(span(attributes={"openinference.span.kind": "TOOL", "input.value": "[" * 200_000}))
@example(span(attributes={"openinference.span.kind": "LLM", f"llm.input_messages.{'9' * 5000}.message.role": "user"}))
@example(span(attributes={"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0": 1, "gen_ai.prompt.0.role.x": 2}))
def test_nothing_that_a_span_may_hold_is_too_much(recorded):
    """Bad input is input without a word: every dialect answers, and so does the table."""
    for dialect in DIALECTS:
        told = dialect.read(recorded)
        assert told is None or told.dialect == dialect.NAME

    assert meaning(recorded).name == recorded.name


@given(st.builds(span, texts(), st.dictionaries(st.sampled_from(NAMES), json_values(), max_size=8)))
def test_what_the_log_keeps_means_what_came(recorded):
    """The attributes are kept as they came, so the meaning is never lost."""
    codec = Codec()
    encoded = codec.encode(recorded)

    kept = codec.decode(encoded.type, encoded.schema, encoded.data, encoded.blobs.__getitem__)

    assert kept.attributes == recorded.attributes
    assert meaning(kept) == meaning(recorded)


def test_what_no_dialect_knows_is_other_with_its_name():
    """And keeps what every span has: the agent under way, and what was raised."""
    raised = {"name": "exception", "timestamp": 1, "attributes": {"exception.type": "ValueError"}}

    told = meaning(span("GET /", {"http.request.method": "GET"}, events=(raised,), agent="solver"))

    assert told == SpanMeaning(kind="other", name="GET /", agent="solver", error="ValueError")


def test_a_name_of_a_library_says_nothing():
    """A span of an HTTP client that somebody called `openai.chat` is no model call."""
    assert meaning(span("openai.chat", {"http.request.method": "POST"})) == SpanMeaning(name="openai.chat")


def test_the_agent_that_the_span_names_goes_before_the_one_under_way():
    """A span of a sub-agent is its own."""
    told = meaning(span("x", {"gen_ai.agent.name": "searcher", "gen_ai.operation.name": "chat"}, agent="solver"))

    assert told.agent == "searcher"


def test_a_dialect_of_somebody_elses_is_asked_where_they_put_it():
    """The table is a value."""

    class Theirs:
        NAME = "theirs"

        def read(self, span: SpanRecorded) -> SpanMeaning | None:
            return (
                SpanMeaning(kind="tool", name=span.name, dialect="theirs") if "their.tool" in span.attributes else None
            )

    table = (Theirs(), *DIALECTS)

    assert meaning(span("x", {"their.tool": 1}), dialects=table).dialect == "theirs"
    assert meaning(span("x", {"gen_ai.operation.name": "chat"}), dialects=table).dialect == "gen_ai"
