"""What the tap leaves alone: what is no model call, what is nobody's, keys, foreign hosts, the agent's own course."""

from __future__ import annotations

import asyncio
import logging

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from agl_core.events import CallRecorded
from agl_core.gateway import Gateway
from agl_core.recorder import Recorder, Scope, agent, attributed, program_begins
from agl_core.store import Store
from agl_core.tap import _call, tapped
from agl_core.testing import ScriptedModel
from agl_core.wire import openai_chat

from .conftest import KEY, SSE, STREAM, URL, answer, question


class Seen:
    """A provider that keeps the requests it gets."""

    def __init__(self, http, **reply):
        self.requests = []
        self._reply = reply or {"json": answer()}
        self._http = http
        self.client = http.Client(transport=http.MockTransport(self._answer))

    def _answer(self, request):
        self.requests.append(request)
        return self._http.Response(200, **self._reply)


def test_outside_an_attempt_nothing_is_recorded(log, http):
    """The response is the client's own, stream and all."""
    seen = Seen(http)
    with seen.client as client, tapped():
        client.post(URL, json=question())
        streamed = client.send(client.build_request("POST", URL, json=question()), stream=True)
        kind = type(streamed.stream)
        streamed.close()

    assert "agl" not in kind.__module__
    assert not list(log.read())


@pytest.mark.parametrize(
    "request_",
    [
        {"method": "GET", "url": URL},
        {"method": "POST", "url": "http://model.invalid/v1/files", "json": question()},
        {"method": "POST", "url": URL, "json": {"messages": []}},
        {"method": "POST", "url": URL, "json": {"model": 4}},
        {"method": "POST", "url": URL, "json": [question()]},
        {"method": "POST", "url": URL, "content": b"model"},
        {"method": "POST", "url": URL, "content": b"\xff\xfe"},
        {"method": "POST", "url": URL, "content": b"[" * 100_000},
        {"method": "POST", "url": URL},
        {"method": "POST", "url": URL, "files": {"file": b"x"}},
    ],
)
def test_what_is_no_model_call_passes_untouched(attempt, http, request_):
    """A model call is a POST to a route of a dialect whose body is an object with a model."""
    seen = Seen(http)
    with seen.client as client, attempt.tapped():
        reply = client.request(**request_)

    assert reply.status_code == 200
    assert not attempt.calls()
    assert not attempt.lost()


def test_a_body_that_is_made_while_it_is_sent_is_not_read_for_us(attempt, http):
    """A generator can be read once, and that is the client's right."""
    seen = Seen(http)
    with seen.client as client, attempt.tapped():
        client.post(URL, content=iter([b'{"model":', b' "policy"}']))

    assert b"".join(seen.requests[0].stream) == b'{"model": "policy"}'
    assert not attempt.calls()


def test_no_header_of_ours_goes_to_a_foreign_host(attempt, http):
    """Nor any other change."""
    seen = Seen(http)
    with seen.client as client:
        client.post(URL, json=question(), headers={"authorization": f"Bearer {KEY}"})
        with attempt.tapped(), agent("writer"):
            program_begins()
            client.post(URL, json=question(), headers={"authorization": f"Bearer {KEY}"})
            elsewhere = f"/rollout/ro-2/attempt/{attempt.scope.attempt_id}/v1/chat/completions"
            client.post(f"http://model.invalid{elsewhere}", json=question())

    without, with_, other = seen.requests
    assert with_.headers.raw == without.headers.raw
    assert with_.content == without.content
    assert not [name for name in other.headers if name.startswith("agl")]
    assert attempt.calls()[0].place == ":0"


def test_nothing_of_a_key_is_in_the_log(attempt, http, tmp_path):
    """Not in the file, not beside it: the bytes are searched, for keys and cookies, of calls that went well and not."""
    replies = iter([http.Response(200, json=answer(), headers={"set-cookie": "c=sk-cookie"}), http.Response(401)])
    client = http.Client(
        transport=http.MockTransport(lambda _request: next(replies)),
        headers={"authorization": f"Bearer {KEY}", "x-api-key": "sk-other", "cookie": "a=sk-crumb"},
    )
    with client, attempt.tapped():
        client.post(f"{URL}?key=sk-query", json=question("a question that is kept"))
        client.post(URL, json=question())

    assert len(attempt.calls()) == 2
    written = b"".join(path.read_bytes() for path in tmp_path.rglob("*") if path.is_file())
    assert b"a question that is kept" in written
    for secret in (KEY, "sk-other", "sk-crumb", "sk-cookie", "sk-query"):
        assert secret.encode() not in written


