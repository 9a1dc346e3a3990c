"""What a query may name: a view for each table of the log, for promotions and for costs, with times as timestamps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from agl_core.run import SPENDING
from agl_core.store import REWARD

__all__ = ["VIEWS", "Column", "View"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """A column of a view."""

    name: str
    type: str
    """As DuckDB calls it: BIGINT, DOUBLE, VARCHAR, BOOLEAN, TIMESTAMP (UTC) or JSON."""
    source: str
    """The SQLite expression it is read with; nanoseconds of a TIMESTAMP."""


@dataclass(frozen=True, slots=True, kw_only=True)
class View:
    """A table as a query sees it."""

    name: str
    about: str
    columns: tuple[Column, ...]
    source: str
    """What follows SQLite's `from`."""


def _view(name: str, about: str, columns: str, *, source: str = "") -> View:
    """`columns` has one a line: its name, its type, and the expression when that is not its name."""
    parts = [line.split(maxsplit=2) for line in columns.strip().splitlines()]
    return View(
        name=name,
        about=about,
        columns=tuple(Column(name=part[0], type=part[1], source=part[2] if part[2:] else part[0]) for part in parts),
        source=source or name,
    )


_ALL = (
    _view(
        "events",
        "Every fact, in order. `data` is its JSON; what is big in it (messages, token ids) is a reference to a blob.",
        """
        position BIGINT
        id VARCHAR
        stream VARCHAR
        version BIGINT
        type VARCHAR
        schema BIGINT
        data JSON
        key VARCHAR
        causation_id VARCHAR
        correlation_id VARCHAR
        actor VARCHAR
        occurred_at TIMESTAMP
        recorded_at TIMESTAMP
        """,
    ),
    _view(
        "runs",
        "Each run, and where it stands.",
        """
        run_id VARCHAR
        position BIGINT
        agent VARCHAR
        algorithm VARCHAR
        seed BIGINT
        status VARCHAR
        why VARCHAR
        resumed BIGINT
        result JSON
        started_at TIMESTAMP
        ended_at TIMESTAMP
        """,
    ),
    _view(
        "metrics",
        "The numbers a run logged, one a row.",
        """
        run_id VARCHAR
        step BIGINT
        name VARCHAR
        value DOUBLE
        """,
    ),
    _view(
        "batches",
        "Training batches: captured = kept + the sum of `dropped`, which maps reason to number of calls.",
        """
        batch_id VARCHAR
        position BIGINT
        run_id VARCHAR
        adapter VARCHAR
        rollouts BIGINT
        captured BIGINT
        kept BIGINT
        rows BIGINT
        dropped JSON
        masked JSON
        """,
    ),
    _view(
        "policies",
        "From which position on a policy spoke with which weights.",
        """
        position BIGINT
        run_id VARCHAR
        policy VARCHAR
        version BIGINT
        checkpoint VARCHAR
        """,
    ),
    _view(
        "checkpoints",
        "Weights that were written to disk.",
        """
        position BIGINT
        run_id VARCHAR
        checkpoint_id VARCHAR
        digest VARCHAR
        bytes BIGINT
        """,
    ),
    _view(
        "rollouts",
        "Tasks that were handed out. `reward` is the last primary one of the attempt that counts, or null.",
        f"""
        rollout_id VARCHAR
        position BIGINT
        run_id VARCHAR
        task_id VARCHAR
        group_id VARCHAR grp
        repeat BIGINT
        mode VARCHAR
        status VARCHAR
        exit_status VARCHAR
        reward DOUBLE {REWARD}
        resources_id VARCHAR
        resources_version BIGINT
        attempt_id VARCHAR
        attempts BIGINT
        parent VARCHAR
        config JSON
        metadata JSON
        hidden BOOLEAN
        enqueued_at TIMESTAMP
        finished_at TIMESTAMP
        """,
        source="rollouts r",
    ),
    _view(
        "attempts",
        "Each try at a rollout.",
        """
        attempt_id VARCHAR
        rollout_id VARCHAR
        sequence BIGINT
        worker_id VARCHAR
        status VARCHAR
        exit_status VARCHAR
        error VARCHAR
        started_at TIMESTAMP
        ended_at TIMESTAMP
        """,
    ),
    _view(
        "calls",
        "Model calls.",
        """
        call_id VARCHAR
        position BIGINT
        rollout_id VARCHAR
        attempt_id VARCHAR
        agent VARCHAR
        parent_call_id VARCHAR (select json_extract(data, '$.parent_call_id') from events where position = c.position)
        model VARCHAR
        role VARCHAR
        status VARCHAR
        error VARCHAR
        policy_version BIGINT
        prompt_tokens BIGINT
        completion_tokens BIGINT
        started_at TIMESTAMP
        latency_seconds DOUBLE latency
        """,
        source="calls c",
    ),
    _view(
        "spending",
        "What a run asked of a model in a role, and what it came to. `requests` left the gateway, its own tries among"
        " them: what a budget counts. `usd` is by the prices that the run was told last, null without one.",
        """
        run_id VARCHAR
        model VARCHAR
        role VARCHAR
        calls BIGINT
        failed BIGINT
        requests BIGINT
        prompt_tokens BIGINT
        completion_tokens BIGINT
        usd DOUBLE
        """,
        source=f"{SPENDING} s",
    ),
    _view(
        "spans",
        "Pieces of an agent's work, as they nest; `attributes` as they came.",
        """
        span_id VARCHAR
        position BIGINT
        rollout_id VARCHAR
        attempt_id VARCHAR
        trace_id VARCHAR
        parent_id VARCHAR
        sequence_id BIGINT
        agent VARCHAR
        name VARCHAR
        kind VARCHAR
        status VARCHAR
        attributes JSON (select json_extract(data, '$.attributes') from events where events.position = s.position)
        started_at TIMESTAMP
        ended_at TIMESTAMP
        """,
        source="spans s",
    ),
    _view(
        "rewards",
        "What judges gave, withdrawn ones among them.",
        """
        reward_id VARCHAR id
        position BIGINT
        rollout_id VARCHAR
        attempt_id VARCHAR
        target_kind VARCHAR
        target_id VARCHAR
        name VARCHAR
        value DOUBLE
        judge VARCHAR
        withdrawn BOOLEAN
        """,
    ),
    _view(
        "resources",
        "Versions of what agents are given; `data` maps name to resource, `parent` is `id@version`.",
        """
        resources_id VARCHAR
        version BIGINT
        position BIGINT
        run_id VARCHAR
        parent VARCHAR
        why VARCHAR
        data JSON
        created_at TIMESTAMP
        """,
    ),
    _view(
        "promotions",
        "Versions that were declared the best, by a run or by somebody; the last of a run, or of all, counts.",
        """
        position BIGINT
        resources_id VARCHAR json_extract(data, '$.resources_id')
        version BIGINT json_extract(data, '$.version')
        run_id VARCHAR json_extract(data, '$.run_id')
        why VARCHAR json_extract(data, '$.why')
        who VARCHAR coalesce(nullif(json_extract(data, '$.by'), ''), actor)
        promoted_at TIMESTAMP recorded_at
        """,
        source="events where type = 'resources.promoted' order by position",
    ),
    _view(
        "workers",
        "Who took rollouts.",
        """
        worker_id VARCHAR
        host VARCHAR
        pid BIGINT
        joined_at TIMESTAMP
        left_at TIMESTAMP
        """,
    ),
)

VIEWS: Mapping[str, View] = {view.name: view for view in _ALL}
"""By name."""
