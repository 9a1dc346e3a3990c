"""An agent's own code, run again on what a log remembers, with the model gone."""

import asyncio
import hashlib

import httpx
import pytest

import agl_core as agl


def said(reply):
    """The words of a completion."""
    return reply.json()["choices"][0]["message"]


def asks(llm, messages, **more):
    """A chat completion, as a client sends it."""
    return {
        "url": f"{llm.endpoint}/chat/completions",
        "json": {"model": llm.model, "messages": messages, **more},
        "headers": {"authorization": f"Bearer {llm.api_key}"},
    }


@agl.rollout
async def counting(task, llm):
    """Asks until it hears a three."""
    messages = [{"role": "user", "content": f"count from {task['n']}"}]
    async with httpx.AsyncClient() as client:
        while len(messages) < 9:
            message = said(await client.post(**asks(llm, messages)))
            messages += [message, {"role": "user", "content": "and then?"}]
            if message["content"] == "3":
                return 1.0
    return 0.0


def up(asked):
    """One more than the number of turns."""
    return str(sum(one["role"] == "user" for one in asked.body["messages"]))


def test_an_agent_ends_as_it_did_when_the_model_is_gone(record):
    """Every call is answered from the log, and reward, exit and words are those of then."""
    recorded = record(counting, up)

    again = recorded.replay()

    assert again.is_same
    assert (again.calls, again.answered) == (3, 3)
    assert again.now.reward == again.then.reward == 1.0
    assert again.now.messages == again.then.messages


def test_the_replays_own_log_has_the_calls_with_what_they_came_from(record):
    """The answer is the recorded one, with all that was known of it; the ids of rollout and attempt are the same."""
    recorded = record(counting, up)

    again = recorded.replay()

    then, now = recorded.events("call.recorded"), recorded.events("call.recorded", again.log)
    assert [one.replay_of for one in now] == [one.call_id for one in then]
    assert [one.call.choices for one in now] == [one.call.choices for one in then]
    assert [one.call.usage for one in now] == [one.call.usage for one in then]
    assert {(one.rollout_id, one.attempt_id) for one in now} == {(one.rollout_id, one.attempt_id) for one in then}
    assert {one.requests for one in now} == {0}
