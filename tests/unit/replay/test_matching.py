"""Which recorded call a request is, and when nobody can know."""

from __future__ import annotations

import asyncio
import random
from dataclasses import replace
from itertools import count
from uuid import UUID

import pytest

from agl_core.errors import BadValue, NotReplayable, ReplayAmbiguous, ReplayDiffers, ReplayUnmatched
from agl_core.events import AttemptFinished, AttemptStarted, CallRecorded, Choice, Message, ModelCall, Sampling, Tool
from agl_core.log import SqliteLog
from agl_core.record import Draft
from agl_core.replay._forms import without_instructions, without_model, without_opening
from agl_core.replay._matching import Asked, Matcher
from agl_core.replay._tape import Tape

_SECOND = 1_000_000_000


def asks(*texts, model="policy", **fields):
    """A request: texts by turns, the user's first."""
    roles = ("user", "assistant")
    said = tuple(Message(role=roles[n % 2], content=text) for n, text in enumerate(texts))
    return ModelCall(model=model, messages=fields.pop("system", ()) + said, **fields)


def call(number, said, answer=None, *, at=0.0, took=1.0, **fields):
    """A recorded call `ca-<number>`: begun at a second, and done after some."""
    told = Choice(message=Message(role="assistant", content=answer or f"answer {number}"), finish_reason="stop")
    return CallRecorded(
        call_id=f"ca-{number}", rollout_id="ro-1", attempt_id="at-1",
        call=replace(said, choices=(told,), response_id=f"re-{number}"),
        started_at=round((1_000 + at) * _SECOND), latency=took, http_status=200, **fields,
    )  # fmt: skip


def tape(*calls):
    """The tape of an attempt with those calls, as a log gives it back."""
    started = AttemptStarted(rollout_id="ro-1", attempt_id="at-1", sequence=1, worker_id="wk-1", token=1)
    ended = AttemptFinished(rollout_id="ro-1", attempt_id="at-1", exit_status="completed")
    with SqliteLog(":memory:") as log:
        log.append([Draft(stream="rollout/ro-1", event=one) for one in (started, *calls, ended)])
        return Tape.of(log, "ro-1")


class Replay:
    """Asks a matcher, as an agent would."""

    def __init__(self, *calls, **how):
        self.matcher = Matcher(tape(*calls), **how)
        self._numbers = count(1)

    def ask(self, said, **fields):
        """The id of the recorded call that answers it."""
        return asyncio.run(self.asked(said, **fields))

    async def asked(self, said, **fields):
        """The same, for who asks several things at once."""
        now = Asked(call_id=fields.pop("call_id", f"ca-now-{next(self._numbers)}"), call=said, **fields)
        return (await self.matcher.match(now)).call_id

    def together(self, *requests):
        """All at once; what each came to, an error too."""

        async def story():
            return await asyncio.gather(*(self.asked(said, **of) for said, of in requests), return_exceptions=True)

        return asyncio.run(story())


def test_fifty_templates_in_parallel_answer_each_its_own():
    """T7: a request that comes first does not get the first answer. Fifty of one template, fifty orders."""
    recorded = [call(n, asks(f"Summarise document {n}."), at=n / 100) for n in range(50)]

    for seed in range(5):
        order = random.Random(seed).sample(range(50), 50)
        replay = Replay(*recorded)

        answers = replay.together(*((asks(f"Summarise document {n}."), {}) for n in order))

        assert answers == [f"ca-{n}" for n in order]
        assert replay.matcher.left() == ()


def test_fifty_identical_requests_are_told_apart_by_their_places():
    """T7: each branch of a fan-out gets the answer that it got then, though all ask the same."""
    recorded = [call(n, asks("Think of a number."), at=n / 100, place=f"think{n}:0") for n in range(50)]
    order = random.Random(7).sample(range(50), 50)

    answers = Replay(*recorded).together(*((asks("Think of a number."), {"place": f"think{n}:0"}) for n in order))

    assert answers == [f"ca-{n}" for n in order]


