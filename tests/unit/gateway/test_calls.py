"""What the gateway keeps of a call, sends on, and answers."""

from __future__ import annotations

import asyncio
from dataclasses import replace

import pytest
from aiohttp import web

from agl_core.errors import LogReadOnly

from .conftest import Scene, admission, choice, completion

pytestmark = pytest.mark.anyio


async def test_a_call_belongs_to_the_attempt_in_its_url(scene: Scene):
    """Two attempts ask the same; each call is kept under its own."""
    scene.attempts.put(admission(rollout_id="ro-2", attempt_id="at-2"))

    await scene.ask()
    await scene.ask(rollout="ro-2", attempt="at-2")

    assert [(event.rollout_id, event.attempt_id) for event in scene.calls.events] == [
        ("ro-1", "at-1"),
        ("ro-2", "at-2"),
    ]


async def test_a_call_is_noted_before_it_leaves_and_kept_under_the_same_id(scene: Scene):
    """While the model thinks, the call is already under way in the log."""
    scene.model.may_answer.clear()
    asking = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()
    begun = list(scene.calls.begun)
    scene.model.may_answer.set()

    await asking

    assert begun == [event.call_id for event in scene.calls.events]


async def test_tokens_are_kept_and_hidden_from_who_did_not_ask(scene: Scene):
    """Token ids and log-probabilities are training's business; the agent sees the reply it asked for."""
    _, answer = await scene.ask()

    call = scene.calls.events[0].call
    assert scene.model.asked[0]["return_token_ids"] is True
    assert (call.prompt_token_ids, call.choices[0].token_ids) == ((1, 2, 3), (10, 2))
    assert call.choices[0].logprobs == (-0.5, -0.25)
    assert (call.provenance, call.logprobs_mode) == ("engine", "processed")
    assert "prompt_token_ids" not in answer
    assert "token_ids" not in answer["choices"][0]
    assert answer["choices"][0]["logprobs"] is None


async def test_tokens_are_shown_to_who_asked(scene: Scene):
    """An agent that wants log-probabilities and token ids gets what the model said."""
    _, answer = await scene.ask({"logprobs": True, "return_token_ids": True})

    assert answer == completion()


async def test_a_model_that_cannot_count_tokens_is_not_asked_to(scene: Scene):
    """Other providers refuse fields they do not know."""
    scene.gateway.register(replace(scene.endpoint, token_ids=False, logprobs_mode=None))

    await scene.ask()

    assert scene.model.asked[0].keys() == {"model", "messages", "seed"}


async def test_a_model_that_keeps_its_tokens_to_itself_is_told_of_once(scene: Scene, caplog):
    """At the first call, with the code and the cure; the calls are kept."""
    silent = completion()
    silent.pop("prompt_token_ids")
    scene.model.replies += [silent, silent, completion()]

    for _ in range(3):
        await scene.ask()

    (told,) = [record.message for record in caplog.records if "TOKEN_IDS_MISSING" in record.message]
    assert scene.model.url in told
    assert [event.call.provenance for event in scene.calls.events] == ["absent", "absent", "engine"]


async def test_unknown_fields_go_through_both_ways(scene: Scene):
    """What has no name here is the business of agent and provider, and is kept."""
    scene.model.replies.append(completion(system_fingerprint="fp"))

    _, answer = await scene.ask({"reasoning_effort": "low"})

    assert scene.model.asked[0]["reasoning_effort"] == "low"
    assert answer["system_fingerprint"] == "fp"
    assert scene.calls.events[0].call.extra["reasoning_effort"] == "low"


async def test_four_samples_are_one_call_with_four_choices(scene: Scene):
    """`n` answers come back, in order, each with its tokens."""
    scene.model.replies.append(completion(choices=[choice(index, f"a{index}") for index in range(4)]))

    await scene.ask({"n": 4})

    (event,) = scene.calls.events
    assert [one.token_ids[0] for one in event.call.choices] == [10, 11, 12, 13]


