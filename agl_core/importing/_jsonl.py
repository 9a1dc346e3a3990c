"""Chats in JSON lines, as OpenAI's fine-tuning has them: what to say (SFT), and which of two is better (DPO)."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from agl_core.errors import AglError
from agl_core.events import CallRecorded, RewardGiven, Target
from agl_core.importing._chat import Unfit, answered, asked, listed
from agl_core.importing._lines import bad, objects
from agl_core.importing._story import Making, Reading, Refused, Story, digest
from agl_core.record import Draft

__all__ = ["FORMAT", "read"]

FORMAT = "jsonl"
_BESIDE = frozenset({"messages", "input", "preferred_output", "non_preferred_output"})
_OUTPUTS = (("preferred_output", 1.0), ("non_preferred_output", 0.0))


def read(path: Path, *, run_id: str) -> Reading:
    """A story a line: each assistant message that is to be learnt from (`weight` is not 0) is a call.

    A number that is the line's `reward` is the rollout's.

    A line of preferences is two rollouts of one task, the better one with reward 1, the other with 0. Lines that are
    equal are as many rollouts, told apart by which of them it is.
    """
    seen: Counter[str] = Counter()
    for where, line in objects(path):
        if isinstance(line, Refused):
            yield line
            continue
        try:
            said = digest(line)
            seen[said] += 1
            yield Story(where=where, drafts=tuple(_told(line, f"{said}/{seen[said]}", run_id)), digest=said)
        except (Unfit, AglError) as error:
            yield bad(where, str(error))


def _told(line: Mapping[str, Any], id: str, run_id: str) -> Iterator[Draft]:
    if "messages" in line:
        messages = listed(line["messages"], "messages")
        beside = {name: value for name, value in line.items() if name not in _BESIDE}
        making = Making(FORMAT, id, run_id=run_id, digest=id.partition("/")[0])
        yield from _rollout(making, (), messages, beside, rewards=_stated(making, line.get("reward")))
        return
    if "input" not in line or not any(name in line for name, _ in _OUTPUTS):
        raise Unfit("it has neither messages (SFT) nor input and preferred_output (DPO)")
    given = line["input"]
    if not isinstance(given, dict):
        raise Unfit("input is no object: it holds messages, and tools if there are some")
    prompt = listed(given.get("messages"), "input.messages")
    beside = {name: value for name, value in given.items() if name not in _BESIDE}
    for repeat, (name, value) in enumerate(_OUTPUTS):
        making = Making(FORMAT, f"{id}/{name}", run_id=run_id, digest=id.partition("/")[0])
        messages = [*prompt, *listed(line.get(name), name)]
        reward = RewardGiven(
            rollout_id=making.rollout_id,
            attempt_id=making.attempt_id(),
            target=Target(kind="rollout", id=making.rollout_id),
            value=value,
            judge="preference",
            evidence={"as": name},
        )
        yield from _rollout(making, prompt, messages, beside, repeat=repeat, rewards=(reward,))


def _stated(making: Making, value: object) -> tuple[RewardGiven, ...]:
    """What a row of `agl export jsonl` earned; nothing where it does not say."""
    if value is None:
        return ()
    if isinstance(value, bool) or not isinstance(value, int | float) or not math.isfinite(value):
        raise Unfit(f"reward is {value!r}: it is a finite number")
    return (
        RewardGiven(
            rollout_id=making.rollout_id,
            attempt_id=making.attempt_id(),
            target=Target(kind="rollout", id=making.rollout_id),
            value=float(value),
            judge=FORMAT,
        ),
    )


def _rollout(
    making: Making,
    prompt: Sequence[Mapping[str, Any]],
    messages: Sequence[Mapping[str, Any]],
    beside: Mapping[str, Any],
    *,
    repeat: int = 0,
    rewards: Sequence[RewardGiven] = (),
) -> Iterator[Draft]:
    """A chat of which everything up to `prompt` was given, and the rest happened."""
    attempt_id = making.attempt_id()
    answers = [
        place
        for place, message in enumerate(messages)
        if place >= len(prompt) and message["role"] == "assistant" and message.get("weight") != 0
    ]
    if not answers:
        raise Unfit("no assistant message in it is to be learnt from")
    given = {"messages": list(messages[: answers[0]])}
    unanswered = messages[answers[-1] + 1 :]
    metadata = {"unanswered": list(unanswered)} if unanswered else {}
    yield making.enqueued(given, metadata=metadata, repeat=repeat)
    yield making.started(attempt_id)
    for place in answers:
        call = answered(asked(messages[:place], beside), messages[place])
        event = CallRecorded(
            call_id=making.call_id(attempt_id, str(place)),
            rollout_id=making.rollout_id,
            attempt_id=attempt_id,
            call=call,
            started_at=0,
            latency=0.0,
        )
        yield making.draft(event, f"call-{place}")
    for reward in rewards:
        yield making.draft(reward, f"reward-{reward.name}")
    yield making.ended(attempt_id)
    yield making.finished(attempt_id)