def test_fifty_identical_requests_without_places_are_ambiguous():
    """T7: what cannot be known is said; no answer is given that may be another's."""
    recorded = [call(n, asks("Think of a number."), at=n / 100) for n in range(50)]

    answers = Replay(*recorded).together(*((asks("Think of a number."), {}) for _ in range(50)))

    assert all(isinstance(answer, ReplayAmbiguous) for answer in answers)
    assert len(answers[0].candidates) == 50


def test_identical_requests_with_one_answer_are_any_of_them():
    """Where nobody could tell the difference, there is none."""
    recorded = [call(n, asks("Say yes."), "yes", at=n / 100) for n in range(5)]

    answers = Replay(*recorded).together(*((asks("Say yes."), {}) for _ in range(5)))

    assert sorted(answers) == [f"ca-{n}" for n in range(5)]


def test_two_branches_that_say_the_same_go_on_with_their_own():
    """Two sequences of identical requests: each branch hears its own second answer, whichever asks first."""
    first, second = asks("Begin."), asks("Begin.", "begun", "Go on.")
    recorded = [
        call(1, first, "begun", at=0.0, place="left0:0"), call(2, first, "begun", at=0.1, place="right0:0"),
        call(3, second, at=2.0, place="right0:1"), call(4, second, at=2.1, place="left0:1"),
    ]  # fmt: skip
    replay = Replay(*recorded)

    answers = [
        replay.ask(said, place=place)
        for said, place in [(first, "right0:0"), (second, "right0:1"), (first, "left0:0"), (second, "left0:1")]
    ]

    assert answers == ["ca-2", "ca-3", "ca-1", "ca-4"]


def test_what_was_asked_again_and_again_comes_in_its_order():
    """A loop that draws three samples, of a program that says nothing of its branches: one after the other, twice."""
    recorded = [call(n, asks("Draw."), at=n * 2.0) for n in range(3)]
    replay = Replay(*recorded)

    assert [replay.ask(asks("Draw.")) for _ in range(3)] == ["ca-0", "ca-1", "ca-2"]


def test_order_is_no_proof_where_others_ask_at_once():
    """They came one after the other then; now two threads ask together, and nobody knows who is who."""
    recorded = [call(n, asks("Draw."), at=n * 2.0) for n in range(3)]

    answers = Replay(*recorded).together((asks("Draw."), {}), (asks("Draw."), {}))

    assert [type(answer) for answer in answers] == [ReplayAmbiguous, ReplayAmbiguous]


def test_order_is_no_proof_where_something_else_was_under_way():
    """Two samples that did not overlap, beside a third call: the program had more than one branch."""
    recorded = [call(1, asks("Draw.")), call(2, asks("Draw."), at=2.0), call(3, asks("Sing."), took=9.0)]

    with pytest.raises(ReplayAmbiguous, match="beside others then"):
        Replay(*recorded).ask(asks("Draw."))


def test_a_call_more_than_recorded_is_unmatched():
    """What was asked once is answered once."""
    replay = Replay(call(1, asks("Hello.")), call(2, asks("Goodbye."), at=2))
    replay.ask(asks("Hello."))

    with pytest.raises(ReplayUnmatched, match=r"it was asked once then \(ca-1\), and now once more"):
        replay.ask(asks("Hello."))


def test_a_branch_that_asks_once_more_takes_no_other_branch_s_answer():
    """Each has its own; when it has had them, the next one is not to be had."""
    replay = Replay(call(1, asks("Draw."), place="left0:0"), call(2, asks("Draw."), place="right0:0"))
    replay.ask(asks("Draw."), place="left0:0")

    with pytest.raises(ReplayUnmatched, match=r"once then \(ca-1\), and now once more"):
        replay.ask(asks("Draw."), place="left0:1")
    assert replay.ask(asks("Draw."), place="right0:0") == "ca-2"


