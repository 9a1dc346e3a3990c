"""Bytes on the disk: a turn of a chat of a hundred turns, and a call of a GRPO batch, beside the same as plain JSON.

A chat sends its whole history, and the ids of all its tokens, with each turn. A batch is 16 tasks of 8 samples each, in
rollouts of 3 calls: all samples of a task begin with the same prompt of 600 ids. What is measured is the closed file:
facts, blobs, indexes, tables and seals. Plain JSON is a line a call, with nothing around it.
"""

from __future__ import annotations

import random
import tempfile
from collections.abc import Iterable, Iterator
from functools import partial
from pathlib import Path

import msgspec

from agl_core.events import CallRecorded, Choice, Message, ModelCall
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.record import Draft
from bench._harness import Comparison, Figures, Options, Report, interleaved

TURNS, TASKS, SAMPLES, CALLS = 100, 16, 8, 3
_EARLY, _LATE = "ours, first half", "ours, second half"
_OURS, _PLAIN = "ours", "plain JSON"
_WORDS = ("tray", "roll", "baker", "apple", "train", "station", "hour", "mile", "price", "basket", "seven", "many")


def run(options: Options) -> Report:
    """A chat grows with its length; a group costs little more than its samples."""
    chat = list(_chat(TURNS))
    batch = list(_batch())
    half = TURNS // 2
    turns = interleaved(
        "storage, a chat",
        {
            _EARLY: lambda: {"bytes/turn": _kept(chat[:half]) / half},
            _LATE: lambda: {"bytes/turn": (_kept(chat) - _kept(chat[:half])) / half},
            f"{_PLAIN}, first half": lambda: {"bytes/turn": _plain(chat[:half]) / half},
            f"{_PLAIN}, second half": lambda: {"bytes/turn": (_plain(chat) - _plain(chat[:half])) / half},
        },
        rounds=options.rounds_or(1),
        warm=False,
    )
    calls = interleaved(
        "storage, a batch",
        {_OURS: partial(_each, _kept, batch), _PLAIN: partial(_each, _plain, batch)},
        rounds=options.rounds_or(1),
        warm=False,
    )
    growth = Comparison(of=_LATE, over=_EARLY)
    saved = Comparison(of=f"{_PLAIN}, second half", over=_LATE)
    return Report.of(
        (turns, [turns.measure(f"a chat of {TURNS} turns", "bytes/turn", growth, saved)]),
        (calls, [calls.measure("a GRPO batch", "bytes/call", Comparison(of=_PLAIN, over=_OURS))]),
    )


def _each(size: object, calls: list[CallRecorded]) -> Figures:
    assert callable(size)
    return {"bytes/call": size(calls) / len(calls)}


def _kept(calls: Iterable[CallRecorded]) -> float:
    with tempfile.TemporaryDirectory(prefix="agl-bench-") as folder:
        path = Path(folder, "log.db")
        SqliteLog(path, projections=CORE).close()
        empty = path.stat().st_size
        with SqliteLog(path, projections=CORE) as log:
            for call in calls:
                log.append([Draft(stream=f"rollout/{call.rollout_id}", event=call, key=f"call/{call.call_id}")])
        return path.stat().st_size - empty


def _plain(calls: Iterable[CallRecorded]) -> float:
    return sum(len(msgspec.json.encode(call)) + 1 for call in calls)


def _chat(turns: int) -> Iterator[CallRecorded]:
    chance = random.Random(1)
    history: tuple[Message, ...] = ()
    ids: tuple[int, ...] = ()
    for turn in range(turns):
        history, ids = (*history, _message(chance, "user", 40)), (*ids, *_ids(chance, 60))
        answer, sampled = _message(chance, "assistant", 40), _ids(chance, 60)
        yield _call(f"ca-{turn}", "ro-1", history, ids, answer, sampled)
        history, ids = (*history, answer), (*ids, *sampled)


def _batch() -> Iterator[CallRecorded]:
    chance = random.Random(2)
    system = _message(chance, "system", 120)
    for task in range(TASKS):
        question, prompt = _message(chance, "user", 60), _ids(chance, 600)
        for sample in range(SAMPLES):
            history, ids = (system, question), prompt
            for number in range(CALLS):
                answer, sampled = _message(chance, "assistant", 40), _ids(chance, 64)
                yield _call(f"ca-{task}-{sample}-{number}", f"ro-{task}-{sample}", history, ids, answer, sampled)
                history = (*history, answer, _message(chance, "tool", 10))
                ids = (*ids, *sampled, *_ids(chance, 20))


def _call(
    id_: str,
    rollout_id: str,
    history: tuple[Message, ...],
    ids: tuple[int, ...],
    answer: Message,
    sampled: tuple[int, ...],
) -> CallRecorded:
    choice = Choice(
        message=answer, finish_reason="stop", token_ids=sampled, logprobs=tuple(-1 / one for one in sampled)
    )
    call = ModelCall(model="policy", messages=history, prompt_token_ids=ids, choices=(choice,), provenance="engine")
    return CallRecorded(call_id=id_, rollout_id=rollout_id, attempt_id="at-1", call=call, started_at=0, latency=0.5)


def _message(chance: random.Random, role: str, words: int) -> Message:
    return Message(role=role, content=" ".join(chance.choices(_WORDS, k=words)))


def _ids(chance: random.Random, count: int) -> tuple[int, ...]:
    return tuple(chance.randrange(1, 32_000) for _ in range(count))
