"""The store of Agent Lightning v0.3: its own HTTP answers, recorded, become facts that train.

v03/answers.json holds what the store server of agentlightning 0.3.0 answered: a rollout traced by its default tracer,
one whose calls went through its LLM proxy, one that raised, one that was cancelled, one that took two attempts, and one
that still waits. See v03/record.py.
"""

import json
from pathlib import Path

import pytest

from agl_core.errors import ImportRefused
from agl_core.importing import import_rows


def test_finished_rollouts_come_with_their_statuses(log, v03, traces):
    """Succeeded, failed and cancelled stay so; what still waits is refused with its reason, and comes later."""
    came = import_rows(log, "agl-v0.3", v03.url)

    (waiting,) = came.reasons
    assert waiting.code == "IMPORT_STILL_OPEN"
    assert [(trace.input["q"], trace.status, trace.exit_status) for trace in traces()] == [
        ("How much is 40 + 2?", "succeeded", "completed"),
        ("?", "failed", "agent_raised"),
        ("How much is 40 + 2?", "succeeded", "completed"),
        ("called off", "cancelled", None),
        ("twice", "succeeded", "completed"),
    ]


@pytest.mark.parametrize("place", [0, 2], ids=["tracer", "proxy"])
def test_calls_have_their_tokens_whoever_saw_them(log, v03, traces, place):
    """AgentOps' spans of OpenAI's client, and LiteLLM's two spans of one request: each is two calls, and the same."""
    import_rows(log, "agl-v0.3", v03.url)

    trace = traces()[place]
    first, second = (recorded.call for recorded in trace.calls)
    assert first.choices[0].message.tool_calls[0].arguments == '{"a": 40, "b": 2}'
    assert second.choices[0].message.content == "It is 42."
    assert [message.role for message in second.messages] == ["system", "user", "assistant", "tool"]
    for call in (first, second):
        assert call.provenance == "engine"
        assert call.tools[0].name == "add"
        assert len(call.prompt_token_ids) == call.usage.prompt_tokens
        assert len(call.choices[0].token_ids) == call.usage.completion_tokens == len(call.choices[0].logprobs)


def test_both_ways_to_trace_tell_the_same_calls(log, v03, traces):
    """The agent and the model were the same: so are tokens, messages and how likely they were."""
    import_rows(log, "agl-v0.3", v03.url)

    traced, proxied = traces()[0], traces()[2]
    for left, right in zip(traced.calls, proxied.calls, strict=True):
        assert left.call.prompt_token_ids == right.call.prompt_token_ids
        assert left.call.choices[0].token_ids == right.call.choices[0].token_ids
        assert left.call.choices[0].logprobs == right.call.choices[0].logprobs
        assert [message.role for message in left.call.messages] == [message.role for message in right.call.messages]


def test_what_was_imported_makes_rows_with_rewards(log, v03, traces):
    """Triplets of the log: both turns merged into one row a rollout, each with its own reward."""
    agl_triplets = pytest.importorskip("agl_triplets")
    import_rows(log, "agl-v0.3", v03.url)

    adapted = agl_triplets.Triplets(min_group=1)(traces())

    by_reward = {row.reward: row for row in adapted.rows}
    assert set(by_reward) == {1.0, 0.75}
    assert {row.began for row in adapted.rows} == {"start"}
    assert all(len(row.call_ids) == 2 and sum(row.mask) == len(row.logprobs) == 81 for row in adapted.rows)
    assert adapted.kept == 4


def test_the_log_makes_the_triplets_that_v03_made_of_its_spans(log, v03, traces):
    """v03/triplets.json is what agentlightning 0.3.0's own adapters, for its tracer and for its proxy, made of them."""
    agl_triplets = pytest.importorskip("agl_triplets")
    theirs = json.loads((Path(__file__).parent / "v03" / "triplets.json").read_text())
    import_rows(log, "agl-v0.3", v03.url)

    for trace in traces():
        rows = agl_triplets.TracerTraceToTriplet()([trace]).rows
        expected = theirs.get(trace.metadata["import"]["id"], [])
        assert [(list(row.prompt["token_ids"]), list(row.response["token_ids"]), row.reward) for row in rows] == [
            (one["prompt"], one["response"], one["reward"]) for one in expected
        ]
        for row, one in zip(rows, expected, strict=True):
            # The adapter for the proxy leaves them out.
            assert one["logprobs"] in ([], [said["logprob"] for said in row.response["logprobs"]])
    assert sum(map(len, theirs.values())) == 4


def test_every_span_is_kept_as_it_came(log, v03, traces):
    """Raw spans stay: dialects that learn more say more of them later."""
    import_rows(log, "agl-v0.3", v03.url)

    stored = {
        span["span_id"]: span
        for path, answer in v03.answers.items()
        if path.startswith("/v1/agl/spans")
        for span in answer["body"]["items"]
    }
    kept = {span.span_id: span for trace in traces() for span in trace.spans}
    assert kept.keys() == stored.keys()
    for span_id, span in kept.items():
        assert span.attributes == stored[span_id]["attributes"]
        assert span.sequence_id == stored[span_id]["sequence_id"]
        assert span.started_at == pytest.approx(stored[span_id]["start_time"] * 1e9, abs=1000)


