"""Which call a reward is for: v0.3's rules on small trees, and what it got wrong."""

import asyncio
import json
import sys
from dataclasses import replace
from operator import itemgetter
from pathlib import Path

import agl_triplets
import pytest
from agl_triplets import LlmProxyTraceToTriplet, RewardMatchPolicy, TracerTraceToTriplet
from agl_triplets._v03_sources import traces_of

import agl_core as agl
from agl_core.adapter import TraceReward
from agl_core.errors import BadValue
from agl_core.events import RewardGiven, SpanRecorded, Target
from agl_core.store import Span

IDS = {"prompt_token_ids": [1, 2], "response_token_ids": [3]}
FIRST_SIBLING = RewardMatchPolicy.FIRST_SIBLING


def span(span_id, began, ended, *, parent=None, name="step", status="ok", agent=None, sequence_id=None, **attributes):
    """A span; two underscores in the name of an attribute are a dot."""
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=span_id, parent_id=parent, name=name, status=status, agent=agent,
        sequence_id=sequence_id, started_at=began, ended_at=ended,
        attributes={name.replace("__", "."): value for name, value in attributes.items()},
    )  # fmt: skip


def llm(span_id, began, ended, *, parent=None, **facts):
    """A model call as AgentOps wrote it."""
    attributes = {**IDS, "gen_ai__response__id": f"chatcmpl-{span_id}", **facts}
    return span(span_id, began, ended, parent=parent, name="openai.chat.completion", **attributes)


def reward(span_id, at, value, *, parent=None, **facts):
    """A reward as v0.3's emitter wrote it."""
    said = {"agentlightning__reward__0__name": "primary", "agentlightning__reward__0__value": value, **facts}
    return span(span_id, at, at, parent=parent, name="agentlightning.annotation", **said)


def rewards(adapter, *spans):
    """What each call got, by the id of its response."""
    triplets = adapter(traces_of(spans)).rows
    return {triplet.metadata["response_id"].removeprefix("chatcmpl-"): triplet.reward for triplet in triplets}


# --- what v0.3 made of the same spans

TREES = json.loads((Path(__file__).parent / "v03" / "trees.json").read_text())
"""Recorded by v03/record.py, with agentlightning 0.3.0."""
KINDS = {
    "call": ("openai.chat.completion", {}),
    "reward": ("agentlightning.annotation", {}),
    "judging": ("agentlightning.operation", {"agentlightning.operation.name": "agentlightning.reward"}),
    "writer": ("step", {"agent.name": "writer"}),
    "critic": ("step", {"agent.name": "critic"}),
    "step": ("step", {}),
}


@pytest.mark.parametrize("recorded", TREES, ids=map(str, range(len(TREES))))
def test_small_trees_come_out_as_in_v03(recorded):
    """The same calls, of the same agents, with the same rewards; what was mended may stand at another place."""
    spans = []
    for id_, parent, kind, began, ended in recorded["spans"]:
        name, said = KINDS[kind]
        number = int(id_, 16)
        ids = {"prompt_token_ids": [1], "response_token_ids": [number]} if kind == "call" else {}
        value = {"agentlightning.reward.0.value": float(number)} if kind == "reward" else {}
        spans.append(replace(span(id_, began, ended, parent=parent, name=name), attributes={**said, **ids, **value}))

    triplets = TracerTraceToTriplet(**recorded["settings"]).adapt(spans)

    found = [[one.response["token_ids"][0], one.reward, one.metadata["agent_name"]] for one in triplets]
    assert sorted(found, key=itemgetter(0)) == sorted(recorded["triplets"], key=itemgetter(0))


# --- first occurrence


def test_a_reward_is_for_the_most_recent_call_that_had_ended():
    """Each turn has its own."""
    spans = [llm("a", 1, 2), reward("r1", 3, 0.1), llm("b", 4, 5), reward("r2", 6, 0.2)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 0.1, "b": 0.2}


