"""One call of one function, as the Berkeley Function-Calling Leaderboard asks for it and lists the right answers."""

from __future__ import annotations

import ast
import json
import random
import re
import warnings
from collections.abc import Iterator, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

import agl_core as agl
from agl_core.errors import MissingExtra
from examples.learning.asking import said
from examples.learning.splits import Split, split_of

__all__ = ["EXAMPLE", "function_agent", "score", "tasks"]

EXAMPLE = (
    {"role": "system", "content": "Fill in the call."},
    {"role": "user", "content": "What is the weather in Oslo, in Celsius?\nweather.get(city=?, unit=?)"},
    {"role": "assistant", "content": "weather.get(city='Oslo', unit='Celsius')"},
)
"""Ours, and the same for every task: without it the model writes prose."""
_CATEGORY = "BFCL_v4_simple_python.json"
_LONGEST_QUESTION, _LONGEST_CALL = 110, 90
_TYPES: Mapping[str, tuple[type, ...]] = {
    "string": (str,),
    "integer": (int,),
    "float": (float, int),
    "boolean": (bool,),
}


@agl.rollout
async def function_agent(task: Mapping[str, Any], llm: agl.LLM) -> float:
    """Ask once, showing the function with its arguments left open."""
    asked = {"role": "user", "content": f"{task['question']}\n{_form(task['name'], task['types'])}"}
    return score(task, await said(llm, [*EXAMPLE, asked]))


def score(task: Mapping[str, Any], reply: str) -> float:
    """1 for a call that the leaderboard lists as right; of another call of the function, 0.2 and its share of 0.6.

    Its rules, read from the list of answers that it comes with: the name is the function's; each argument is of its
    type, a whole number being good for a float; its value is one of those listed, strings without regard to case,
    blanks and `,./-_*^`; and nothing is left out that is required, or for which "nothing" is not listed. An argument
    that it wants and does not get, and one that it does not know, are wrong ones.
    """
    given = _call(reply)
    if given is None or given[0] != task["name"]:
        return 0.0
    accepted: Mapping[str, list[Any]] = task["accepted"]
    arguments = given[1]
    right = sum(_is_right(value, task["types"].get(name, ""), accepted.get(name, ())) for name, value in arguments)
    absent = accepted.keys() - dict(arguments).keys()
    missing = sum("" not in accepted[name] or name in task["required"] for name in absent)
    wrong = len(arguments) - right + missing
    return 1.0 if not wrong else 0.2 + 0.6 * right / (right + wrong)


def tasks(seed: int, **counts: int) -> dict[Split, list[dict[str, Any]]]:
    """Up to that many for each split, in an order that the seed decides; no function is in two splits."""
    found: dict[Split, list[dict[str, Any]]] = {"train": [], "val": [], "test": []}
    for task in random.Random(f"{seed}/functions").sample(entries := list(_short()), len(entries)):
        found[split_of(task["name"])].append(task)
    return {split: found[split][: counts.get(split, 0)] for split in found}


def _short() -> Iterator[dict[str, Any]]:
    """Those of the 400 whose question and call are short, and whose arguments are strings, numbers and booleans."""
    accepted = {one["id"]: one["ground_truth"][0] for one in _lines(f"possible_answer/{_CATEGORY}")}
    for one in _lines(_CATEGORY):
        (function,) = one["function"]
        question = one["question"][0][0]["content"]
        types = {name: kind["type"] for name, kind in function["parameters"]["properties"].items()}
        is_short = len(question) < _LONGEST_QUESTION and len(_form(function["name"], types)) < _LONGEST_CALL
        if is_short and types.keys() and set(types.values()) <= _TYPES.keys():
            yield {
                "id": one["id"],
                "question": question,
                "name": function["name"],
                "types": types,
                "required": function["parameters"].get("required", []),
                "accepted": accepted[one["id"]][function["name"]],
            }


def _lines(name: str) -> Iterator[dict[str, Any]]:
    # The package is not imported: that would want the libraries of every provider it can measure.
    spec = find_spec("bfcl_eval")
    places = (spec and spec.submodule_search_locations) or ()
    if not places:
        raise MissingExtra("bfcl_eval", install="pip install --no-deps bfcl-eval==2026.3.23")
    yield from map(json.loads, (Path(next(iter(places))) / "data" / name).read_text().splitlines())


def _form(name: str, types: Mapping[str, str]) -> str:
    return f"{name}({', '.join(f'{argument}=?' for argument in types)})"


def _call(reply: str) -> tuple[str, list[tuple[str, Any]]] | None:
    """Name and keyword arguments of the call that the first line of a reply is; None where it is none."""
    try:
        with warnings.catch_warnings(action="ignore", category=SyntaxWarning):  # of "1st", which is no Python
            read = ast.parse(reply.strip().partition("\n")[0], mode="eval").body
        if not isinstance(read, ast.Call) or read.args:
            return None
        return ast.unparse(read.func), [(each.arg or "**", ast.literal_eval(each.value)) for each in read.keywords]
    except (ValueError, SyntaxError, RecursionError, MemoryError):
        return None


def _is_right(value: Any, kind: str, accepted: Any) -> bool:
    if not isinstance(value, _TYPES.get(kind, ())) or (isinstance(value, bool) and kind != "boolean"):
        return False
    return any(_plain(value) == _plain(one) for one in accepted if one != "" or kind == "string")


def _plain(value: Any) -> Any:
    return re.sub(r"[ ,./\-_*^]", "", value).lower() if isinstance(value, str) else value