async def test_eight_equal_prompts_at_once_are_eight_calls(scene: Scene):
    """Calls are told apart by what they are, not by what they say."""
    await asyncio.gather(*(scene.ask() for _ in range(8)))

    assert len({event.call_id for event in scene.calls.events}) == 8
    assert len({body["seed"] for body in scene.model.asked}) == 8


async def test_the_version_is_the_models_word_else_the_registered_one(scene: Scene):
    """The weights that spoke are known either way."""
    silent = completion()
    del silent["policy_version"]
    scene.model.replies.append(silent)

    await scene.ask()
    await scene.ask()

    assert [event.policy_version for event in scene.calls.events] == [3, 4]


async def test_the_role_is_the_endpoints(scene: Scene):
    """What a judge says is never trained on."""
    scene.gateway.register(scene.endpoint, role="judge")

    await scene.ask()

    assert scene.calls.events[0].role == "judge"


async def test_defaults_of_the_attempt_fill_what_the_agent_left_out(scene: Scene):
    """The agent's own word wins; a limit under its newer name is a limit."""
    scene.attempts.put(admission(sampling={"temperature": 0.5, "top_p": 0.9, "max_tokens": 9}))

    await scene.ask({"temperature": 1.0, "max_completion_tokens": 5})

    sent, kept = scene.model.asked[0], scene.calls.events[0].call.sampling
    assert (sent["temperature"], sent["top_p"], sent["max_completion_tokens"]) == (1.0, 0.9, 5)
    assert "max_tokens" not in sent
    assert (kept.temperature, kept.top_p, kept.max_tokens) == (1.0, 0.9, 5)


async def test_headers_of_ours_are_kept_and_go_no_further(scene: Scene):
    """Who asked, and from which call, is between the agent and the log."""
    ours = {"AGL-Call-Id": "ca-7", "AGL-Agent": "critic", "AGL-Parent-Call": "ca-6", "AGL-Place": "ask0:1"}
    given = {**ours, "X-Own": "1"}

    _, _, headers = await scene.ask_fully(headers=given)

    (event,) = scene.calls.events
    assert (event.call_id, event.agent, event.parent_call_id, event.place) == ("ca-7", "critic", "ca-6", "ask0:1")
    assert headers["AGL-Call-Id"] == "ca-7"
    assert not {name for name in scene.model.headers[0] if name.lower().startswith(("agl-", "x-own", "authorization"))}


async def test_an_id_names_one_call(scene: Scene):
    """A client that retries sends its id again; that is another call."""
    await scene.ask(headers={"AGL-Call-Id": "ca-7"})
    await scene.ask(headers={"AGL-Call-Id": "ca-7"})

    first, second = (event.call_id for event in scene.calls.events)
    assert first == "ca-7"
    assert second.startswith("ca-")
    assert second != "ca-7"


async def test_the_providers_key_comes_from_its_registration(scene: Scene):
    """The agent's key opens this gateway and nothing else."""
    scene.gateway.register(replace(scene.endpoint, api_key="provider-key"))

    await scene.ask()

    assert scene.model.headers[0]["Authorization"] == "Bearer provider-key"


async def test_an_error_of_the_model_comes_back_as_it_was(scene: Scene):
    """Status, body and when to try again; kept with the provider's code."""
    error = {"error": {"message": "slow down", "type": "rate_limit", "code": "rate_limit_exceeded"}}
    scene.model.replies.append(web.json_response(error, status=429, headers={"Retry-After": "30"}))

    status, answer, headers = await scene.ask_fully()

    (event,) = scene.calls.events
    assert (status, answer, headers["Retry-After"]) == (429, error, "30")
    assert (event.status, event.http_status, event.error) == ("error", 429, "rate_limit_exceeded")


@pytest.mark.parametrize("status", [429, 502, 503, 504, 529])
async def test_a_model_that_is_busy_is_asked_again(scene: Scene, status: int):
    """It is one call, which tells of its tries."""
    busy = [web.json_response({}, status=status), web.Response(status=status, headers={"Retry-After": "0"})]
    scene.model.replies.extend(busy)

    answered, _ = await scene.ask()

    (event,) = scene.calls.events
    assert answered == 200
    assert len(scene.model.asked) == 3
    assert (event.status, event.tries) == ("ok", (f"http_{status}",) * 2)


