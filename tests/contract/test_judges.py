"""The core's judges keep the contract, and so does one of a few lines; one with a common fault does not."""

import asyncio
import random
from dataclasses import dataclass
from importlib.util import find_spec
from inspect import signature
from itertools import count
from typing import ClassVar

import pytest

from agl_core.events import Target
from agl_core.judges import ExactMatch, JsonSchema, Llm, Numeric, Regex, Said, Verdict, answer_of
from agl_core.testing import JudgeContract


class TestExactMatch(JudgeContract):
    """`exact_match`."""

    @pytest.fixture
    def judge(self):
        """As it is."""
        return ExactMatch()


class TestNumeric(JudgeContract):
    """`numeric`."""

    @pytest.fixture
    def judge(self):
        """With a tolerance."""
        return Numeric(tolerance=0.5)


class TestRegex(JudgeContract):
    """`regex`."""

    @pytest.fixture
    def judge(self):
        """A word of its own."""
        return Regex(pattern=r"\b4\b")


@pytest.mark.skipif(find_spec("jsonschema") is None, reason="jsonschema is not installed here")
class TestJsonSchema(JudgeContract):
    """`json_schema`."""

    @pytest.fixture
    def judge(self):
        """Small numbers."""
        return JsonSchema(schema={"type": "integer", "maximum": 4})


class TestLlm(JudgeContract):
    """`llm`, with a test double for its model."""

    @pytest.fixture
    def judge(self):
        """Short-spoken."""
        return Llm(model="https://host/v1#grader", tries=2)

    @pytest.fixture
    def ask(self):
        """It likes what is short, and chats where there is nothing."""

        async def ask(messages, *, sampling):
            prompt = messages[0]["content"]
            text = "Well..." if "<answer>\n\n</answer>" in prompt else f'{{"score": {len(prompt) % 10}}}'
            return Said(text=text, call_id=f"ca-{len(messages)}")

        return ask


# --- one of a few lines, and its faults


@dataclass(frozen=True, kw_only=True)
class Brief:
    """As it should be: what is short is good."""

    name: ClassVar[str] = "brief"
    version: ClassVar[str] = "1"

    longest: int = 20

    def __call__(self, trace):
        """One number."""
        return Verdict(value=self.value(trace, answer_of(trace, "last")))

    def value(self, trace, answer):
        """From 0 to 1."""
        return float(len(answer) <= self.longest)


class Nameless(Brief):
    """Two words for a name."""

    name = "so brief"


class Careless(Brief):
    """Looks where nothing need be."""

    def value(self, trace, answer):
        """The task need not be an object."""
        return float(trace.input["answer"] in answer)


class Fickle(Brief):
    """Throws dice."""

    def value(self, trace, answer):
        """Whatever comes."""
        return random.random()


class Counting(Brief):
    """Remembers."""

    counter = count()

    def value(self, trace, answer):
        """One more each time."""
        return float(next(self.counter))


class Meddling(Brief):
    """Writes into what is given."""

    def value(self, trace, answer):
        """A note on the task."""
        if isinstance(trace.input, dict):
            trace.input["seen"] = True
        return 1.0


class Unjust(Brief):
    """Judges nobody."""

    def __call__(self, trace):
        """None."""
        return ()


@dataclass(frozen=True, kw_only=True)
class Forgetful(Brief):
    """Has a field that makes no equal one."""

    def __post_init__(self):
        """Twice as long each time."""
        object.__setattr__(self, "longest", self.longest * 2)


class Talkative(Brief):
    """Calls somebody by itself."""

    def value(self, trace, answer):
        """Nobody is there."""

        async def call():
            await asyncio.open_connection("127.0.0.1", 9)

        with pytest.raises(OSError, match="9"):
            asyncio.run(call())
        return 1.0


class Astray(Brief):
    """Judges a call of another rollout."""

    def __call__(self, trace):
        """Which is not in this one."""
        return Verdict(value=1.0, target=Target(kind="call", id="ca-elsewhere"))


class TestBrief(JudgeContract):
    """The toy, and what is wrong with its like."""

    @pytest.fixture
    def judge(self):
        """As it should be."""
        return Brief()

    @pytest.mark.parametrize(
        ("promise", "faulty"),
        [
            ("test_it_has_a_name_and_a_version", Nameless),
            ("test_a_rollout_gets_a_number_or_a_reason", Careless),
            ("test_the_same_rollout_is_judged_the_same", Fickle),
            ("test_it_judges_many_at_once", Counting),
            ("test_what_it_is_given_stays_as_it_was", Meddling),
            ("test_it_judges_something", Unjust),
            ("test_it_judges_something", Astray),
            ("test_its_options_make_an_equal_one", Forgetful),
            ("test_it_connects_to_nobody", Talkative),
        ],
    )
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, traces, ask):
        """The contract can fail."""
        given = {"judge": faulty(), "traces": traces, "ask": ask}
        kept = getattr(self, promise)

        with pytest.raises(AssertionError):
            kept(**{name: given[name] for name in signature(kept).parameters})