def test_a_call_has_one_reward_and_the_next_goes_to_the_call_before_it():
    """Two rewards after two calls: the first is for the second."""
    spans = [llm("a", 1, 2), llm("b", 3, 4), reward("r1", 5, 0.1), reward("r2", 6, 0.2)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 0.2, "b": 0.1}


def test_a_call_that_was_under_way_did_not_earn_the_reward():
    """It ended later."""
    spans = [llm("a", 1, 2), llm("b", 3, 9), reward("r1", 5, 0.1)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 0.1, "b": None}


def test_a_call_without_a_reward_has_none_and_not_zero():
    """A reward of zero is another thing."""
    spans = [llm("a", 1, 2), llm("b", 3, 4), reward("r1", 5, 0.0)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": None, "b": 0.0}


def test_first_occurrence_does_not_look_at_the_tree():
    """The reward at the root is for the call deep inside."""
    spans = [
        span("root", 0, 20),
        span("inner", 1, 10, parent="root"),
        llm("a", 2, 3, parent="inner"),
        reward("r1", 12, 0.5, parent="root"),
    ]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 0.5}


def test_only_the_reward_of_that_name_is_matched():
    """Further dimensions of a reward are none of their own."""
    beside = {"agentlightning__reward__1__name": "style", "agentlightning__reward__1__value": 9.0}
    spans = [llm("a", 1, 2), llm("b", 3, 4), reward("r1", 5, 0.5, **beside)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": None, "b": 0.5}
    assert rewards(TracerTraceToTriplet(reward="style"), *spans) == {"a": None, "b": 9.0}


# --- first sibling


def nested(*, order=slice(None)):
    """Two agents in a root, each with a call and a reward; the second reward comes before its call has a sibling."""
    return [
        span("root", 0, 30),
        span("writer", 1, 10, parent="root", agent__name="writer"),
        llm("a", 2, 3, parent="writer"),
        reward("r1", 4, 0.1, parent="writer"),
        span("critic", 11, 20, parent="root", agent__name="critic"),
        llm("b", 12, 13, parent="critic"),
        reward("r2", 25, 0.2, parent="root"),
    ][order]


def test_a_sibling_s_reward_stays_in_its_subtree():
    """The one at the root has no call beside it."""
    adapted = TracerTraceToTriplet(reward_match=FIRST_SIBLING)(traces_of(nested()))

    assert [triplet.reward for triplet in adapted.rows] == [0.1, None]
    assert [(one.reward_id, one.reason) for one in adapted.unmatched] == [("at-1/r2/primary", "no_call")]


def test_by_occurrence_the_same_tree_gives_another_answer():
    """The last reward reaches into the second agent."""
    assert rewards(TracerTraceToTriplet(), *nested()) == {"a": 0.1, "b": 0.2}


def test_the_order_in_which_spans_came_does_not_matter():
    """v0.3 takes siblings as they came, and exporters send children first, or in batches."""
    for policy in RewardMatchPolicy:
        adapter = TracerTraceToTriplet(reward_match=policy)

        assert rewards(adapter, *nested()) == rewards(adapter, *nested(order=slice(None, None, -1)))


def test_a_lost_parent_still_holds_its_children_together():
    """Siblings stay siblings."""
    spans = [
        llm("a", 2, 3, parent="lost-1"),
        reward("r1", 4, 0.1, parent="lost-1"),
        llm("b", 5, 6, parent="lost-2"),
        reward("r2", 7, 0.2, parent="lost-1"),
    ]
    adapter = TracerTraceToTriplet(reward_match="first_sibling", repair_hierarchy=False)

    assert rewards(adapter, *spans) == {"a": 0.1, "b": None}


# --- which calls


def test_an_agent_is_chosen_by_the_nearest_name_around_its_calls():
    """An agent inside another one is another one."""
    spans = [
        span("outer", 0, 20, agent__name="writer"),
        llm("a", 1, 2, parent="outer"),
        span("inner", 3, 10, parent="outer", executor__id="searcher"),
        llm("b", 4, 5, parent="inner"),
    ]

    adapted = TracerTraceToTriplet(agent_match="^writer$")(traces_of(spans))

    assert [triplet.metadata["agent_name"] for triplet in adapted.rows] == ["writer"]
    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("b", "other_agent")]


