"""How an attempt ended: with which reward, and in which way; and where two ends differ."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from agl_core.events import AttemptExpired, AttemptFinished, Message
from agl_core.replay._recording import Recording

__all__ = ["Ending", "ending"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Ending:
    """Of one attempt."""

    exit_status: str | None
    """None while it is under way."""
    error: str | None
    rewards: tuple[tuple[str, float], ...]
    """Name to value, of all that the agent gave itself, in the order of their names."""
    messages: tuple[Message, ...] = ()
    """What was said in the last call of it, the answer among it."""

    @property
    def reward(self) -> float | None:
        """The last of those that train."""
        return next((value for name, value in reversed(self.rewards) if name == "primary"), None)

    def differs(self, now: Ending) -> dict[str, Any]:
        """What of `now` is otherwise."""
        found: dict[str, Any] = {}
        if self.rewards != now.rewards:
            found["reward"] = {"then": _named(self.rewards), "now": _named(now.rewards)}
        if _end(self.exit_status) != _end(now.exit_status):
            found["exit_status"] = {"then": self.exit_status, "now": now.exit_status}
        elif _kind(self.error) != _kind(now.error):
            found["error"] = {"then": self.error, "now": now.error}
        return found


def ending(recording: Recording) -> Ending:
    """How it ended, as far as that is recorded."""
    ended = recording.ended
    last = recording.tape.calls[-1].call.call if recording.tape.calls else None
    said = (*last.messages, *(choice.message for choice in last.choices[:1])) if last else ()
    return Ending(
        exit_status=ended.exit_status if ended else None,
        error=ended.error
        if isinstance(ended, AttemptFinished)
        else ended.why
        if isinstance(ended, AttemptExpired)
        else None,
        rewards=tuple(sorted(((one.name, one.value) for one in recording.rewards), key=lambda pair: pair[0])),
        messages=said,
    )


def _end(exit_status: str | None) -> str | None:
    """Whose time was up in the end, the model's or the agent's, a replay cannot tell: no model takes any."""
    return "timeout" if exit_status == "stalled" else exit_status


def _named(rewards: tuple[tuple[str, float], ...]) -> dict[str, Any]:
    """Name to value; to all of them, where one name was given several."""
    found: dict[str, list[float]] = {}
    for name, value in rewards:
        found.setdefault(name, []).append(value)
    return {name: values[0] if len(values) == 1 else values for name, values in found.items()}


def _kind(error: str | None) -> str | None:
    """What was raised; its words may tell of times, and of places in memory."""
    return error.partition(":")[0] if error is not None else None