def test_nothing_like_it_is_unmatched():
    """Another question altogether: no difference is shown that would mislead."""
    with pytest.raises(ReplayUnmatched, match="nothing that is left is like it; ca-1"):
        Replay(call(1, asks("What is two and two?"))).ask(asks("WRITE 100 LINES OF COBOL"))


def test_an_empty_tape_answers_nothing():
    """An attempt that asked no model: whatever is asked now is new."""
    with pytest.raises(ReplayUnmatched, match="all 0 calls"):
        Replay().ask(asks("Hello."))


def test_the_first_difference_is_shown_and_not_the_whole_text():
    """T7: a structural difference, with the path, and of a long text what stands around the place."""
    long = "word " * 5_000
    replay = Replay(call(1, asks("Hello.", "Hi.", long + "red" + long)))

    with pytest.raises(ReplayDiffers) as departed:
        replay.ask(asks("Hello.", "Hi.", long + "blue" + long))

    assert departed.value.recorded == "ca-1"
    (difference,) = departed.value.difference
    assert difference["at"] == "messages[2].content"
    assert "red" in difference["recorded"]
    assert "blue" in difference["asked"]
    assert len(difference["asked"]) < 200


@pytest.mark.parametrize(
    ("said", "at"),
    [
        (asks("Hello.", model="other"), "model"),
        (asks("Hello.", sampling=Sampling(temperature=0.5)), "sampling.temperature"),
        (asks("Hello.", tools=(Tool(name="search"),)), "tools[0]"),
        (asks("Hello.", extra={"response_format": {"type": "json_object"}}), "response_format"),
        (asks("Hello.", "Hi."), "messages[1]"),
        (asks("Hello.", dialect="openai.responses"), "dialect"),
    ],
)
def test_what_is_asked_otherwise_differs(said, at):
    """The model, how it is sampled, what it is offered, what form it is to answer in: each is part of the question."""
    with pytest.raises(ReplayDiffers) as departed:
        Replay(call(1, asks("Hello."))).ask(said)

    assert departed.value.difference[0]["at"] == at


def test_how_an_answer_travels_is_no_difference():
    """A stream, who pays, the seed the gateway drew: no word of the answer depends on them."""
    asked = asks("Hello.", sampling=Sampling(seed=7), extra={"stream": True, "user": "u1", "metadata": {"n": "1"}})

    assert Replay(call(1, asks("Hello.", sampling=Sampling(seed=1)))).ask(asked) == "ca-1"


def test_the_nearest_is_the_one_that_stands_there():
    """Of two calls that ask alike, the difference shown is that to the one of the same place."""
    recorded = [call(1, asks("Add 1."), place="add0:0"), call(2, asks("Add 2."), place="add1:0")]

    with pytest.raises(ReplayDiffers) as departed:
        Replay(*recorded).ask(asks("Add 3."), place="add1:0")

    assert departed.value.recorded == "ca-2"


def session(number):
    """An id that is another one each time."""
    return str(UUID(int=number, version=4))


def test_a_session_id_in_the_system_prompt_does_not_defeat_it():
    """T7: the id of the session is new each time; what is asked is not. It has one name, for the whole replay."""

    def turns(id_, day):
        system = (Message(role="system", content=f"You are in session {id_}. It is {day}T10:00:01Z."),)
        return asks("Hello.", system=system), asks("Hello.", f"hi from {session(1)}", f"Close {id_}", system=system)

    then, now = turns(session(1), "2024-01-01"), turns(session(2), "2025-05-05")
    replay = Replay(call(1, then[0]), call(2, then[1], at=2))

    assert [replay.ask(said) for said in now] == ["ca-1", "ca-2"]


def test_strict_lets_no_id_and_no_date_differ():
    """Every letter counts then, and the difference is shown."""
    with pytest.raises(ReplayDiffers, match="00000000-0000"):
        Replay(call(1, asks(f"In {session(1)}.")), strict=True).ask(asks(f"In {session(2)}."))