@pytest.mark.parametrize(
    ("name", "attributes"),
    [
        ("any", {"agent__name": "writer"}),
        ("any", {"agentops__span__kind": "agent", "operation__name": "writer"}),
        ("any", {"recipient_agent_type": "writer"}),
        ("any", {"langchain__chain__type": "writer"}),
        ("any", {"executor__id": "writer"}),
        ("any", {"type": "agent", "agentlightning__operation__input__name": "writer"}),
        ("langchain.Chain.invoke", {"lc_name": "writer"}),
        ("any", {"gen_ai__agent__name": "writer"}),
    ],
)
def test_an_agent_is_named_as_every_tracer_of_v03_named_it(name, attributes):
    """And as OpenTelemetry does."""
    spans = [span("around", 0, 9, name=name, **attributes), llm("a", 1, 2, parent="around")]

    (triplet,) = TracerTraceToTriplet(agent_match="writer").adapt(spans)

    assert triplet.metadata["agent_name"] == "writer"


def test_a_call_says_itself_who_made_it():
    """v0.3 looks around the call, and not at it."""
    spans = [span("around", 0, 9, agent__name="writer"), llm("a", 1, 2, parent="around", agent__name="critic")]

    (triplet,) = TracerTraceToTriplet().adapt(spans)

    assert triplet.metadata["agent_name"] == "critic"


def test_what_was_asked_while_judging_is_left_out():
    """Unless it is wanted."""
    operation = {"agentlightning__operation__name": "agentlightning.reward"}
    spans = [
        llm("a", 1, 2),
        span("judging", 3, 9, name="agentlightning.operation", **operation),
        llm("b", 4, 5, parent="judging"),
        reward("r1", 10, 1.0),
    ]

    adapted = TracerTraceToTriplet()(traces_of(spans))

    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("b", "in_reward")]
    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 1.0}
    assert rewards(TracerTraceToTriplet(exclude_llm_call_in_reward=False), *spans) == {"a": None, "b": 1.0}


def test_a_call_that_two_spans_tell_of_is_one():
    """By the id of its response, and by nothing else: two calls may say the same."""
    spans = [
        llm("a", 1, 5),
        llm("a2", 2, 4, parent="a", gen_ai__response__id="chatcmpl-a"),
        llm("b", 6, 7, gen_ai__response__id=None),
        llm("c", 8, 9, parent="b", gen_ai__response__id=None),
    ]

    adapted = TracerTraceToTriplet()(traces_of(spans))

    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("a2", "duplicate")]
    assert adapted.captured == 4


def test_a_model_call_with_another_name_is_dropped_and_not_overlooked():
    """v0.3 says nothing of it, and training goes on with what is left."""
    spans = [span("a", 1, 2, name="ChatOpenAI", **IDS), span("b", 3, 4, name="tool")]

    adapted = TracerTraceToTriplet()(traces_of(spans))

    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("a", "other_name")]
    assert len(TracerTraceToTriplet(llm_call_match="ChatOpenAI")(traces_of(spans)).rows) == 1


def test_calls_without_token_ids_are_left_out_when_that_is_wanted():
    """They take no reward then, either."""
    spans = [llm("a", 1, 2), llm("b", 3, 4, response_token_ids=[]), reward("r1", 5, 1.0)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": None, "b": 1.0}
    assert rewards(TracerTraceToTriplet(_skip_empty_token_spans=True), *spans) == {"a": 1.0}


def test_a_call_that_failed_takes_no_reward():
    """It said nothing that could have earned it."""
    spans = [llm("a", 1, 2), llm("b", 3, 4, status="error"), reward("r1", 5, 1.0)]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 1.0}


