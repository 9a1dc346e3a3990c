"""Builders of calls and traces, with what a test does not care about filled in."""

from __future__ import annotations

from itertools import chain

import pytest

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Sampling, Target

_ROLES = {"system": 1, "user": 2, "assistant": 3, "tool": 4}


def make_call(
    call_id,
    prompt,
    *sampled,
    history=(),
    reply="said",
    replies=None,
    temperature=1.0,
    top_p=None,
    extra=None,
    logprobs=None,
    provenance="engine",
    logprobs_mode="processed",
    **recorded,
):
    """A policy call with one choice for each sequence in `sampled`."""
    choices = tuple(
        Choice(
            message=Message(role="assistant", content=text),
            token_ids=tuple(ids),
            logprobs=tuple(-0.5 - index for index in range(len(ids))) if logprobs is None else logprobs,
        )
        for ids, text in zip(sampled, replies or [reply] * len(sampled), strict=True)
    )
    call = ModelCall(
        model="policy",
        messages=tuple(Message(role=role, content=content) for role, content in history),
        sampling=Sampling(temperature=temperature, top_p=top_p),
        choices=choices,
        prompt_token_ids=tuple(prompt),
        provenance=provenance,
        logprobs_mode=logprobs_mode,
        extra=extra or {},
    )
    facts = {"rollout_id": "ro-1", "attempt_id": "at-1", "policy_version": 1, "started_at": 0, "latency": 0.1}
    return CallRecorded(call_id=call_id, call=call, **{**facts, **recorded})


def make_trace(rollout_id, *calls, reward=1.0, task_id="ta-1", rewards=None, status="succeeded", **facts):
    """A finished trace with a primary reward, unless `rewards` says otherwise."""
    if rewards is None:
        rewards = () if reward is None else (make_reward(rollout_id, reward),)
    exit_status = facts.pop("exit_status", "completed")
    return Trace(
        rollout_id=rollout_id,
        attempt_id=f"at-{rollout_id}",
        task_id=task_id,
        status=status,
        exit_status=exit_status,
        calls=calls,
        rewards=tuple(TraceReward(id=f"ev-{index}", given=given) for index, given in enumerate(rewards)),
        **facts,
    )


def make_reward(rollout_id, value, *, name="primary", kind="rollout", **facts):
    """A reward of the agent's own."""
    target = Target(kind=kind, id=rollout_id)
    return RewardGiven(rollout_id=rollout_id, target=target, value=value, name=name, judge="agent", **facts)


class Chat:
    """An agent that talks to a model whose template writes a token a letter, and one around each message.

    Its `calls` go into a log that it shares with others, in the order they are made.
    """

    END = 5

    def __init__(self, log, agent=None, *, system="You add."):
        self.log, self.agent = log, agent
        self.history = [("system", system)]

    def tokens(self, history):
        """As the template has them, up to where the model goes on."""
        rendered = [[_ROLES[role], *map(ord, text), self.END] for role, text in history]
        return [*chain.from_iterable(rendered), _ROLES["assistant"]]

    def ask(self, text, *answers, role="user", prompt=None, **facts):
        """Says `text` and remembers the first of `answers`."""
        self.history.append((role, text))
        made = make_call(
            f"ca-{len(self.log)}",
            self.tokens(self.history) if prompt is None else prompt,
            *([*map(ord, answer), self.END] for answer in answers),
            replies=answers,
            history=tuple(self.history),
            agent=self.agent,
            **facts,
        )
        self.log.append(made)
        self.history.append(("assistant", answers[0]))
        return made


@pytest.fixture
def chat():
    """Agents that share a log: `chat(agent)` is another one, `chat.log` what all of them did."""
    log = []

    def make(agent=None, **facts):
        return Chat(log, agent, **facts)

    make.log = log
    return make


@pytest.fixture(scope="session")
def call():
    """`make_call`."""
    return make_call


@pytest.fixture(scope="session")
def trace():
    """`make_trace`."""
    return make_trace


@pytest.fixture(scope="session")
def reward():
    """`make_reward`."""
    return make_reward