def test_resources_are_published_without_keys(log, v03):
    """Rollouts pin the bundle they had; no API key is written."""
    import_rows(log, "agl-v0.3", v03.url)

    bundles = dict(log.rows("select resources_id, data from resources"))
    pinned = {one for (one,) in log.rows("select resources_id from rollouts where resources_id is not null")}
    assert pinned <= bundles.keys()
    assert any('"prompt_template"' in data for data in bundles.values())
    assert not any("api_key" in data for data in bundles.values())


def test_attempts_are_told_one_by_one(log, v03):
    """A retried rollout has both tries, as they ended; the second counts."""
    import_rows(log, "agl-v0.3", v03.url)

    rows = log.rows(
        "select a.sequence, a.status, a.attempt_id = r.attempt_id from attempts a join rollouts r using (rollout_id) "
        "where r.attempts = 2 order by 1"
    )
    assert rows == [(1, "failed", 0), (2, "succeeded", 1)]


def test_when_it_happened_is_the_sources_word(log, v03):
    """`occurred_at` is the store's clock; only the position is ours."""
    import_rows(log, "agl-v0.3", v03.url)

    began = {
        json.dumps(answer["input"]): answer["start_time"]
        for path, page in v03.answers.items()
        if path.startswith("/v1/agl/rollouts?")
        for answer in page["body"]["items"]
    }
    for record in log.read(types=["rollout.enqueued"]):
        assert record.occurred_at == pytest.approx(began[json.dumps(record.event.input)] * 1e9, abs=1000)


def test_a_second_import_brings_what_is_over_now(log, v03):
    """What waited has come to its end meanwhile: it is added, and nothing else."""
    import_rows(log, "agl-v0.3", v03.url)
    head = log.head()
    (page,) = (path for path in v03.answers if path.endswith("offset=3") and "/rollouts?" in path)
    (waiting,) = (one for one in v03.answers[page]["body"]["items"] if one["status"] == "queuing")
    waiting["status"] = "cancelled"
    empty = {"status": 200, "body": {"items": [], "limit": 3, "offset": 0, "total": 0}}
    v03.answers[f"/v1/agl/rollouts/{waiting['rollout_id']}/attempts?sort_by=sequence_id&limit=3&offset=0"] = empty
    v03.answers[f"/v1/agl/spans?rollout_id={waiting['rollout_id']}&sort_by=sequence_id&limit=3&offset=0"] = empty

    again = import_rows(log, "agl-v0.3", v03.url)

    assert (again.rollouts, again.known, again.refused) == (1, 5, 0)
    assert [record.event.type for record in log.read(after=head)] == ["rollout.enqueued", "rollout.cancelled"]


def test_a_rollout_that_the_store_cannot_tell_of_costs_the_others_nothing(log, v03):
    """v0.3 throws spans out when memory is short, and answers 500 ever after."""
    path = next(path for path in v03.answers if path.startswith("/v1/agl/spans"))
    v03.answers[path] = {"status": 500, "body": {"detail": "evicted"}}

    came = import_rows(log, "agl-v0.3", v03.url)

    assert sorted(one.code for one in came.reasons) == ["IMPORT_LINE_BAD", "IMPORT_STILL_OPEN"]
    assert came.rollouts == 4


def test_nobody_there_is_said_with_the_address(log, v03, monkeypatch):
    """A server that is none of v0.3's, and one that is not there at all."""
    monkeypatch.setattr("agl_core.importing._v03_client._TRIES", ())
    v03.answers["/v1/agl/statistics"] = {"status": 200, "body": {"hello": "world"}}

    with pytest.raises(ImportRefused, match=r"no store of Agent Lightning v0\.3"):
        import_rows(log, "agl-v0.3", v03.url)
    with pytest.raises(ImportRefused, match="ConnectError"):
        import_rows(log, "agl-v0.3", "http://127.0.0.1:1")
    assert log.head() == 0


def test_a_list_that_breaks_off_is_an_error_and_what_came_before_is_in(log, v03):
    """The second page of rollouts is none: the first is imported, and a second import goes on."""
    (page,) = (path for path in v03.answers if path.endswith("offset=3") and "/rollouts?" in path)
    whole, v03.answers[page] = v03.answers[page], {"status": 200, "body": ["surprise"]}

    with pytest.raises(ImportRefused, match="no page of items"):
        import_rows(log, "agl-v0.3", v03.url)
    assert log.rows("select count(*) from rollouts") == [(3,)]

    v03.answers[page] = whole
    assert import_rows(log, "agl-v0.3", v03.url).known == 3


def test_the_recording_is_of_the_real_store(v03):
    """Nobody edited the fixture down to what the importer likes: every page of every question is in it."""
    assert json.loads(json.dumps(v03.answers))["/v1/agl/statistics"]["body"]["name"] == "InMemoryLightningStore"
    assert sum(path.startswith("/v1/agl/spans") for path in v03.answers) > 10