# --- what a triplet says


def test_a_triplet_says_what_its_span_says():
    """Messages, answers, settings, images and log-probabilities, each where v0.3 has them."""
    image = '[{"type": "text", "text": "What is it?"}, {"type": "image_url", "image_url": {"url": "data:,x"}}]'
    said = {
        "gen_ai__prompt__0__role": "user",
        "gen_ai__prompt__0__content": image,
        "gen_ai__completion__0__role": "assistant",
        "gen_ai__completion__0__content": "A dot.",
        "gen_ai__request__model": "policy",
        "gen_ai__request__temperature": 0.5,
        "gen_ai__response__model": "policy-1",
        "logprobs__content": '[{"token": "A", "logprob": -0.25}]',
    }

    (triplet,) = TracerTraceToTriplet().adapt([llm("a", 1, 2, **said)])

    assert triplet == agl_triplets.Triplet(
        prompt={"token_ids": [1, 2], "raw_content": [{"role": "user", "content": image}], "image_urls": ["data:,x"]},
        response={
            "token_ids": [3],
            "raw_content": [{"role": "assistant", "content": "A dot."}],
            "logprobs": [{"token": "A", "logprob": -0.25}],
        },
        reward=None,
        metadata={
            "request": {"model": "policy", "temperature": 0.5},
            "response": {"id": "chatcmpl-a", "model": "policy-1"},
            "response_id": "chatcmpl-a",
            "agent_name": "*",
        },
    )


def test_a_triplet_says_what_a_span_of_weave_says():
    """Request and answer, name by name."""
    said = {
        "agentlightning__operation__input__model": "policy",
        "agentlightning__operation__input__messages__0__role": "user",
        "agentlightning__operation__input__messages__0__content": "Hi",
        "agentlightning__operation__output__id": "chatcmpl-w",
        "agentlightning__operation__output__prompt_token_ids": [1, 2],
        "agentlightning__operation__output__choices__0__token_ids": [3],
    }

    (triplet,) = TracerTraceToTriplet(llm_call_match="weave").adapt([span("w", 1, 2, name="weave.call", **said)])

    assert (triplet.prompt["token_ids"], triplet.response["token_ids"]) == ([1, 2], [3])
    assert triplet.prompt["raw_content"] == [{"role": "user", "content": "Hi"}]
    assert triplet.metadata["request"] == {"model": "policy"}
    assert triplet.metadata["response_id"] == "chatcmpl-w"


@pytest.mark.parametrize(
    "attributes",
    [
        {"gen_ai__prompt": "no list"},
        {"prompt_token_ids": "abc"},
        {"prompt_token_ids": [1, "x"]},
        {"prompt_token_ids": [-1]},
        {"logprobs__content": "[not json"},
        {"gen_ai__prompt__0": "flat", "gen_ai__prompt__0__role": "user"},
        {"gen_ai__prompt__0__content": "[" * 50_000},
        {"gen_ai__prompt." + ".".join("a" * 5_000): 1},
        {"agentlightning__operation__input": {"messages": [1]}},
    ],
)
def test_odd_attributes_break_nothing(attributes):
    """v0.3 raises on some of them, and a whole batch is lost."""
    (triplet,) = TracerTraceToTriplet().adapt([llm("a", 1, 2, **attributes)])

    assert triplet.response["token_ids"] == [3]


def test_what_begins_like_a_reward_is_none():
    """v0.3 raises on such an attribute, wherever it is."""
    spans = [
        llm("a", 1, 2, agentlightning__reward_model="rm-1"),
        reward("r1", 3, 1.0, agentlightning__reward_model="x"),
    ]

    assert rewards(TracerTraceToTriplet(), *spans) == {"a": 1.0}


def test_of_nothing_comes_nothing():
    """v0.3 raises."""
    for adapter in (TracerTraceToTriplet(), LlmProxyTraceToTriplet()):
        assert adapter.adapt([]) == []


# --- calls of the wire


