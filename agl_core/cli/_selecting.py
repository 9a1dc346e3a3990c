"""`--select`: which calls are learnt from, counted before a run and after it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from agl_core.errors import BadValue, SelectsNothing

if TYPE_CHECKING:
    from agl_core.run import Kept

__all__ = ["kept_of", "named_selection", "refuse_nothing"]

_COUNTED = """
select c.agent, c.model, count(*)
from calls c join rollouts r using (rollout_id)
where c.role = 'policy' and r.hidden = 0 and (? is null or r.run_id = ?)
group by c.agent, c.model
"""


def named_selection(given: Sequence[str]) -> dict[str, tuple[str, ...]]:
    """`COLUMN=VALUE`, any number; values of one column are alternatives."""
    found: dict[str, tuple[str, ...]] = {}
    for text in given:
        column, equals, value = text.partition("=")
        if not equals or not column:
            raise BadValue("--select", text, why="write it as agent=NAME, or model=NAME")
        found[column] = (*found.get(column, ()), value)
    return found


def kept_of(log_path: str, select: Sequence[str], *, run_id: str | None = None) -> list[Kept]:
    """The policy calls of a log, or of a run of it: all that there are, then what each selector keeps."""
    from agl_core.cli._logs import open_log
    from agl_core.run import Selection

    selection = Selection.of(named_selection(select))
    with open_log(log_path) as log:
        policy = {(agent, model): count for agent, model, count in log.rows(_COUNTED, (run_id, run_id))}
    return [*Selection().counted(policy), *(selection.counted(policy) if selection else ())]


def refuse_nothing(kept: Sequence[Kept]) -> None:
    """Raise `SelectsNothing` for the first selector that keeps no call; the first of `kept` are all that there are."""
    for one in kept:
        if not one.keeps:
            raise SelectsNothing(one.predicate, of=one.of, agents=kept[0].told)
