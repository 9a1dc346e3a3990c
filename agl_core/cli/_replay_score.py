"""`agl replay RUN|ROLLOUT --mode score`: judges over what was said; nobody is run, and the policy is not asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import click

if TYPE_CHECKING:
    from agl_core.judges import Seat
    from agl_core.plugins import Plugins

__all__ = ["score"]

PARTIAL = 3
_ELSEWHERE = {
    "into": "--into: what judges give are facts of the log that they read",
    "adapter": "--adapter: rows are made with --mode project",
    "credit": "--credit: rows are made with --mode project",
    "agent": "--agent: no agent is run",
    "ignore": "--ignore: nothing is asked anew, and there is nothing to compare",
    "strict": "--strict: nothing is asked anew, and there is nothing to compare",
    "tools": "--tool: no agent is run",
    "allow_network": "--allow-network: no agent is run",
    "stepwise": "--step: no agent is run",
    "models": "--model: a judge says itself whom it asks, as in --judge llm:model=URL",
}
"""Options of the other modes, and why there is nothing for them to do."""
_NOT_THEN = (
    "--at: a reward that is given today is a fact of today, whatever it is about, and would change what was said by "
    "then; --mode project --at reads the rewards that there were"
)


def score(
    *,
    target: str,
    at: int | None,
    judges: Sequence[str],
    sets: Sequence[str],
    log_path: str | None,
    quiet: bool,
    as_json: bool,
    **others: Any,
) -> None:
    """Have each judge look at the rollout, or at those of the run, as `agl judge` does; say what came of it."""
    from agl_core.cli._judged import judged
    from agl_core.cli._tables import print_json
    from agl_core.plugins import Plugins

    _refuse(at, others)
    if not judges:
        raise click.UsageError("--mode score: say who judges, with --judge NAME[:OPTIONS]")
    plugins = Plugins.load()
    found = [judged(plugins, seat, [target], log_path=log_path, quiet=quiet) for seat in _seats(plugins, judges, sets)]
    if as_json:
        documents = [verdicts.to_json() for verdicts in found]
        print_json(documents[0] if len(documents) == 1 else {"judges": documents})
    else:
        for number, verdicts in enumerate(found):
            if number:
                click.echo()
            verdicts.show()
    codes = {verdicts.exit_code for verdicts in found}
    sys.exit(codes.pop() if len(codes) == 1 else PARTIAL)


def _refuse(at: int | None, others: dict[str, Any]) -> None:
    """What is said to another mode would else be heard by nobody."""
    wrong = [why for name, why in _ELSEWHERE.items() if others.get(name)] + ([_NOT_THEN] if at is not None else [])
    if wrong:
        raise click.UsageError(f"--mode score goes without {wrong[0]}")


def _seats(plugins: Plugins, judges: Sequence[str], sets: Sequence[str]) -> list[Seat]:
    """All of them, before the first one judges. What one gives is called as the judge, unless `as` says otherwise."""
    from agl_core.cli._configs import configured
    from agl_core.cli._named_components import judge_class, named_judges
    from agl_core.trainer import seats_of

    specs = named_judges(judges)
    if sets and len(specs) > 1:
        raise click.UsageError("--set: of several judges each is told in its own --judge NAME:KEY=VALUE")
    told = []
    for spec in specs:
        kind = judge_class(plugins, spec["name"])
        options = {name: value for name, value in spec.items() if name not in {"name", "as"}}
        options = configured(kind, spec["name"], file=options, sets=sets, options={})
        dimension = spec.get("as", getattr(kind, "name", spec["name"]))
        told.append({"name": spec["name"], "as": dimension, **options})
    return seats_of(plugins, told)