def given(reward_id, value, *, at=None, target=None):
    """A reward that is a fact of its own."""
    target = target or Target(kind="rollout", id="ro-1")
    event = RewardGiven(rollout_id="ro-1", target=target, value=value, judge="agent")
    return TraceReward(id=reward_id, given=event, given_at=at)


def by_call(adapter, trace):
    """What each call got, by its number of tokens: those of these tests differ in it."""
    return [triplet.reward for triplet in adapter([trace]).rows]


def test_rewards_and_calls_are_matched_in_the_order_of_the_log(call, trace):
    """Whatever the clocks of those who wrote them say."""
    calls = (call("ca-a", (1,), (2,), started_at=900), call("ca-b", (1,), (3,), started_at=100))
    positions = {"ca-a": 1, "rw-1": 2, "ca-b": 3, "rw-2": 4}
    seen = replace(
        trace("ro-1", *calls, reward=None),
        rewards=(given("rw-1", 0.1, at=50), given("rw-2", 0.2, at=10)),
        positions=positions,
    )

    for adapter in (TracerTraceToTriplet(), LlmProxyTraceToTriplet()):
        assert by_call(adapter, seen) == [0.1, 0.2]


def test_a_reward_that_names_its_call_is_for_that_call(call, trace):
    """And the call is not free for others."""
    calls = (call("ca-a", (1,), (2,)), call("ca-b", (1,), (3,)))
    named = given("rw-1", 0.1, target=Target(kind="call", id="ca-b"))
    seen = replace(
        trace("ro-1", *calls, reward=None),
        rewards=(named, given("rw-2", 0.2)),
        positions={"ca-a": 1, "ca-b": 2, "rw-1": 3, "rw-2": 4},
    )

    assert by_call(TracerTraceToTriplet(), seen) == [0.2, 0.1]


def test_a_reward_of_an_agent_is_for_a_call_of_that_agent(call, trace):
    """Its most recent one."""
    calls = (call("ca-a", (1,), (2,), agent="writer"), call("ca-b", (1,), (3,), agent="critic"))
    seen = replace(
        trace("ro-1", *calls, reward=None),
        rewards=(given("rw-1", 0.1, target=Target(kind="agent", id="writer")),),
        positions={"ca-a": 1, "ca-b": 2, "rw-1": 3},
    )

    assert by_call(TracerTraceToTriplet(), seen) == [0.1, None]


def test_a_reward_of_a_span_is_for_the_last_call_in_it(call, trace):
    """Or it is for none, and says so."""
    spans = (span("first", 0, 10), span("second", 11, 20), span("empty", 21, 22))
    calls = (call("ca-a", (1,), (2,), started_at=1), call("ca-b", (1,), (3,), started_at=12))
    targets = [Target(kind="span", id=name) for name in ("first", "empty", "unknown")]
    given_to = tuple(given(f"rw-{place}", place, target=target) for place, target in enumerate(targets))
    seen = replace(trace("ro-1", *calls, reward=None, spans=spans), rewards=given_to)

    adapted = TracerTraceToTriplet()([seen])

    assert [triplet.reward for triplet in adapted.rows] == [0, None]
    assert {one.reward_id: one.reason for one in adapted.unmatched} == {"rw-1": "no_call", "rw-2": "unknown_target"}


def test_siblings_are_found_where_the_calls_were_made(call, trace):
    """A reward that no span stated was given in the tightest span around that moment."""
    spans = (span("root", 0, 30), span("first", 1, 10, parent="root"), span("second", 11, 20, parent="root"))
    calls = (
        call("ca-a", (1,), (2,), started_at=2, latency=1e-9),
        call("ca-b", (1,), (3,), started_at=12, latency=1e-9),
    )
    seen = replace(
        trace("ro-1", *calls, reward=None, spans=spans),
        rewards=(given("rw-1", 0.1, at=18), given("rw-2", 0.2, at=25)),
    )

    adapted = TracerTraceToTriplet(reward_match=FIRST_SIBLING)([seen])

    assert [triplet.reward for triplet in adapted.rows] == [None, 0.1]
    assert [one.reward_id for one in adapted.unmatched] == ["rw-2"]