async def test_a_model_that_forbids_it_is_not_asked_again(scene: Scene):
    """By the header that OpenAI's clients obey."""
    scene.model.replies.append(web.json_response({}, status=503, headers={"x-should-retry": "false"}))

    status, _ = await scene.ask()

    assert (status, len(scene.model.asked), scene.calls.events[0].tries) == (503, 1, ())


async def test_a_prompt_that_is_too_long_has_one_code(scene: Scene):
    """Some say it in words; the log says it in one."""
    error = {"message": "This model's maximum context length is 64 tokens.", "type": "BadRequestError", "code": 400}
    scene.model.replies.append(web.json_response(error, status=400))

    status, answer = await scene.ask()

    assert (status, answer) == (400, error)
    assert scene.calls.events[0].error == "context_length_exceeded"


async def test_what_is_no_json_becomes_an_error_that_is(scene: Scene):
    """Clients of OpenAI read JSON; a page of HTML is not passed on."""
    scene.model.replies.append(web.Response(status=500, text="<html>", headers={"Retry-After": "1"}))
    scene.model.replies.append(web.Response(text="hello"))

    first, answer, headers = await scene.ask_fully()
    second, other = await scene.ask()

    assert (first, answer["error"]["code"], headers["Retry-After"]) == (500, "HTTP_500", "1")
    assert (second, other["error"]["code"]) == (502, "UPSTREAM_NOT_JSON")
    assert [event.error for event in scene.calls.events] == ["http_500", "upstream_not_json"]


async def test_a_redirect_is_not_followed(scene: Scene):
    """Requests go to registered endpoints only."""
    scene.model.replies.append(web.Response(status=307, headers={"Location": f"{scene.base}/elsewhere"}))

    status, _ = await scene.ask()

    assert (status, scene.calls.events[0].http_status) == (502, 307)


async def test_a_model_that_is_down_is_tried_again_then_said_to_be_down(scene: Scene, free_tcp_port: int):
    """Nothing was sent, so trying again is safe; the end of it is one recorded call."""
    scene.gateway.register(replace(scene.endpoint, url=f"http://127.0.0.1:{free_tcp_port}/v1"))

    status, answer = await scene.ask()

    (event,) = scene.calls.events
    assert (status, answer["error"]["code"]) == (502, "ENDPOINT_DOWN")
    assert (event.status, event.error, event.http_status) == ("error", "endpoint_down", None)


async def test_an_answer_that_breaks_off_is_recorded_as_that(scene: Scene):
    """Half an answer is no answer, and it is not asked for twice."""
    scene.model.hangs_up = True

    status, answer = await scene.ask()

    assert (status, answer["error"]["code"]) == (502, "UPSTREAM_BROKEN")
    assert [event.status for event in scene.calls.events] == ["broken"]
    assert len(scene.model.asked) == 1


async def test_an_agent_that_hangs_up_leaves_a_broken_call(scene: Scene):
    """The engine is let go of, and the log says who left."""
    scene.model.may_answer.clear()
    asking = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()

    asking.cancel()
    await scene.calls.kept.acquire()

    (event,) = scene.calls.events
    assert (event.status, event.error) == ("broken", "client_disconnected")


async def test_stopping_cuts_calls_off_and_records_them(scene: Scene):
    """What was under way when the gateway stopped is a fact too."""
    scene.model.may_answer.clear()
    asking = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()

    await scene.gateway.stop()
    await asyncio.gather(asking, return_exceptions=True)

    (event,) = scene.calls.events
    assert (event.status, event.error) == ("broken", "cancelled")


async def test_a_call_that_cannot_be_noted_does_not_leave(scene: Scene):
    """No tokens are spent on what would be lost."""
    scene.calls.failing = LogReadOnly("run.db", why="it is a copy", cure="open the original")

    status, answer = await scene.ask()

    assert (status, answer["error"]["code"]) == (503, "LOG_READ_ONLY")
    assert not scene.model.asked
