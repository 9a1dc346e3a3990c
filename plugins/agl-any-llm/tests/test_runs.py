"""From an agent through the gateway to a provider, and what of it is in the log."""

from __future__ import annotations

import asyncio
from contextlib import asynccontextmanager
from pathlib import Path

import httpx
import pytest

import agl_core as agl
from agl_core.events import CallRecorded, EndpointRegistered
from agl_core.gateway import Gateway
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.recorder import Recorder
from agl_core.store import Store
from agl_core.testing import Answer, Refusal, ScriptedModel, in_turn

QUESTION = {"model": "judge", "messages": [{"role": "user", "content": "Is 42 right?"}]}


@pytest.fixture
def path(tmp_path) -> Path:
    """Where the log lies."""
    return tmp_path / "log.db"


@pytest.fixture
def ask(path):
    """Asks a served engine as an attempt of a rollout does, and gives replies and recorded calls."""

    @asynccontextmanager
    async def attempt(served, log):
        store = Store(log)
        gateway = Gateway(Recorder(log), store.ask, backoff=(0.0, 0.0))
        base = await gateway.start()
        gateway.register(served.endpoint, role="judge")
        rollout = await store.start_rollout({"q": 1})
        url = f"{base}/rollout/{rollout.rollout_id}/attempt/{rollout.attempt_id}/v1"
        key = store.ask.attempt_key(rollout.attempt_id)
        async with httpx.AsyncClient(headers={"authorization": f"Bearer {key}"}, timeout=60) as http:
            yield url, http
        await gateway.stop()
        store.close()

    def asking(served, *bodies, route="chat/completions"):
        async def story():
            with SqliteLog(path, projections=CORE) as log:
                async with attempt(served, log) as (url, http):
                    replies = [await http.post(f"{url}/{route}", json=body) for body in bodies]
                return replies, [record.event for record in log.read() if isinstance(record.event, CallRecorded)]

        return asyncio.run(story())

    return asking


def in_files(path: Path, words: str) -> list[Path]:
    """The files of a log that hold the words."""
    return [one for one in path.parent.rglob("*") if one.is_file() and words.encode() in one.read_bytes()]


def test_a_call_is_in_the_log(serve, ask):
    """With its role, what was said, and what it cost."""
    served = serve("Yes.")

    (reply,), (call,) = ask(served, QUESTION)

    assert reply.json()["choices"][0]["message"]["content"] == "Yes."
    assert (call.role, call.status, call.call.model) == ("judge", "ok", "judge")
    assert call.call.messages[0].content == "Is 42 right?"
    assert call.call.choices[0].message.content == "Yes."
    assert call.call.usage.completion_tokens == len("Yes.") + 1
    assert call.call.provenance == "absent"


def test_a_streamed_call_is_in_the_log(serve, ask):
    """As the answer it would have been; its usage is asked for beside what the agent wants, and not shown."""
    served = serve(Answer(text="Yes.", pieces=["Ye", "s."]))

    (reply,), (call,) = ask(served, {**QUESTION, "stream": True})

    assert '"usage":{' not in reply.text.replace(" ", "")
    assert reply.text.rstrip().endswith("data: [DONE]")
    assert call.call.choices[0].message.content == "Yes."
    assert call.call.usage.completion_tokens == len("Yes.") + 1
    assert call.first_token is not None


def test_a_call_in_anthropics_dialect_is_answered_in_it(serve, ask):
    """The gateway translates what the engine does not speak."""
    body = {**QUESTION, "max_tokens": 9}

    (reply,), (call,) = ask(serve("Yes."), body, route="messages")

    assert reply.json()["content"][0]["text"] == "Yes."
    assert call.call.choices[0].message.content == "Yes."


def test_a_limit_of_rates_is_waited_for(serve, ask):
    """By the gateway, once: the SDK asks no second time behind its back."""
    served = serve(in_turn(Refusal(status=429, code="rate_limit_error", retry_after=0), "Yes."))

    (reply,), (call,) = ask(served, QUESTION)

    assert reply.status_code == 200
    assert (call.status, [str(one) for one in call.tries]) == ("ok", ["http_429"])
    assert len(served.provider.requests) == 2


def test_a_refusal_is_handed_to_the_agent(serve, ask):
    """What cannot get better by asking again is asked once."""
    served = serve(Refusal(status=400, code="invalid_request_error", message="no such tool"))

    (reply,), (call,) = ask(served, QUESTION)

    assert reply.status_code == 400
    assert "no such tool" in reply.json()["error"]["message"]
    assert (call.status, call.error, call.http_status) == ("error", "invalid_request", 400)
    assert len(served.provider.requests) == 1


def test_an_agent_chooses_no_way_out(serve, ask):
    """Its body goes through the gateway as it is, and no further."""
    served = serve()

    (reply,), (call,) = ask(served, {**QUESTION, "api_base": "http://127.0.0.1:9/"})

    assert (reply.status_code, call.status) == (400, "error")
    assert served.provider.requests == ()


def test_neither_key_is_in_the_log(serve, ask, path):
    """Not the provider's, which it repeats when it says that it is wrong, and not the engine's own."""
    served = serve(lambda asked: Refusal(status=401, code="no", message=f"wrong {asked.headers['x-api-key']}"))

    (reply,), _ = ask(served, QUESTION)

    assert served.key not in reply.text
    assert in_files(path, "judge")
    assert in_files(path, served.key) == []
    assert in_files(path, served.endpoint.api_key) == []


@agl.rollout
async def graded(task, policy: agl.LLM, judge: agl.LLM) -> float:
    """What a policy says, as a judge sees it."""
    said = []
    async with httpx.AsyncClient(timeout=60) as http:
        for llm in (policy, judge):
            headers = {"authorization": f"Bearer {llm.api_key}"}
            body = {"model": llm.model, "messages": [{"role": "user", "content": " ".join(["2 + 2?", *said])}]}
            reply = await http.post(f"{llm.endpoint}/chat/completions", headers=headers, json=body)
            said.append(reply.raise_for_status().json()["choices"][0]["message"]["content"])
    return float(said[-1])


def test_a_trainer_has_a_judge_beside_its_policy(provide, path, monkeypatch):
    """By its URL alone: its calls are recorded as a judge's, and its key is nowhere."""
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "any-llm")
    judge = provide("0.5")

    with ScriptedModel("four") as policy:
        trainer = agl.Trainer(
            store=str(path),
            models={"policy": policy.url, "judge": f"any-llm:anthropic/{judge.model}"},
            roles={"judge": "judge"},
        )
        summary = trainer.fit(graded, [{"n": 1}])

    with agl.open_log(str(path), readonly=True) as log:
        calls = log.rows("select model, role, status from calls order by position")
        registered = [record.event for record in log.read() if isinstance(record.event, EndpointRegistered)]
    assert summary.result["train"]["mean"] == 0.5
    assert calls == [("policy", "policy", "ok"), ("judge", "judge", "ok")]
    assert [(event.model, event.role) for event in registered] == [("policy", "policy"), ("judge", "judge")]
    assert [asked.last for asked in judge.requests] == ["2 + 2? four"]
    assert in_files(path, judge.requests[0].headers["x-api-key"]) == []