def test_an_id_has_one_name_then_and_one_now():
    """Two ids that were one then are two requests: the first of them has taken the name."""
    recorded = [call(1, asks(f"Open {session(1)}")), call(2, asks(f"Close {session(1)}"), at=2)]
    replay = Replay(*recorded)
    replay.ask(asks(f"Open {session(5)}"))

    with pytest.raises(ReplayDiffers) as departed:
        replay.ask(asks(f"Close {session(6)}"))
    assert session(6)[:8] in departed.value.difference[0]["asked"]
    assert replay.ask(asks(f"Close {session(5)}")) == "ca-2"


def test_ids_that_are_what_is_asked_about_are_not_renamed():
    """A document that was asked about stays itself: asked once more, it does not get another one's answer."""
    recorded = [call(n, asks(f"Summarise {session(n)}"), at=n) for n in (1, 2)]
    replay = Replay(*recorded)
    replay.ask(asks(f"Summarise {session(1)}"))

    with pytest.raises(ReplayUnmatched, match="once more"):
        replay.ask(asks(f"Summarise {session(1)}"))


def test_branches_with_ids_of_their_own_are_told_apart_by_place_and_then_by_id():
    """A fan-out in which each branch draws an id: where it begins tells whose it is, and from then on the id does."""
    recorded = [
        *(call(n, asks(f"Begin {session(n)}"), "begun", at=n / 10, place=f"work{n}:0") for n in range(1, 6)),
        *(call(10 + n, asks(f"Go on {session(n)}"), at=2 + n / 10) for n in range(1, 6)),
    ]
    replay = Replay(*recorded)
    order = [3, 1, 5, 2, 4]

    begun = replay.together(*((asks(f"Begin {session(90 + n)}"), {"place": f"work{n}:0"}) for n in order))
    gone_on = replay.together(*((asks(f"Go on {session(90 + n)}"), {}) for n in reversed(order)))

    assert begun == [f"ca-{n}" for n in order]
    assert gone_on == [f"ca-{10 + n}" for n in reversed(order)]


def test_the_clock_of_now_is_not_taken_for_one_of_then():
    """A run over midnight, replayed on the second day: the first branch says what the second one said then."""
    recorded = [
        call(1, asks("It is 2024-01-01. Draw."), place="draw0:0"),
        call(2, asks("It is 2024-01-02. Draw."), place="draw1:0"),
    ]
    replay = Replay(*recorded)

    with pytest.raises(ReplayAmbiguous, match="another time"):
        replay.ask(asks("It is 2024-01-02. Draw."), place="draw0:0")
    again = Replay(*recorded, ignore=[r"\d{4}-\d\d-\d\d"])
    assert again.ask(asks("It is 2024-01-02. Draw."), place="draw0:0") == "ca-1"


def test_what_is_ignored_never_counts():
    """The user knows what differs each time: here, a nonce. What else differs still does."""
    replay = Replay(call(1, asks("Nonce 17: hello.")), call(2, asks("Nonce 18: bye."), at=2), ignore=[r"Nonce \d+"])

    assert replay.ask(asks("Nonce 18: hello.")) == "ca-1"
    with pytest.raises(ReplayDiffers):
        replay.ask(asks("Nonce 20: good bye."))


def test_a_pattern_that_is_none_is_refused():
    """With what is wrong with it."""
    with pytest.raises(BadValue, match="regular expression"):
        Replay(ignore=["("])


def test_what_is_asked_for_a_call_goes_to_what_that_call_was():
    """Two agents that are told the same, each for the call that sent it: by that call, not by who comes first."""
    recorded = [
        call(1, asks("Plan A.")), call(2, asks("Plan B."), at=0.5),
        call(3, asks("Work."), at=2, parent_call_id="ca-1"), call(4, asks("Work."), at=2.5, parent_call_id="ca-2"),
    ]  # fmt: skip
    replay = Replay(*recorded)
    replay.ask(asks("Plan A."), call_id="ca-a")
    replay.ask(asks("Plan B."), call_id="ca-b")

    assert replay.ask(asks("Work."), parent_call_id="ca-b") == "ca-4"
    assert replay.ask(asks("Work."), parent_call_id="ca-a") == "ca-3"