def test_every_answer_of_a_call_is_a_triplet(call, trace):
    """v0.3 keeps the first."""
    seen = trace("ro-1", call("ca-a", (1,), (2,), (3, 4)))

    triplets = TracerTraceToTriplet()([seen]).rows

    assert [(one.response["token_ids"], one.reward, one.metadata["choice"]) for one in triplets] == [
        ([2], 1.0, 0),
        ([3, 4], 1.0, 1),
    ]


def test_spans_beside_calls_of_the_wire_are_no_calls(call, trace):
    """The wire is the one authority; a span that tells of one of its calls is that call."""
    seen = trace("ro-1", call("ca-a", (1,), (2,), started_at=5), spans=(llm("a", 1, 9),))

    adapted = TracerTraceToTriplet()([seen])

    assert adapted.captured == 1
    assert [triplet.response["token_ids"] for triplet in adapted.rows] == [[2]]


def test_calls_that_a_selection_left_out_do_not_come_back_as_spans(trace):
    """The trace says that there were some."""
    seen = trace("ro-1", spans=(llm("a", 1, 9),), positions={"ca-a": 1, "a": 2})

    assert TracerTraceToTriplet()([seen]).captured == 0


def test_a_rollout_that_ended_badly_teaches_nothing(trace):
    """Its calls are masked, and its rewards are not looked at."""
    seen = trace("ro-1", spans=(llm("a", 1, 2),), status="failed", exit_status="worker_lost")

    adapted = TracerTraceToTriplet()([seen])

    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("a", "masked:worker_lost")]
    assert adapted.unmatched == ()


def test_a_call_that_sampled_nothing_has_no_tokens(call, trace):
    """The last none of a list are not all of it."""
    wire = trace("ro-1", call("ca-a", (1, 2, 3), ()))

    (of_wire,) = TracerTraceToTriplet()([wire]).rows
    (of_span,) = TracerTraceToTriplet().adapt([llm("a", 1, 2, response_token_ids=[])])

    assert (of_wire.prompt["token_ids"], of_wire.response["token_ids"]) == ([1, 2, 3], [])
    assert (of_span.prompt["token_ids"], of_span.response["token_ids"]) == ([1, 2], [])


# --- the proxy's own spans


def test_a_proxy_s_reward_is_for_the_call_with_a_smaller_number():
    """Clocks of several machines say nothing: the later number is the later span."""
    raw = {"llm__hosted_vllm__prompt_token_ids": "[1, 2]", "llm__hosted_vllm__response_token_ids": "[[3]]"}
    spans = [
        span("a", 900, 901, name="raw_gen_ai_request", sequence_id=1, llm__hosted_vllm__id="q1", **raw),
        span("a2", 900, 901, name="litellm_request", sequence_id=1),
        reward("r1", 5, 0.1, sequence_id=2),
        span("b", 1, 2, name="raw_gen_ai_request", sequence_id=3, llm__hosted_vllm__id="q2", **raw),
        span("c", 1, 2, name="raw_gen_ai_request", sequence_id=4, llm__hosted_vllm__id="q2", **raw),
        reward("r2", 1, 0.2, sequence_id=5),
        span("d", 1, 2, name="raw_gen_ai_request", sequence_id=6),
    ]

    adapted = LlmProxyTraceToTriplet()(traces_of(spans))

    assert [(one.metadata["response_id"], one.reward) for one in adapted.rows] == [("q1", 0.1), ("q2", 0.2)]
    assert [one.prompt for one in adapted.rows] == [{"token_ids": [1, 2]}] * 2
    assert [(one.call_id, one.reason) for one in adapted.dropped] == [("c", "duplicate"), ("d", "no_token_ids")]