def test_a_call_through_the_gateway_is_one_call_with_the_id_the_tap_gave(log, http):
    """The gateway is the better witness; the tap tells it who asks, and which call it is."""
    store, recorder = Store(log), Recorder(log)
    sent = []

    async def story():
        gateway = Gateway(recorder, store.ask)
        base = await gateway.start()
        with ScriptedModel("four") as model, tapped():
            gateway.register(model.endpoint)
            rollout = await store.start_rollout({"q": 1})
            ids = {"rollout_id": rollout.rollout_id, "attempt_id": rollout.attempt_id}
            url = f"{base}/rollout/{rollout.rollout_id}/attempt/{rollout.attempt_id}/v1/chat/completions"
            key = {"authorization": f"Bearer {store.ask.attempt_key(rollout.attempt_id)}"}
            hooks = {"request": [keep]}
            with attributed(Scope(recorder=recorder, run_id=None, **ids)), agent("writer"):
                async with http.AsyncClient(headers=key, event_hooks=hooks) as client:
                    (await client.post(url, json=question())).raise_for_status()
            foreign = dict(model.requests[0].headers)
        await gateway.stop()
        return foreign

    async def keep(request):
        sent.append(dict(request.headers))

    foreign = asyncio.run(story())
    store.close()

    (call,) = [record.event for record in log.read() if isinstance(record.event, CallRecorded)]
    assert (call.call_id, call.agent) == (sent[0]["agl-call-id"], "writer")
    assert not [name for name in foreign if name.startswith("agl")]


def test_an_agents_name_that_is_no_header_is_quoted(attempt, http):
    """A line break would make the client raise, and so would what is no ASCII."""
    seen = Seen(http)
    path = f"/rollout/{attempt.scope.rollout_id}/attempt/{attempt.scope.attempt_id}/v1/chat/completions"
    with seen.client as client, attempt.tapped(), agent("two\nlïnes"):
        client.post(f"http://gateway.invalid{path}", json=question())

    assert "agl-call-id" in seen.requests[0].headers
    assert seen.requests[0].headers["agl-agent"] == "two%0Al%C3%AFnes"


@pytest.mark.parametrize("step", ["request", "response", "assembly"])
def test_what_goes_wrong_in_the_tap_stays_in_the_tap(attempt, http, monkeypatch, caplog, step):
    """The agent has its answer; why the call is lost is logged, and it is kept as unknown: once, not counted beside."""

    def fail(*_args, **_more):
        raise ValueError("a bug of ours")

    monkeypatch.setattr(openai_chat, step, fail)
    reply = http.Response(200, headers=SSE, content=iter(STREAM))
    client = http.Client(transport=http.MockTransport(lambda _request: reply))
    with (
        caplog.at_level(logging.WARNING),
        client,
        attempt.tapped(),
        client.stream("POST", URL, json=question(stream=True)) as response,
    ):
        seen = list(response.iter_raw())

    assert tuple(seen) == STREAM
    assert (attempt.call().status, attempt.call().error) == ("unknown", "capture_lost")
    assert attempt.call().call.model == "policy"
    assert attempt.lost() == []
    assert "could not follow a model call" in caplog.text


@pytest.mark.parametrize("step", ["dialect_of", "read", "begun_try"])
def test_a_request_that_the_tap_cannot_read_leaves_all_the_same(attempt, http, monkeypatch, step):
    """And is counted as lost."""

    def fail(*_args, **_more):
        raise ValueError("a bug of ours")

    monkeypatch.setattr(_call, step, fail)
    seen = Seen(http)
    with seen.client as client, attempt.tapped():
        reply = client.post(URL, json=question())

    assert reply.json() == answer()
    assert [lost.why for lost in attempt.lost()] == ["ValueError"]


def test_no_answer_whatever_it_is_makes_the_tap_raise(attempt):
    """Any bytes, cut anywhere, under any status and type: the agent gets them as they are, the log gets one call."""
    http = pytest.importorskip("httpx")
    kinds = st.sampled_from(["text/event-stream", "application/json", "", "text/event-stream; x"])
    bits = st.binary(max_size=40) | st.sampled_from(
        [*STREAM, b"data: {", b"}\n\n", b"data: 4\n\n", b'{"choices": [4]}']
    )

    @settings(max_examples=60)
    @given(pieces=st.lists(bits.filter(bool), max_size=6), kind=kinds, status=st.sampled_from([200, 204, 404, 500]))
    def story(pieces, kind, status):
        before = len(attempt.calls())
        reply = http.Response(status, headers={"content-type": kind}, content=iter(pieces))
        client = http.Client(transport=http.MockTransport(lambda _request: reply))
        with client, attempt.tapped(), client.stream("POST", URL, json=question(stream=True)) as response:
            seen = list(response.iter_raw())
        assert seen == pieces
        assert len(attempt.calls()) == before + 1
        assert not attempt.lost()

    story()


def test_a_log_that_is_closed_stops_no_agent(attempt, http, caplog):
    """Nothing can be kept any more, and the process's own log says so."""
    seen = Seen(http)
    attempt.log.close()
    with seen.client as client, attempt.tapped():
        reply = client.post(URL, json=question())

    assert reply.json() == answer()
    assert "cannot be kept" in caplog.text


def test_a_call_that_is_under_way_is_in_the_log_already(attempt, http):
    """If the process died now, the log would say that nobody knows what came of it."""
    under_way = []

    def answering(_request):
        attempt.log.submit([]).result(timeout=30)  # written after what was submitted before it
        under_way.extend(attempt.log.rows("select kind, id from in_flight where kind = 'call'"))
        return http.Response(200, json=answer())

    with http.Client(transport=http.MockTransport(answering)) as client, attempt.tapped():
        client.post(URL, json=question())

    assert len(under_way) == 1
    assert under_way[0][1] == attempt.call().call_id
    assert not attempt.log.rows("select * from in_flight where kind = 'call'")
