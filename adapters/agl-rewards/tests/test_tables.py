"""The tables of docs/explanation/rewards.md are what the rules do: they are read, and done again."""

from __future__ import annotations

import ast
import re
from dataclasses import dataclass
from pathlib import Path

import pytest
from agl_rewards import Rewards

PAGE = Path(__file__).parents[3] / "docs/explanation/rewards.md"
RULES = {"final", "sum", "per_call", "discounted", "per_agent", "group_relative"}
_RULE = re.compile(r"^`(Rewards\(.*\))`$")


@dataclass
class Row:
    """A line of a table."""

    of: str
    rewards: list[tuple[str, float]]
    credit: str
    sum: str

    @property
    def expected(self):
        """The number, to three places where it says so; or the reason."""
        if self.credit.startswith("`"):
            return self.credit.strip("`")
        about, number = re.fullmatch(r"(≈?) ?(.+)", self.credit).groups()
        return pytest.approx(float(number), abs=5e-4 if about else 1e-12)


def tables():
    """Each rule with its rows."""
    lines = iter(PAGE.read_text(encoding="utf-8").splitlines())
    for number, line in enumerate(lines):
        if found := _RULE.match(line):
            next(lines), next(lines), next(lines)
            rows = []
            while (line := next(lines, "")).startswith("|"):
                of, rewards, credit, how = (cell.strip() for cell in line.strip("|").split("|"))
                rows.append(Row(of, [given(one) for one in rewards.split(", ") if one], credit, how))
            yield pytest.param(rule(found[1]), rows, id=f"{number}: {found[1]}")


def rule(text):
    """`Rewards(...)` as it is written."""
    call = ast.parse(text, mode="eval").body
    return Rewards(*map(ast.literal_eval, call.args), **{one.arg: ast.literal_eval(one.value) for one in call.keywords})


def given(text):
    """`style 0.5`, or a number alone."""
    name, _, value = text.rpartition(" ")
    return name or "primary", float(value)


def worth(text):
    """What a sum comes to."""
    return eval(compile(ast.parse(text, mode="eval"), text, "eval"), {"__builtins__": {}})  # noqa: S307 - our own page


@pytest.mark.parametrize(("rewards", "rows"), list(tables()))
def test_a_table_is_what_the_rule_does(story, earned, rewards, rows):
    """Credit or reason, of every row that has one."""
    found = earned(rewards(story(rows)))

    assert found == {"ca-" + row.of.partition(",")[0]: row.expected for row in rows if row.credit}


@pytest.mark.parametrize(("rewards", "rows"), list(tables()))
def test_a_sum_comes_to_its_credit(rewards, rows):
    """The arithmetic that is shown is right."""
    summed = [row for row in rows if row.sum]

    assert [row.of for row in summed if worth(row.sum) != row.expected] == []
    assert summed == [row for row in rows if row.credit and not row.credit.startswith("`")]


@pytest.mark.parametrize(("rewards", "rows"), list(tables()))
def test_a_sum_has_the_terms_that_the_rule_makes(story, rewards, rows):
    """Added one by one as they are printed; of a group, members that earned nothing are left out."""
    made = {
        credit.call_id: [product for term in credit.terms if (product := term.weight * term.value)]
        for credit in rewards(story(rows)).rows
    }

    for row in rows:
        if row.sum:
            shown = [worth(part) for part in row.sum.replace(" - ", " + -").split(" + ")]
            assert sorted(made["ca-" + row.of.partition(",")[0]]) == pytest.approx(sorted(shown), rel=1e-5)


def test_every_rule_has_a_table():
    """None is described in words alone."""
    assert {table.values[0].rule for table in tables()} == RULES


@pytest.fixture
def story(call, span, reward, trace):
    """The traces that a table's rows tell of."""

    def one(rows):
        calls, spans, rewards = [], [], []
        for row in rows:
            label, _, agent = row.of.partition(", ")
            if label.startswith("call "):
                calls.append(call(f"ca-{label}", agent=agent or None, started_at=10 * int(label.split()[-1])))
        for row in rows:
            label = row.of.partition(",")[0]
            kind, _, name = row.of.partition(" ")
            of = {"call": f"call ca-{label}", "agent": f"agent {name}", "the": None}.get(kind, f"span {label}")
            if kind == "span":
                numbers = [10 * int(number) for number in re.findall(r"\d+", row.of)]
                spans.append(span(label, min(numbers) - 1, max(numbers) + 1))
            rewards += [reward(value, of=of, name=called) for called, value in row.rewards]
        return trace(*calls, rewards=rewards, spans=spans)

    def many(rows):
        for row in rows:
            label, _, ended = row.of.partition(", ")
            rewards = [reward(value, name=called, rollout_id=label) for called, value in row.rewards]
            facts = {"exit_status": ended, "status": "failed"} if ended else {}
            yield trace(call(f"ca-{label}", rollout_id=label), rewards=rewards, rollout_id=label, **facts)

    return lambda rows: list(many(rows)) if rows[0].of.startswith("rollout") else [one(rows)]