def test_a_proxy_s_ids_are_found_in_its_choices_too():
    """As Python writes them."""
    raw = {
        "llm__hosted_vllm__prompt_token_ids": "[1, 2]",
        "llm__hosted_vllm__choices": "[{'token_ids': [3, 4], 'message': None}]",
    }

    (triplet,) = LlmProxyTraceToTriplet().adapt([span("a", 1, 2, name="raw_gen_ai_request", **raw)])

    assert triplet.response == {"token_ids": [3, 4]}


# --- settings, and the way through a log


@pytest.mark.parametrize(
    "settings", [{"reward_match": "nearest"}, {"llm_call_match": "("}, {"agent_match": "["}, {"llm_call_match": 3}]
)
def test_a_setting_that_means_nothing_is_refused(settings):
    """When the adapter is made, not in the middle of a run."""
    with pytest.raises(BadValue):
        TracerTraceToTriplet(**settings)


def test_what_is_no_span_is_refused():
    """And what is half and half."""
    for source in (["text"], [*traces_of([llm("a", 1, 2)]), llm("a", 1, 2)]):
        with pytest.raises(BadValue):
            TracerTraceToTriplet().adapt(source)


def test_a_trace_out_of_a_log_is_matched_as_its_spans_are():
    """Spans of v0.3's shape are added to a store; what they state are facts, linked to their spans."""

    async def story(store):
        taken = await store.start_rollout({"n": 1})
        for one in (llm("a", 1, 2), reward("r1", 3, 0.25), llm("b", 4, 5)):
            await store.add_span(replace(one, rollout_id=taken.rollout_id, attempt_id=taken.attempt.attempt_id))
        await store.add_reward(taken.rollout_id, 0.75)
        await store.update_attempt(taken.rollout_id, "latest", status="succeeded")
        return list(store.ask.traces([taken.rollout_id])), await store.query_spans(taken.rollout_id)

    store = agl.open_store(":memory:")
    traces, spans = asyncio.run(story(store))
    store.close()

    assert [triplet.reward for triplet in TracerTraceToTriplet()(traces).rows] == [0.25, 0.75]
    assert all(isinstance(one, Span) for one in spans)
    # A reward that came from outside the attempt is no span of it.
    assert [triplet.reward for triplet in TracerTraceToTriplet().adapt(spans)] == [0.25, None]


@pytest.mark.parametrize("policy", list(RewardMatchPolicy))
@pytest.mark.parametrize("seen", ["spans", "wire", "named"])
def test_matching_takes_steps_as_there_are_spans_and_not_their_square(policy, seen, call, trace):
    """Counted, not timed: three thousand spans take thirty times the steps of a hundred, and a logarithm."""
    adapter = TracerTraceToTriplet(reward_match=policy)

    def made(count):
        if seen == "spans":
            turns = ((llm(f"a{n}", 9 * n, 9 * n + 4), reward(f"r{n}", 9 * n + 5, 1.0)) for n in range(count // 2))
            return traces_of([one for turn in turns for one in turn])
        # All rewards come at the end, which is the worst there is.
        calls = [call(f"ca-{n}", (1,), (2,), started_at=9 * n, latency=1e-9) for n in range(count // 2)]
        targets = [Target(kind="call", id=one.call_id) if seen == "named" else None for one in calls]
        late = tuple(given(f"rw-{n}", 1.0, at=10**9, target=target) for n, target in enumerate(targets))
        return [replace(trace("ro-1", *calls, reward=None), rewards=late)]

    def steps(count):
        traces = made(count)
        taken = 0

        def count_line(_frame, event, _argument):
            nonlocal taken
            taken += event == "line"
            return count_line

        before = sys.gettrace()
        sys.settrace(lambda frame, *_: count_line if "agl_triplets" in frame.f_code.co_filename else None)
        try:
            assert all(triplet.reward == 1.0 for triplet in adapter(traces).rows)
        finally:
            sys.settrace(before)
        return taken

    assert steps(3000) < 30 * 2 * steps(100)
