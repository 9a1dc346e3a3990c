"""Whatever comes out of a log that went wrong: it costs what is wrong, and nothing beside it."""

from __future__ import annotations

import math
import sys
from collections import Counter

import msgspec
import pytest
from agl_triplets import Triplets

from agl_core.events import SpanRecorded

alone = Triplets(min_group=1)
IMAGE = [{"type": "text", "text": "what is it"}, {"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}]


def test_a_bad_call_costs_itself(call, trace):
    """Each by its own name, and the good ones around them are in one row."""
    bad = {
        "failed": {"status": "error"},
        "long": {"logprobs": (-1.0,) * 3},
        "none": {"logprobs": ()},
        "nan": {"logprobs": (math.nan,)},
        "inf": {"logprobs": (math.inf,)},
        "above": {"logprobs": (0.5,)},
        "ids": {"provenance": "absent"},
    }
    calls = [call(name, [1, 2, 3], [4], **facts) for name, facts in bad.items()]

    adapted = alone([trace("ro-1", call("a", [1], [2]), *calls, call("b", [1, 2, 3], [4])), trace("ro-2", *calls[:1])])

    assert [row.call_ids for row in adapted.rows] == [("a", "b")]
    assert Counter(one.reason for one in adapted.dropped) == {
        "call_failed": 2, "logprobs_length": 1, "no_logprobs": 1, "bad_logprobs": 3, "no_token_ids": 1,
    }  # fmt: skip


def test_a_logprob_that_is_rounded_above_zero_is_fine(call, trace):
    """Certainty is 0, and sixteen bits of it may be a little more."""
    assert alone([trace("ro-1", call("a", [1], [2], logprobs=(1e-4,)))]).kept == 1


@pytest.mark.parametrize("calls", [(), ("failed",)])
def test_a_trace_with_nothing_in_it_makes_nothing(call, trace, calls):
    """No call, or none that was answered."""
    made = [call(name, [], status="error") for name in calls]

    adapted = alone([trace("ro-1", *made), trace("ro-2", call("b", [1], [2]))])

    assert [row.rollout_id for row in adapted.rows] == ["ro-2"]
    assert len(adapted.dropped) == len(calls)


def test_words_that_are_no_unicode_are_compared_and_not_written(call, trace):
    """Half a character in a message, as a tool's bytes may have it: rows are of tokens."""
    said = ("user", "half \ud83d"), ("assistant", "\udcff")
    before = call("a", [1, 2], [3], history=said[:1], reply="\udcff")
    after = call("b", [1, 2, 9, 4], [5], history=[*said, ("user", "\ud83d")])

    rows = alone([trace("ro-1", before, after)]).rows

    assert [row.began for row in rows] == ["start", "retokenised"]
    assert msgspec.json.encode(rows)


@pytest.mark.parametrize("parents", [{"a": "a"}, {"a": "b", "b": "a"}, {"a": "lost"}])
def test_a_tree_of_spans_that_is_none_changes_no_row(call, trace, parents):
    """Circles, and parents that never came."""
    spans = tuple(
        SpanRecorded(
            rollout_id="ro-1", attempt_id="at-1", span_id=one, parent_id=parent, name="agent", started_at=0, ended_at=1
        )
        for one, parent in parents.items()
    )
    calls = call("a", [1], [2]), call("b", [1, 2, 3], [4])

    assert alone([trace("ro-1", *calls, spans=spans)]).rows == alone([trace("ro-1", *calls)]).rows


@pytest.mark.parametrize(
    "part",
    [
        IMAGE[1],
        {"type": "input_image", "file_id": "f"},
        {"type": "input_audio", "input_audio": {}},
        {"type": "file", "file": {}},
        {"image_url": "https://example.com/cat.png"},
        {"type": "video_url", "video_url": {}},
    ],
)
def test_a_prompt_with_more_than_words_is_dropped(call, trace, part):
    """Its ids have placeholders where the model saw a picture: a learner without it would see another prompt."""
    looking = call("a", [1], [2], history=[("user", [{"type": "text", "text": "what is it"}, part])])

    assert [one.reason for one in alone([trace("ro-1", looking)]).dropped] == ["multimodal"]


def test_pictures_can_be_allowed_and_words_in_parts_always_are(call, trace):
    """For a learner that puts them back itself."""
    looking, reading = (
        call("a", [1], [2], history=[("user", IMAGE)]),
        call("b", [3], [4], history=[("user", IMAGE[:1])]),
    )

    assert Triplets(min_group=1, allow_multimodal=True)([trace("ro-1", looking, reading)]).kept == 2
    assert alone([trace("ro-1", reading)]).kept == 1


def test_retokenised_ids_can_be_allowed_and_are_marked(call, trace):
    """Call by call: a row may have both kinds."""
    calls = call("a", [1], [2]), call("b", [1, 2, 3], [4], provenance="retokenised")

    (row,) = Triplets(min_group=1, allow_retokenised=True)([trace("ro-1", *calls)]).rows

    assert row.provenance == ("engine", "retokenised")


def interleaved(call, count, *, agents):
    """Calls of that many conversations in turn, each of twenty turns and then begun again."""
    prompts = {}
    for number in range(count):
        agent = number % agents
        prompt = prompts.get(agent, (agent,))
        yield call(f"c{number}", prompt, [1, 2], agent=str(agent))
        prompts[agent] = (*prompt, 1, 2, 3) if len(prompt) < 58 else (agent,)


def test_ten_thousand_calls_in_one_rollout(call, trace):
    """None is lost among them."""
    adapted = alone([trace("ro-1", *interleaved(call, 10_000, agents=50))])

    assert (adapted.kept, adapted.captured) == (10_000, 10_000)
    assert sum(len(row.call_ids) for row in adapted.rows) == 10_000
    assert max(len(row.call_ids) for row in adapted.rows) == 20


@pytest.mark.parametrize("agents", [1, 40])
def test_twice_the_calls_take_twice_the_steps(call, trace, agents):
    """Counted in lines of Python, not in seconds: with one conversation open, and with many."""

    def steps(count):
        given = [trace("ro-1", *interleaved(call, count, agents=agents))]
        lines = 0

        def count_line(_frame, event, _argument):
            nonlocal lines
            lines += event == "line"
            return count_line

        before = sys.gettrace()
        sys.settrace(count_line)
        try:
            alone(given)
        finally:
            sys.settrace(before)
        return lines

    assert steps(1600) < 2.2 * steps(800)
