"""Builders of calls and traces, with what a test does not care about filled in."""

import pytest

from agl_core.adapter import Trace, TraceReward
from agl_core.events import CallRecorded, Choice, Message, ModelCall, RewardGiven, Target, Tool, ToolCall

SEARCH = Tool(name="search", description="Search.", parameters={"type": "object", "properties": {}})


def said(role, content=None, *, calls=(), answers=None, **facts):
    """A message; `calls` are (id, name, arguments)."""
    tool_calls = tuple(ToolCall(id=id_, name=name, arguments=arguments) for id_, name, arguments in calls)
    return Message(role=role, content=content, tool_calls=tool_calls, tool_call_id=answers, **facts)


def make_call(call_id, asked, *answers, tools=(), dialect="openai.chat", response_id=None, extra=None, **facts):
    """A policy call that was asked with those messages and answered with those; text is the assistant's."""
    choices = tuple(
        Choice(message=said("assistant", one) if isinstance(one, str) else one, finish_reason="stop") for one in answers
    )
    call = ModelCall(
        model="policy", messages=tuple(asked), tools=tuple(tools), choices=choices, dialect=dialect,
        response_id=response_id, extra=extra or {},
    )  # fmt: skip
    facts = {"rollout_id": "ro-1", "attempt_id": "at-1", "started_at": 0, "latency": 0.1, **facts}
    return CallRecorded(call_id=call_id, call=call, **facts)


def make_trace(rollout_id, *calls, reward=1.0, task_id="ta-1", status="succeeded", exit_status="completed", **facts):
    """A finished trace with a primary reward, or none."""
    given = [] if reward is None else [make_reward(rollout_id, reward)]
    return Trace(
        rollout_id=rollout_id, attempt_id=f"at-{rollout_id}", task_id=task_id, status=status, exit_status=exit_status,
        calls=calls, rewards=tuple(TraceReward(id=f"ev-{at}", given=one) for at, one in enumerate(given)), **facts,
    )  # fmt: skip


def make_reward(rollout_id, value, **facts):
    """A reward of the agent's own."""
    target = Target(kind="rollout", id=rollout_id)
    return RewardGiven(rollout_id=rollout_id, target=target, value=value, judge="agent", **facts)


class Chat:
    """An agent that remembers what was said. Its calls go into a log that it may share with others."""

    def __init__(self, log, *, agent=None, system="You add.", tools=(), name="ca"):
        self.log, self.agent, self.tools, self.name = log, agent, tuple(tools), name
        self.history = [said("system", system)]

    def ask(self, message, *answers, echo=None, **facts):
        """Says it, remembers the first answer (or its `echo`), and logs the call."""
        self.history.append(said("user", message) if isinstance(message, str) else message)
        facts = {"agent": self.agent, "tools": self.tools, **facts}
        made = make_call(f"{self.name}-{len(self.log)}", self.history, *answers, **facts)
        self.log.append(made)
        self.history.append(echo or made.call.choices[0].message)
        return made


@pytest.fixture
def chat():
    """Agents that share a log: `chat(agent="writer")` is another one, `chat.log` what all of them did."""
    log = []

    def make(**facts):
        return Chat(log, **facts)

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


@pytest.fixture(scope="session")
def message():
    """`said`."""
    return said


@pytest.fixture(scope="session")
def search():
    """A tool."""
    return SEARCH
