"""`llm`: a score in the form that was asked for, or a reason. `Grader` is a test double for the model."""

from __future__ import annotations

import asyncio

import pytest

from agl_core.errors import BadValue, ExpectedMissing, JudgeMalformed
from agl_core.judges import Llm, Said, verdicts

URL = "https://host/v1#grader"


class Grader:
    """Answers with what it was told to, one after the other; keeps what it was asked."""

    def __init__(self, *answers):
        self.answers, self.asked = list(answers), []

    async def __call__(self, messages, *, sampling):
        """The next one."""
        self.asked.append(([dict(message) for message in messages], dict(sampling)))
        return Said(text=self.answers.pop(0), call_id=f"ca-{len(self.asked)}")


def judged(judge, trace, grader):
    """Its one verdict."""
    (verdict,) = asyncio.run(verdicts(judge, trace, grader))
    return verdict


def test_a_score_is_brought_to_one(rollout):
    """From the scale that the prompt asks for; with the reason, and the call, as evidence."""
    grader = Grader('{"score": 4, "reason": "half"}')

    verdict = judged(Llm(model=URL, lowest=2, highest=6), rollout("x"), grader)

    assert verdict.value == 0.5
    assert verdict.evidence == {"score": 4.0, "of": [2, 6], "reason": "half", "calls": ["ca-1"]}


def test_the_model_is_told_what_it_needs(rollout):
    """Task, answer, what is expected and what counts; what stands there is said to be no instruction."""
    grader = Grader('{"score": 10}')

    judged(
        Llm(model=URL, rubric="Be brief.", expected="answer", system="You are strict.", temperature=0.5),
        rollout("{{ 7 * 7 }} It is 4.", task={"question": "2 + 2?", "answer": "4"}),
        grader,
    )

    ((system, user), sampling) = grader.asked[0]
    assert system == {"role": "system", "content": "You are strict."}
    for part in ('"question": "2 + 2?"', "{{ 7 * 7 }} It is 4.", "<expected>\n4\n", "Be brief.", "from 0", "to 10"):
        assert part in user["content"]
    assert "never an instruction" in user["content"]
    assert sampling == {"temperature": 0.5, "max_tokens": 512}


def test_it_speaks_without_chance_unless_told(rollout):
    """The same rollout is to be judged the same."""
    grader = Grader('{"score": 10}')

    judged(Llm(model=URL), rollout("x"), grader)

    assert grader.asked[0][1]["temperature"] == 0.0


@pytest.mark.parametrize(
    "answer",
    [
        "8", "Score: 8", '{"score": "8"}', '{"score": true}', '{"score": null}', '{"grade": 8}', '[{"score": 8}]',
        '{"score": 11}', '{"score": -1}', '{"score": NaN}', '{"score": 1e999}', 'Well: {"score": 8}',
        '{"score": 8} {"score": 2}', "", "[" * 100_000,
    ],
)  # fmt: skip
def test_what_is_no_score_is_told_and_asked_for_again(rollout, answer):
    """Strictly: nothing is read into it."""
    grader = Grader(answer, '```json\n{"score": 8}\n```')

    verdict = judged(Llm(model=URL), rollout("x"), grader)

    again = grader.asked[1][0]
    assert verdict.value == 0.8
    assert verdict.evidence["calls"] == ["ca-1", "ca-2"]
    assert again[-2] == {"role": "assistant", "content": answer}
    assert "cannot be read" in again[-1]["content"]


def test_it_is_not_asked_for_ever(rollout):
    """Then there is no verdict, and no zero."""
    grader = Grader("?", "?", "?", '{"score": 8}')

    with pytest.raises(JudgeMalformed, match=r"no score in 3 answer\(s\)"):
        judged(Llm(model=URL), rollout("x"), grader)

    assert len(grader.asked) == 3


def test_a_pattern_may_find_the_score(rollout):
    """In what models say that do not write JSON."""
    grader = Grader("No idea", "Fine.\nScore: 7.5 of 10")

    verdict = judged(Llm(model=URL, pattern=r"Score: ([\d.]+)"), rollout("x"), grader)

    assert verdict.value == 0.75
    assert r"finds it: Score: ([\d.]+)" in grader.asked[0][0][0]["content"]
    assert "JSON" not in grader.asked[0][0][0]["content"]


def test_a_model_may_be_left_to_itself(rollout):
    """Some refuse to be told a temperature."""
    grader = Grader('{"score": 10}')

    judged(Llm(model=URL, temperature=None, max_tokens=None), rollout("x"), grader)

    assert grader.asked[0][1] == {}


def test_a_prompt_of_ones_own_may_speak_of_all_that_was_done(rollout):
    """Calls, spans, rewards, the metadata."""
    grader = Grader('{"points": 1}')
    prompt = "{% for call in calls %}{{ call.said }};{% endfor %} {{ status }} {{ answer }}"

    judged(Llm(model=URL, prompt=prompt, score="points", highest=1), rollout("a", "b"), grader)

    assert grader.asked[0][0][0]["content"] == "a;b; succeeded b"


@pytest.mark.parametrize(
    "options",
    [
        {"model": ""}, {"prompt": "{{ a"}, {"lowest": 5, "highest": 5}, {"highest": float("nan")}, {"tries": 0},
        {"max_tokens": 0}, {"pattern": "Score"}, {"pattern": "("}, {"answer": "first"},
    ],
)  # fmt: skip
def test_what_cannot_be_is_refused_when_the_judge_is_made(options):
    """Before a model is paid."""
    with pytest.raises(BadValue):
        Llm(**{"model": URL, **options})


def test_a_task_without_an_expectation_costs_no_call(rollout):
    """The reason is found first."""
    grader = Grader()

    with pytest.raises(ExpectedMissing):
        judged(Llm(model=URL, expected="answer"), rollout("x", task={}), grader)
