"""Rollouts at random: several agents that take turns, and what goes wrong goes wrong."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, cast

from hypothesis import strategies as st

from agl_core.adapter import Trace, TraceReward
from agl_core.events import (
    CallRecorded,
    Choice,
    Message,
    ModelCall,
    RewardGiven,
    Sampling,
    SpanRecorded,
    Target,
)

__all__ = ["traces"]


def traces(*, max_rollouts: int = 4, max_calls: int = 9) -> st.SearchStrategy[list[Trace]]:
    """Batches of rollouts in which several agents take turns, and what goes wrong goes wrong.

    Calls mostly continue what their agent said before, token by token; now and then a history comes back in other
    tokens, cut, edited, or asked once more. Some calls fail, have several answers or none, or are a judge's; some
    rollouts are masked, or unscored. Spans have lost parents, and circles of them.
    """
    moves = st.lists(st.builds(_Move, *_MOVE), min_size=2, max_size=max_calls)
    rollouts = st.lists(st.tuples(moves, *_ROLLOUT), max_size=max_rollouts)
    return rollouts.map(lambda told: [_trace(number, *one) for number, one in enumerate(told)])


_ROLES = {"system": 1, "user": 2, "assistant": 3}
_END = 4
_AGENTS = ("parent", "sub", "sub", None)
"""Of each conversation of a rollout: two have one name and one set of instructions, so that their prompts are equal."""

_WORDS = st.text("ab", min_size=1, max_size=3)
_FINE: Mapping[str, Any] = {}
_FAULTS: Sequence[Mapping[str, Any]] = (
    {"status": "error", "error": "nobody answered", "choices": ()},
    {"status": "broken"},
    {"choices": ()},
    {"role": "judge"},
    {"role": "tool"},
    {"provenance": "absent", "prompt_token_ids": (), "logprobs": None, "token_ids": None},
    {"provenance": "retokenised"},
    {"logprobs": None},
    {"logprobs": (-1.0,)},
    {"temperature": 0.5},
    {"temperature": 0.0},
    {"top_p": 0.5},
    {"policy_version": None},
)
_MOVE: tuple[st.SearchStrategy[Any], ...] = (
    st.sampled_from([0, 0, 0, 1, 1, 2, 3]),
    st.sampled_from(["go on"] * 9 + ["retokenised", "cut", "edited", "again", "afresh"]),
    _WORDS,
    st.lists(_WORDS, min_size=1, max_size=2) | st.lists(_WORDS | st.just(""), min_size=1, max_size=3),
    st.sampled_from([_FINE] * 3 * len(_FAULTS) + list(_FAULTS)),
)
_ENDS = [("succeeded", "completed")] * 6 + [("failed", "timeout"), ("failed", "worker_lost"), ("cancelled", None)]
_VALUES = st.floats(-1, 1, width=32)
_OTHERS = st.tuples(st.sampled_from(["rollout", "agent", "call"]), st.sampled_from(["primary", "style"]), _VALUES)
_ROLLOUT: tuple[st.SearchStrategy[Any], ...] = (
    st.sampled_from(["ta-a", "ta-b"]),
    st.sampled_from(_ENDS),
    st.lists(st.tuples(st.just("rollout"), st.just("primary"), _VALUES), min_size=1, max_size=2) | st.lists(_OTHERS),
    st.lists(st.none() | st.integers(0, 3), max_size=3),
)


@dataclass(frozen=True, slots=True)
class _Move:
    """One call: whose, after what was done to its history, what is asked, what is answered, and what goes wrong."""

    who: int
    first: str
    asked: str
    answers: Sequence[str]
    fault: Mapping[str, Any]


@dataclass(slots=True)
class _Talk:
    """A conversation: its messages, and the tokens of each."""

    said: list[tuple[Message, tuple[int, ...]]] = field(default_factory=list)

    def add(self, role: str, text: str) -> None:
        self.said.append((Message(role=role, content=text), (_ROLES[role], *map(ord, text), _END)))

    def change(self, how: str) -> None:
        """What agents, and templates, do to a history before they go on."""
        answers = [place for place, (message, _) in enumerate(self.said) if message.role == "assistant"]
        if how == "afresh":
            del self.said[1:]
        elif how == "again":
            del self.said[-2:]
        elif answers and how == "cut":
            del self.said[1 : answers[0] + 1]
        elif answers and how == "edited":
            self.said[answers[-1]] = (Message(role="assistant", content="cc"), (_ROLES["assistant"], 99, 99, _END))
        elif answers and how == "retokenised":
            message, (role, *tokens) = self.said[answers[0]]
            self.said[answers[0]] = message, (role, 999, *tokens)


def _trace(
    number: int,
    moves: Sequence[_Move],
    task_id: str,
    end: tuple[str, str | None],
    rewards: Sequence[tuple[str, str, float]],
    parents: Sequence[int | None],
) -> Trace:
    rollout_id = f"ro-{number}"
    attempt_id = f"at-{number}"
    talks: dict[int, _Talk] = {}
    calls = [_call(rollout_id, attempt_id, place, move, talks) for place, move in enumerate(moves)]
    targets = {"rollout": rollout_id, "agent": "sub", "call": f"{rollout_id}/ca-0"}
    given = [
        RewardGiven(
            rollout_id=rollout_id,
            target=Target(kind=cast("Any", kind), id=targets[kind]),
            value=value,
            name=name,
            judge="agent",
        )
        for kind, name, value in rewards
    ]
    spans = [
        SpanRecorded(
            rollout_id=rollout_id,
            attempt_id=attempt_id,
            span_id=f"sp-{place}",
            parent_id=None if parent is None else f"sp-{parent}",
            name="agent",
            started_at=place,
            ended_at=place + 1,
        )
        for place, parent in enumerate(parents)
    ]
    return Trace(
        rollout_id=rollout_id,
        attempt_id=attempt_id,
        task_id=task_id,
        status=end[0],
        exit_status=end[1],
        run_id="run-1",
        group="run-1/train/1",
        repeat=number,
        calls=tuple(calls),
        spans=tuple(spans),
        rewards=tuple(TraceReward(id=f"{rollout_id}/ev-{place}", given=one) for place, one in enumerate(given)),
    )


def _call(rollout_id: str, attempt_id: str, place: int, move: _Move, talks: dict[int, _Talk]) -> CallRecorded:
    agent = _AGENTS[move.who]
    talk = talks.get(move.who)
    if talk is None:
        talk = talks[move.who] = _Talk()
        talk.add("system", agent or "")
    talk.change(move.first)
    talk.add("user", move.asked)
    fault = move.fault
    prompt = (*chain.from_iterable(tokens for _, tokens in talk.said), _ROLES["assistant"])
    call = ModelCall(
        model="policy",
        messages=tuple(message for message, _ in talk.said),
        sampling=Sampling(temperature=fault.get("temperature", 1.0), top_p=fault.get("top_p")),
        choices=fault.get("choices", tuple(_choice(text, fault) for text in move.answers)),
        prompt_token_ids=fault.get("prompt_token_ids", prompt),
        provenance=fault.get("provenance", "engine"),
        logprobs_mode="processed",
    )
    talk.add("assistant", move.answers[0])
    return CallRecorded(
        call_id=f"{rollout_id}/ca-{place}",
        rollout_id=rollout_id,
        attempt_id=attempt_id,
        call=call,
        role=fault.get("role", "policy"),
        agent=agent,
        status=fault.get("status", "ok"),
        error=fault.get("error"),
        policy_version=fault.get("policy_version", place // 3),
        started_at=place,
        latency=0.1,
    )


def _choice(text: str, fault: Mapping[str, Any]) -> Choice:
    # An empty answer that was not even ended, so that there are some of which nothing was sampled.
    tokens = (*map(ord, text), _END) if text else ()
    logprobs = tuple(-0.5 - place for place in range(len(tokens)))
    return Choice(
        message=Message(role="assistant", content=text),
        token_ids=tokens if fault.get("token_ids", tokens) is not None else (),
        logprobs=fault.get("logprobs", logprobs) or (),
    )