def test_another_agent_s_answer_is_not_given():
    """They were told the same, and they are two."""
    recorded = [call(1, asks("Work."), agent="coder"), call(2, asks("Work."), agent="tester", at=0.5)]
    replay = Replay(*recorded)

    assert replay.ask(asks("Work."), agent="tester") == "ca-2"
    with pytest.raises(ReplayDiffers) as departed:
        replay.ask(asks("Work."), agent="writer")
    assert departed.value.difference[0] == {"at": "agent", "recorded": "coder", "asked": "writer"}


def test_a_client_that_tried_again_does_so_again():
    """T7: what failed then fails now, and the client's next try gets what that got; also beside others."""
    recorded = [
        call(1, asks("Hello."), status="error", error="rate_limited", took=0.1),
        call(2, asks("Hello."), at=1, retry_of="ca-1", tries=("rate_limited",)),
        call(3, asks("Other."), took=9),
    ]
    replay = Replay(*recorded)

    assert replay.ask(asks("Hello."), retry=0) == "ca-1"
    assert replay.ask(asks("Hello."), retry=1) == "ca-2"


def test_what_came_of_a_call_that_nobody_knows_cannot_be_replayed():
    """Its worker died before the answer: it was asked then, too, but there is nothing to say."""
    replay = Replay(call(1, asks("Hello."), status="unknown", error="worker_lost"))

    with pytest.raises(NotReplayable, match="nobody knows what came of it"):
        replay.ask(asks("Hello."))


def test_what_was_never_asked_for_is_left():
    """Who replays says so at the end."""
    replay = Replay(call(1, asks("Hello.")), call(2, asks("Bye."), at=2))
    replay.ask(asks("Hello."))

    assert [one.call_id for one in replay.matcher.left()] == ["ca-2"]
    assert replay.matcher.answered == 1


def test_a_changed_prompt_explains_what_is_said_before_the_model_speaks():
    """Of a fork: the instructions differ, the rest is the same; where nothing tells two calls apart, that is said."""

    def told(prompt, *texts):
        return asks(*texts, system=(Message(role="system", content=prompt),))

    recorded = [
        call(1, told("Be brief.", "One.", "1", "More."), place="one0:0"),
        call(2, told("Be brief.", "Two.", "2", "More."), place="two0:0"),
        call(3, told("Be brief.", "Three.", "1", "More."), place="three0:0"),
    ]
    replay = Replay(*recorded, explained=[without_instructions])

    assert replay.ask(told("Be long.", "Two.", "2", "More.")) == "ca-2"
    assert replay.ask(told("Be long.", "One.", "1", "More."), place="one0:0") == "ca-1"
    with pytest.raises(ReplayDiffers):
        replay.ask(told("Be long.", "Three.", "1", "Less."))


def test_what_takes_out_least_decides():
    """A changed prompt that stands in the user's words: where nothing else is found, all of the opening may differ."""
    recorded = [call(1, asks("Solve: 1", "1", "Sure?")), call(2, asks("Solve: 2", "2", "Sure?"), at=2)]
    replay = Replay(*recorded, explained=[without_instructions, without_opening])

    assert replay.ask(asks("Work out: 2", "2", "Sure?")) == "ca-2"
    with pytest.raises(ReplayDiffers) as departed:
        replay.ask(asks("Work out: 1", "1", "Really?"))
    assert departed.value.difference[0]["at"] == "messages[2].content"


def test_another_model_explains_its_name_and_its_sampling():
    """And nothing else."""
    replay = Replay(call(1, asks("Hello.", model="small")), explained=[without_model])

    with pytest.raises(ReplayDiffers):
        replay.ask(asks("Hello, you.", model="large"))
    assert replay.ask(asks("Hello.", model="large", sampling=Sampling(temperature=1.0))) == "ca-1"
