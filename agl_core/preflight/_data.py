"""Data sets: readable, counted, without repeats, and none in two splits."""

from __future__ import annotations

from collections.abc import Iterator

from agl_core.datasets import overlaps, repeats
from agl_core.errors import AglError
from agl_core.preflight._check import Check, Finding, Given, told

__all__ = ["CHECKS"]

_SHOWN = 80


def _tasks(given: Given) -> Iterator[Finding]:
    if not given.tasks:
        yield Finding(status="skipped", what="no data set was named: --tasks FILE")
    splits = {}
    for split, path in given.tasks.items():
        try:
            splits[split] = tasks = given.read(path)
        except AglError as error:
            yield told(error, check="data")
            continue
        yield Finding(status="ok", what=f"{split}: {len(tasks)} task(s) in {path}")
        if repeated := list(repeats(tasks)):
            yield Finding(
                status="warn", code="TASKS_REPEATED",
                what=f"{split}: {len(repeated)} task(s) come more than once (one is {repeated[0][:_SHOWN]})",
                cure="take the repeats out, unless they are to weigh more",
            )  # fmt: skip
    if len(splits) > 1:
        shared = [told(error, check="data") for error in overlaps(splits)]
        yield from shared or [Finding(status="ok", what=f"{' and '.join(splits)} share no task")]


CHECKS = (Check(name="data", look=_tasks),)
