"""What each dialect has a word for, beyond what the recordings hold."""

from __future__ import annotations

import json
from typing import Any

import pytest

from agl_core.emit import emit_annotation, emit_object
from agl_core.events import Message, SpanRecorded, ToolCall, Usage
from agl_core.spans import Score, SpanMeaning, meaning


def told(attributes: dict[str, Any], *events: tuple[str, dict[str, Any]], name: str = "a") -> SpanMeaning:
    """What a span with these attributes and events means."""
    kept = tuple({"name": event, "timestamp": 1, "attributes": said} for event, said in events)
    return meaning(
        SpanRecorded(
            rollout_id="ro-1", attempt_id="at-1", span_id="sp-1", name=name, attributes=attributes, events=kept,
            started_at=1, ended_at=2,
        )
    )  # fmt: skip


USER = Message(role="user", content="6 * 7?")
SAID = Message(role="assistant", content="42")


class TestGenAi:
    """OpenTelemetry's own words."""

    @pytest.mark.parametrize("shape", [lambda value: value, json.dumps], ids=["structured", "json"])
    def test_a_value_means_the_same_structured_and_as_json(self, shape):
        """OTLP carries maps since 1.9; before, and still, they are text."""
        turns = [{"role": "user", "parts": [{"type": "text", "content": "6 * 7?"}]}]
        answers = [{"role": "assistant", "parts": [{"type": "text", "content": "42"}], "finish_reason": "stop"}]
        found = told({
            "gen_ai.operation.name": "chat",
            "gen_ai.input.messages": shape(turns),
            "gen_ai.output.messages": shape(answers),
            "gen_ai.response.finish_reasons": shape(["stop"]),
        })  # fmt: skip

        assert (found.messages, found.answers, found.finish_reasons) == ((USER,), (SAID,), ("stop",))

    @pytest.mark.parametrize("word", ["response", "result"])
    def test_a_tools_answer_has_two_names(self, word):
        """The schema says `response`, its prose `result`; what is no text is told the model as JSON."""
        parts = [{"type": "tool_call_response", "id": "c-1", word: {"sum": 42}}]

        found = told({"gen_ai.input.messages": [{"role": "user", "parts": parts}]})

        assert found.messages == (Message(role="tool", content='{"sum": 42}', tool_call_id="c-1"),)

    def test_thoughts_and_pictures_are_kept_beside_the_text(self):
        """Thoughts in `extra`; a part that is no text stays as it came."""
        picture = {"type": "uri", "modality": "image", "uri": "https://host/x.png"}
        parts = [{"type": "reasoning", "content": "so"}, {"type": "text", "content": "see"}, picture]

        found = told({"gen_ai.output.messages": [{"role": "assistant", "parts": parts}]})

        said = [{"type": "text", "text": "see"}, picture]
        assert found.answers == (Message(role="assistant", content=said, extra={"reasoning": "so"}),)

    @pytest.mark.parametrize(
        ("asked", "answered"),
        [
            ({"content": "6 * 7?"}, {"index": 0, "finish_reason": "stop", "message": {"content": "42"}}),
            ({"content": "6 * 7?"}, {"index": 0, "finish_reason": "stop", "message": '{"content": "42"}'}),
            ({"content": "6 * 7?"}, {"index": 0, "finish_reason": "stop", "message": "42"}),
            (
                {"gen_ai.event.content": '{"content": "6 * 7?"}'},
                {"gen_ai.event.content": '{"finish_reason": "stop", "message": {"content": "42"}}'},
            ),
        ],
        ids=["flat", "json", "text", "event-content"],
    )
    def test_the_older_events_tell_a_chat_too(self, asked, answered):
        """Those of 1.36 and before, in each shape they were written in."""
        found = told({"gen_ai.system": "openai"}, ("gen_ai.user.message", asked), ("gen_ai.choice", answered))

        assert (found.kind, found.messages, found.answers) == ("model_call", (USER,), (SAID,))
        assert found.finish_reasons == ("stop",)

    def test_the_oldest_events_hold_the_whole_chat(self):
        """Those of 1.27: one for what was asked, one for what was answered."""
        asked = {"gen_ai.prompt": json.dumps([{"role": "user", "content": "6 * 7?"}])}
        answered = {"gen_ai.completion": json.dumps([{"role": "assistant", "content": "42"}])}

        found = told(
            {"gen_ai.operation.name": "chat"},
            ("gen_ai.content.prompt", asked),
            ("gen_ai.content.completion", answered),
        )

        assert (found.messages, found.answers) == ((USER,), (SAID,))

    def test_details_may_be_told_by_an_event(self):
        """The span's own attributes go before them."""
        turns = [{"role": "user", "parts": [{"type": "text", "content": "6 * 7?"}]}]
        details = {"gen_ai.input.messages": turns, "gen_ai.request.model": "other"}

        found = told(
            {"gen_ai.operation.name": "chat", "gen_ai.request.model": "policy"},
            ("gen_ai.client.inference.operation.details", details),
        )

        assert (found.messages, found.model) == ((USER,), "policy")

    @pytest.mark.parametrize(
        ("operation", "kind"),
        [
            ("chat", "model_call"),
            ("text_completion", "model_call"),
            ("generate_content", "model_call"),
            ("embeddings", "model_call"),
            ("retrieval", "retriever"),
            ("invoke_agent", "agent"),
            ("create_agent", "other"),
            ("invoke_workflow", "task"),
            ("plan", "task"),
            ("execute_tool", "tool"),
            ("of.next.year", "other"),
        ],
    )
    def test_the_operation_says_what_it_is(self, operation, kind):
        """All that the conventions list; and one that they do not."""
        found = told({"gen_ai.operation.name": operation, "gen_ai.request.model": "policy"})

        assert (found.kind, found.dialect) == (kind, "gen_ai")

    def test_the_model_that_answered_goes_before_the_one_that_was_asked_for(self):
        """Providers answer to short names with longer ones."""
        asked = {"gen_ai.operation.name": "chat", "gen_ai.request.model": "small"}

        assert told(asked).model == "small"
        assert told({**asked, "gen_ai.response.model": "small-2026"}).model == "small-2026"

    def test_an_evaluation_is_a_score(self):
        """A label alone is none."""
        found = told(
            {"gen_ai.operation.name": "chat"},
            ("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "right", "gen_ai.evaluation.score.value": 0.5}),
            ("gen_ai.evaluation.result", {"gen_ai.evaluation.name": "tone", "gen_ai.evaluation.score.label": "kind"}),
        )

        assert found.scores == (Score(name="right", value=0.5),)

    def test_an_error_is_a_word(self):
        """`error.type` before the exception's."""
        raised = ("exception", {"exception.type": "RateLimited"})

        assert told({"gen_ai.operation.name": "chat"}, raised).error == "RateLimited"
        assert told({"gen_ai.operation.name": "chat", "error.type": "429"}, raised).error == "429"


class TestOpenInference:
    """Arize's."""

    @pytest.mark.parametrize(
        ("kind", "ours"),
        [
            ("LLM", "model_call"),
            ("EMBEDDING", "model_call"),
            ("AGENT", "agent"),
            ("CHAIN", "task"),
            ("TOOL", "tool"),
            ("RETRIEVER", "retriever"),
            ("RERANKER", "retriever"),
            ("EVALUATOR", "reward"),
            ("GUARDRAIL", "other"),
            ("PROMPT", "other"),
        ],
    )
    def test_each_kind_is_one_of_ours(self, kind, ours):
        """All that its specification lists."""
        assert told({"openinference.span.kind": kind}).kind == ours

    def test_it_goes_before_the_names_of_opentelemetry(self):
        """Some of its spans have both."""
        found = told({"openinference.span.kind": "CHAIN", "gen_ai.operation.name": "chat"})

        assert (found.kind, found.dialect) == ("task", "openinference")

    def test_messages_may_be_structured(self):
        """Lists of maps instead of flat names."""
        call = {"tool_call": {"id": "c-1", "function": {"name": "add", "arguments": {"a": 40}}}}
        turn = {"message": {"role": "assistant", "tool_calls": [call]}}

        found = told({"openinference.span.kind": "LLM", "llm.input_messages": [turn]})

        assert found.messages[0].tool_calls == (ToolCall(id="c-1", name="add", arguments='{"a": 40}'),)

    def test_many_messages_keep_their_order(self):
        """The tenth comes after the ninth, and not after the first."""
        flat = {f"llm.input_messages.{place}.message.{part}": said for place in reversed(range(12))
                for part, said in (("role", "user"), ("content", str(place)))}  # fmt: skip

        found = told({"openinference.span.kind": "LLM", **flat})

        assert [message.content for message in found.messages] == [str(place) for place in range(12)]

    def test_evaluations_are_scores(self):
        """Of any kind of span."""
        score = {"evaluations.0.evaluation.name": "right", "evaluations.0.evaluation.score": 1}

        assert told({"openinference.span.kind": "AGENT", **score}).scores == (Score(name="right", value=1.0),)


class TestOpenLlmetry:
    """Traceloop's."""

    def test_a_decorated_tool_is_understood(self):
        """Its arguments by name, where all of them have one."""
        found = told({
            "traceloop.span.kind": "tool",
            "traceloop.entity.name": "add",
            "traceloop.entity.input": '{"args": [], "kwargs": {"a": 40, "b": 2}}',
            "traceloop.entity.output": "42",
        })  # fmt: skip

        assert found == SpanMeaning(
            kind="tool", name="a", dialect="openllmetry", tool="add", arguments={"a": 40, "b": 2}, result="42"
        )

    def test_a_call_inside_a_workflow_is_still_a_call(self):
        """Being part of one is no kind."""
        found = told({"traceloop.workflow.name": "w", "gen_ai.operation.name": "chat", "gen_ai.request.model": "m"})

        assert (found.kind, found.dialect, found.model) == ("model_call", "openllmetry", "m")

    def test_a_hand_off_says_to_whom(self):
        """And by whom."""
        found = told({
            "traceloop.span.kind": "handoff",
            "gen_ai.handoff.from_agent": "triage",
            "gen_ai.handoff.to_agent": "solver",
        })  # fmt: skip

        assert (found.kind, found.agent, found.handed_to) == ("handoff", "triage", "solver")

    def test_text_that_looks_like_json_stays_text(self):
        """An agent that says JSON has said that text."""
        found = told({"gen_ai.prompt.0.role": "user", "gen_ai.prompt.0.content": '[{"type": "x"}]'})

        assert found.messages == (Message(role="user", content='[{"type": "x"}]'),)


class TestAgentLightning:
    """v0.3's, which AGL's emitters write too."""

    def test_what_our_emitters_write_is_understood(self):
        """By the same words."""
        reward = emit_annotation({"agentlightning.reward": [{"name": "x", "value": 1}]}, propagate=False)
        value = emit_object([1, 2], propagate=False)

        annotation, thing = told(reward.attributes, name=reward.name), told(value.attributes, name=value.name)

        assert (annotation.kind, annotation.scores) == ("reward", (Score(name="x", value=1.0),))
        assert (thing.kind, thing.dialect, thing.result) == ("other", "agentlightning", [1, 2])

    def test_a_tag_or_a_link_makes_no_span_one_of_its(self):
        """They may stand on any."""
        found = told({"agentlightning.tag.0": "x", "agentlightning.link.0.key_match": "a", "gen_ai.tool.name": "add"})

        assert (found.kind, found.dialect) == ("tool", "gen_ai")

    def test_the_rewards_of_v02_are_read(self):
        """AgentOps kept them in the output of an operation."""
        found = told({"agentops.span.kind": "operation", "agentops.task.output": '{"type": "reward", "value": 0.5}'})

        assert (found.kind, found.scores) == ("reward", (Score(name="primary", value=0.5),))

    def test_a_reward_that_is_no_number_is_none(self):
        """Never a zero."""
        values = {"agentlightning.reward.0.value": "nan", "agentlightning.reward.1.value": None}

        assert told(values, name="agentlightning.annotation").scores == ()

    def test_a_call_that_weave_traced_is_a_call(self):
        """Request and answer, name by name."""
        found = told(
            {
                "agentlightning.operation.name": "openai.chat.completions.create",
                "agentlightning.operation.input.model": "policy",
                "agentlightning.operation.input.messages.0.role": "user",
                "agentlightning.operation.input.messages.0.content": "6 * 7?",
                "agentlightning.operation.output.id": "chatcmpl-1",
                "agentlightning.operation.output.choices.0.message.role": "assistant",
                "agentlightning.operation.output.choices.0.message.content": "42",
                "agentlightning.operation.output.choices.0.finish_reason": "stop",
            },
            name="agentlightning.operation",
        )

        assert found == SpanMeaning(
            kind="model_call",
            name="agentlightning.operation",
            dialect="agentlightning",
            model="policy",
            messages=(USER,),
            answers=(SAID,),
            finish_reasons=("stop",),
            response_id="chatcmpl-1",
        )


class TestOwn:
    """AGL's."""

    def test_a_span_of_ours_says_what_it_is(self):
        """The rest is in OpenTelemetry's words."""
        found = told({
            "agl.span.kind": "handoff",
            "gen_ai.agent.name": "triage",
            "agl.handoff.agent.name": "solver",
            "gen_ai.usage.input_tokens": 3,
        })  # fmt: skip

        assert found == SpanMeaning(
            kind="handoff",
            name="a",
            dialect="agl",
            agent="triage",
            handed_to="solver",
            usage=Usage(prompt_tokens=3),
        )

    def test_a_kind_that_we_do_not_know_is_not_ours(self):
        """A later version may have more: then the other dialects are asked."""
        assert told({"agl.span.kind": "dream", "gen_ai.operation.name": "chat"}).dialect == "gen_ai"
