"""Critique without a run: candidates from rollouts of another log, with what made them; none of them is tried."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import TYPE_CHECKING

from agl_apo._candidate import BASE, Candidate, base_in
from agl_apo._costs import Purse
from agl_apo._draws import batches
from agl_apo._logged import Found, Logged, Runs
from agl_apo._nursery import Nursery
from agl_apo._scores import Scoreboard
from agl_apo._transcripts import told
from agl_core.errors import BadValue
from agl_core.run import Plan, Planned

if TYPE_CHECKING:
    from agl_apo._config import ApoConfig
    from agl_core.run import Run

__all__ = ["offline", "offline_plan"]


async def offline(run: Run, config: ApoConfig) -> None:
    """The first round of the search, on what a log has of a prompt: criticise, edit and publish. No agent runs.

    Nothing is compared, and so nothing is promoted: what was published is for somebody to look at, or to search from.
    """
    url = str(config.from_log)
    if splits := [name for name, size in (("train", run.train), ("val", run.val), ("test", run.test_size)) if size]:
        why = f"there are tasks of {', '.join(splits)} too, and nobody does them: learn from a log, or from tasks"
        raise BadValue("from_log", url, why=why)
    hand, logged = run.scope("apo"), Logged(config, run.other_log)
    found = Found(**await hand.step("read", logged.look, url))
    branches = config.beam_width * config.branch_factor
    order = hand.rng("tasks").sample(range(found.tasks), found.tasks)
    shown = logged.show(url, found, order, most=branches * config.gradient_batch_size)

    base = await base_in(hand, found.prompts, why=f"{found.version} of {url}")
    board = Scoreboard(hand)
    nursery = Nursery(hand, config, base, board, Purse(hand, board))
    nursery.check_models()
    drawn = batches(list(shown.tasks.values()), config.gradient_batch_size, hand.rng("train"))
    texts = [partial(_texts, next(drawn), longest=config.longest_transcript) for _ in range(branches)]
    grown = await nursery.grow(1, [(base, one) for one in texts])

    born = [candidate for candidate in grown if candidate is not None]
    run.result |= {
        "version": found.version,
        "rollouts": found.rollouts,
        "shown": sum(map(len, shown.tasks.values())),
        "left_out": {**({"other_prompts": found.others} if found.others else {}), **shown.left_out},
        **nursery.told,
        "published": {one.name: f"{one.bundle.resources_id}@{one.bundle.version}" for one in born},
        "verdict": _verdict(born),
    }


def offline_plan(config: ApoConfig) -> Plan:
    """What that takes: questions alone."""
    branches = config.beam_width * config.branch_factor
    asked = config.tries * branches
    return Plan(
        lines=(
            Planned(what="critiques of logged rollouts", questions=(branches, asked)),
            Planned(what="edits", questions=(0, asked)),
        )
    )


def _texts(tasks: Sequence[Runs], form: str, *, longest: int) -> list[str]:
    """Each rollout of these tasks, in that form."""
    return [told(trace, outcome, form=form, longest=longest) for runs in tasks for trace, outcome in runs]


def _verdict(born: Sequence[Candidate]) -> str:
    if not born:
        return "no candidate: no critique and edit came to a new prompt"
    return f"not evaluated: {len(born)} candidate(s) come from {BASE}, and no agent was run to compare them"
