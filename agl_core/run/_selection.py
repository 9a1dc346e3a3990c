"""Which calls a batch is made of: predicates on what a call says of itself."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace

from agl_core.adapter import Dropped, Trace
from agl_core.errors import BadValue
from agl_core.events import CallRecorded

__all__ = ["Kept", "Selection", "policy_calls"]

_COLUMNS = ("agent", "model")
"""Of the table `calls`; an `agent` that is empty is a call of no named agent."""
_NOT_HERE = {"role": "only calls whose role is policy become rows; say `--role NAME=policy`, or `roles=`, of a model"}


@dataclass(frozen=True, slots=True, kw_only=True)
class Kept:
    """What a predicate keeps of some calls."""

    predicate: str
    """`agent=writer`; of all together, with ` and ` between."""
    keeps: int
    of: int
    agents: Mapping[str, int]
    """Calls that it keeps, by the name of their agent; those of no named agent under the empty name."""

    @property
    def told(self) -> list[str]:
        """The agents, for people: `writer (3)`."""
        return [f"{name or 'no named agent'} ({count})" for name, count in self.agents.items()]


@dataclass(frozen=True, slots=True)
class Selection:
    """Every column that is named must fit; of one column, any of its values will do. Nothing named keeps all."""

    wanted: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def of(cls, given: Mapping[str, str | Sequence[str]] | None) -> Selection:
        """`{"agent": "writer"}`, or several values; raises `BadValue` for what calls have no column of."""
        if given is not None and not isinstance(given, Mapping):
            raise BadValue("select", given, why="it is a mapping, such as {'agent': 'writer'}")
        wanted = {}
        for column, values in (given or {}).items():
            if column not in _COLUMNS:
                why = _NOT_HERE.get(column, f"calls are selected by {' and '.join(_COLUMNS)}")
                raise BadValue("select", column, why=why)
            named = (values,) if isinstance(values, str) else tuple(values)
            if not named or not all(isinstance(value, str) for value in named):
                raise BadValue(f"select[{column!r}]", values, why="it is a word, or several")
            wanted[column] = tuple(dict.fromkeys(named))
        return cls(wanted)

    def __bool__(self) -> bool:
        return bool(self.wanted)

    def __str__(self) -> str:
        return " and ".join(_told(column, values) for column, values in self.wanted.items())

    def why_not(self, call: CallRecorded) -> str | None:
        """Why a call is left out: `other_agent`, or `not_selected`; nothing when it is kept."""
        if self.fits(call.agent, call.call.model):
            return None
        return "not_selected" if (call.agent or "") in self.wanted.get("agent", (call.agent or "",)) else "other_agent"

    def fits(self, agent: str | None, model: str) -> bool:
        """Whether a call of that agent to that model is kept."""
        return all(
            found in self.wanted.get(column, (found,)) for column, found in (("agent", agent or ""), ("model", model))
        )

    def parted(self, traces: Iterable[Trace]) -> tuple[list[Trace], list[Dropped]]:
        """The traces with the policy calls that are kept, and the others, each with why. Judges and tools stay."""
        kept: list[Trace] = []
        dropped: list[Dropped] = []
        for trace in traces:
            reasons = {call.call_id: self.why_not(call) for call in trace.calls if call.role == "policy"}
            dropped += [
                Dropped(call_id=call_id, rollout_id=trace.rollout_id, reason=reason)
                for call_id, reason in reasons.items()
                if reason
            ]
            kept.append(replace(trace, calls=tuple(call for call in trace.calls if not reasons.get(call.call_id))))
        return kept, dropped

    def counted(self, policy: Mapping[tuple[str | None, str], int]) -> list[Kept]:
        """For each predicate alone, and for all together when there are several, what it keeps.

        `policy` is how many policy calls there are of each agent and model.
        """
        alone = [Selection({column: (value,)}) for column, values in self.wanted.items() for value in values]
        return [one._kept(policy) for one in (alone if len(alone) == 1 else [*alone, self])]  # noqa: SLF001 - its kind

    def _kept(self, policy: Mapping[tuple[str | None, str], int]) -> Kept:
        agents: Counter[str] = Counter()
        for (agent, model), count in policy.items():
            if self.fits(agent, model):
                agents[agent or ""] += count
        return Kept(
            predicate=str(self) or "all",
            keeps=agents.total(),
            of=sum(policy.values()),
            agents=dict(sorted(agents.items())),
        )


def policy_calls(traces: Iterable[Trace]) -> Counter[tuple[str | None, str]]:
    """How many there are of each agent and model."""
    return Counter((call.agent, call.call.model) for trace in traces for call in trace.calls if call.role == "policy")


def _told(column: str, values: Sequence[str]) -> str:
    return f"{column}={' or '.join(values)}"
