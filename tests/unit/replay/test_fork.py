"""Where a fork's past ends, beside calls and tools that were under way at once."""

from __future__ import annotations

import asyncio
from concurrent.futures import Future
from dataclasses import replace
from itertools import count

import pytest

from agl_core.emit import tool_words as words
from agl_core.emit.semconv import ToolAttributes
from agl_core.errors import NotReplayable, ReplayAmbiguous, ReplayDiffers, ReplayUnmatched
from agl_core.events import (
    AttemptFinished,
    AttemptStarted,
    CallRecorded,
    Choice,
    Message,
    ModelCall,
    ReplayDeparted,
    SpanRecorded,
)
from agl_core.gateway import Question
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.recorder import ToolAsked
from agl_core.replay import Branch, Past, Told
from agl_core.store import Admission

_SECOND = 1_000_000_000
_NUMBERS = count(1)


def asks(text):
    """A request."""
    return ModelCall(model="policy", messages=(Message(role="user", content=text),))


def call(name, *, at, until, status="ok"):
    """A recorded call that asks for `name`."""
    told = Choice(message=Message(role="assistant", content=f"answer to {name}"), finish_reason="stop")
    asked = asks(name)
    return CallRecorded(
        call_id=f"ca-{name}", rollout_id="ro-1", attempt_id="at-1", started_at=at * _SECOND, latency=until - at,
        call=ModelCall(model="policy", messages=asked.messages, choices=(told,)), http_status=200, status=status,
    )  # fmt: skip


def looked(name, *, at):
    """A recorded call of the tool `look`."""
    attributes = {
        words.NAME: "look", words.ARGUMENTS: f'{{"at": "{name}"}}', words.RESULT: f"saw {name}",
        ToolAttributes.REPLAY: "recorded", ToolAttributes.RESULT: "text",
    }  # fmt: skip
    return SpanRecorded(
        rollout_id="ro-1", attempt_id="at-1", span_id=f"sp-{name}", name="look", attributes=attributes,
        started_at=at * _SECOND, ended_at=at * _SECOND + 1,
    )  # fmt: skip


class Forked:
    """A fork of a rollout with those facts, asked by hand."""

    def __init__(self, *facts, at):
        started = AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1)
        ended = AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="completed")
        with SqliteLog(":memory:") as log:
            log.append([Draft(stream="rollout/ro-1", event=one) for one in (started, *facts, ended)])
            past = Past.of(log, "ro-1", at)
        self.said: list[ReplayDeparted] = []
        self.branch = Branch(past, Told(), self._note, "ro-2")

    def _note(self, event):
        self.said.append(event)
        done: Future[None] = Future()
        done.set_result(None)
        return done

    def ask(self, text):
        """What the log answers, or None of what is asked live."""
        found = asyncio.run(self.branch.recall(question(text)))
        return found and found.call_id

    def look(self, name):
        """What the tool is to do."""
        said = {words.NAME: "look", words.ARGUMENTS: f'{{"at": "{name}"}}'}
        return self.branch.tool(ToolAsked(name="look", way="recorded", said=said)).way


def question(text):
    """As the gateway puts it."""
    admission = Admission(
        run_id=None, rollout_id="ro-2", attempt_id="at-2", task_id="ta-1", repeat=0, mode=None, seed=None, key="k",
        is_open=True,
    )  # fmt: skip
    return Question(call_id=f"ca-now-{next(_NUMBERS)}", admission=admission, call=asks(text))


BOTH = (call("one", at=1, until=2), call("quick", at=2, until=4), call("slow", at=2, until=6))
"""One after which two are under way at once, the quick one answered first."""


def test_steps_count_answers_in_the_order_of_the_log():
    """A call that began before the fork and was answered after it is asked live, whichever comes first now."""
    fork = Forked(*BOTH, at=2)

    assert [fork.ask(text) for text in ("one", "slow", "quick")] == ["ca-one", None, "ca-quick"]
    assert (fork.branch.live, fork.branch.unasked()) == (1, [])


def test_nothing_else_is_asked_before_the_first_live_call():
    """What is like nothing of then cannot come of a live answer: there is none yet."""
    fork = Forked(*BOTH, at=2)
    fork.ask("one")

    with pytest.raises((ReplayDiffers, ReplayUnmatched)):
        fork.ask("something else")

    assert [one.rollout_id for one in fork.said] == ["ro-2"]
    assert fork.branch.departed.exception() is not None


def test_anything_may_be_asked_after_it():
    """Beside a branch that has not come to the fork yet, as well."""
    fork = Forked(*BOTH, at=2)

    assert [fork.ask(text) for text in ("one", "slow", "after slow", "quick", "after quick")] == [
        "ca-one", None, None, "ca-quick", None,
    ]  # fmt: skip
    assert not fork.branch.departed.done()


def test_which_of_several_after_the_fork_does_not_matter():
    """They are asked live, each of them; only the past has to be known."""
    twins = [replace(call("twin", at=2, until=8), call_id=f"ca-twin-{n}", error=f"{n}") for n in (1, 2)]
    fork = Forked(*BOTH, *twins, at=2)

    assert [fork.ask(text) for text in ("one", "twin", "twin", "quick")] == ["ca-one", None, None, "ca-quick"]


def test_which_of_several_in_the_past_has_to_be_known():
    """Nobody can tell which answer is whose: it stops."""
    twins = [replace(call("twin", at=0, until=1), call_id=f"ca-twin-{n}", error=f"{n}") for n in (1, 2)]
    fork = Forked(*twins, *BOTH, at=3)

    with pytest.raises(ReplayAmbiguous):
        fork.ask("twin")


def test_a_tool_is_of_the_past_if_it_began_before_a_later_answer():
    """It cannot have known of one; what began after it runs."""
    fork = Forked(*BOTH, looked("meanwhile", at=5), looked("after", at=7), at=2)

    assert [fork.look("meanwhile"), fork.look("after")] == ["recorded", "live"]


def test_a_tool_that_is_like_none_departs_before_the_first_live_call():
    """And runs after it."""
    fork, later = (Forked(*BOTH, looked("meanwhile", at=5), at=2) for _ in range(2))
    later.ask("slow")

    with pytest.raises((ReplayDiffers, ReplayUnmatched)):
        fork.look("elsewhere")

    assert later.look("elsewhere") == "live"


def test_the_hash_of_the_past_is_of_what_was_answered():
    """In the order of the log, whatever order it was asked in; another answer is another past."""
    one, two = (Forked(*BOTH, looked("meanwhile", at=3), at=3) for _ in range(2))
    for text in ("one", "quick", "slow"):
        one.ask(text)
    for text in ("one", "slow", "quick"):
        two.ask(text)
    before = one.branch.prefix(), two.branch.prefix()
    one.look("meanwhile")

    assert before[0] == before[1] != one.branch.prefix()


def test_an_answer_that_nobody_knows_is_no_past():
    """It may be asked live, and not be given again."""
    lost = call("lost", at=6, until=7, status="unknown")

    with pytest.raises(NotReplayable, match="nobody knows what was answered to ca-lost"):
        Forked(*BOTH, lost, at=4)
    assert Forked(*BOTH, lost, at=3).ask("one") == "ca-one"


def test_a_judge_is_never_answered_from_the_log():
    """It judges what came of the fork."""
    fork = Forked(*BOTH, at=3)
    asked = question("one")

    found = asyncio.run(fork.branch.recall(Question(
        call_id=asked.call_id, admission=asked.admission, call=asked.call, role="judge"
    )))  # fmt: skip

    assert found is None
    assert fork.branch.live == 0
