"""A rollout that is to be done again, as its log has it: its task, what it was given, and which weights spoke."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from agl_core.engine import Checkpoint
from agl_core.errors import CheckpointForeign, NotReplayable
from agl_core.events import Component, RunStarted
from agl_core.log import SqliteLog
from agl_core.resources import NamedResources
from agl_core.run import describe
from agl_core.store import Queries, Rollout

__all__ = ["Original", "Spoke", "agent_of", "original"]

_VERSIONS = """
select model, policy_version from calls
where rollout_id = ? and role = 'policy' and policy_version is not null
order by position
"""
_SERVED = "select version, checkpoint from policies where run_id = ? and policy = ?"
_COUNTS = "select count(*), coalesce(sum(prompt_tokens + completion_tokens), 0) from calls where rollout_id = ?"


@dataclass(frozen=True, slots=True, kw_only=True)
class Spoke:
    """Weights that a policy spoke with."""

    policy: str
    version: int
    """As its run numbers them; 0 is what that began with."""
    checkpoint: Checkpoint | None = None
    """None of what the run began with, and of what is not kept."""
    why: str = ""
    """They cannot be had again, where that is so."""

    @property
    def name(self) -> str:
        """`policy@version`."""
        return f"{self.policy}@{self.version}"


@dataclass(frozen=True, slots=True, kw_only=True)
class Original:
    """What the log says of it."""

    source: str
    """Address of the log."""
    artefacts: Path
    """The folder beside it."""
    rollout: Rollout
    reward: float | None
    calls: int
    tokens: int
    resources: NamedResources
    started: RunStarted | None
    """How its run began, where it is of one."""
    spoke: tuple[Spoke, ...] = ()
    """Of each policy that was trained, those that spoke last in it."""

    @property
    def rollout_id(self) -> str:
        """Its id."""
        return self.rollout.rollout_id

    @property
    def is_redacted(self) -> bool:
        """Whether its task has something in it that was not kept."""
        return "[REDACTED:" in str(self.rollout.input)


def original(log: SqliteLog, rollout_id: str) -> Original:
    """The rollout of that id."""
    ask = Queries(log)
    rollout = ask.rollout(rollout_id)
    bundle = ask.resources(rollout.resources_id, rollout.resources_version) if rollout.resources_id else None
    record = log.get(rollout.run_id) if rollout.run_id else None
    calls, tokens = log.rows(_COUNTS, (rollout_id,))[0]
    return Original(
        source=log.url,
        artefacts=log.artefacts,
        rollout=rollout,
        reward=ask.outcomes([rollout_id], {rollout_id: None})[0].reward,
        calls=calls,
        tokens=tokens,
        resources=bundle.resources if bundle else {},
        started=record.event if record and isinstance(record.event, RunStarted) else None,
        spoke=tuple(_spoke(log, rollout)),
    )


def agent_of(found: Original) -> str:
    """Where the code is that ran then: `module:name`; raises `NotReplayable` where that is not known."""
    component = found.started.agent if found.started else Component(name="")
    if component.name and component.importable:
        return component.name
    why = f"its agent {component.name} cannot be imported again ({component.why})" if component.name else _NAMELESS
    raise NotReplayable(found.rollout_id, why=why, cure="Name the agent with `--agent MODULE:AGENT`")


_NAMELESS = "it is of no run, so that nothing says which agent ran"


def _spoke(log: SqliteLog, rollout: Rollout) -> Iterator[Spoke]:
    last: dict[str, int] = dict(log.rows(_VERSIONS, (rollout.rollout_id,)))
    for policy, version in last.items():
        served: dict[int, str] = dict(log.rows(_SERVED, (rollout.run_id, policy)))
        if not served:
            continue  # nobody trained it: it speaks as its server has it
        if version not in served:
            yield Spoke(policy=policy, version=version, why="" if version == 0 else "the log does not name them")
            continue
        folder = log.artefacts / "checkpoints" / served[version].removeprefix("b2:")
        if not folder.is_dir():
            yield Spoke(policy=policy, version=version, why="their files were not kept")
            continue
        yield Spoke(policy=policy, version=version, checkpoint=_whole(folder, served[version]))


def _whole(folder: Path, digest: str) -> Checkpoint:
    """The checkpoint that lies there; raises `CheckpointForeign` where its bytes are others."""
    found = describe(folder)
    if found.digest != digest:
        raise CheckpointForeign(str(folder), file="a file that its manifest lists")
    return found
