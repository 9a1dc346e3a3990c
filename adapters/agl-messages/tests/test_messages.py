"""What becomes of conversations: one row each, whole, with what the policy said told apart from the rest."""

from dataclasses import replace

import pytest
from agl_messages import Messages

from agl_core.adapter import Adapted, Credit, Dropped, Term, TraceReward
from agl_core.errors import BadValue
from agl_core.events import Message


def shown(transcript):
    """Its messages, those of the policy in capitals."""
    return [
        f"{one.role}:{one.content}".upper() if trained else f"{one.role}:{one.content}"
        for one, trained in zip(transcript.messages, transcript.trained, strict=True)
    ]


def reasons(adapted):
    """Call to why it was dropped."""
    return {one.call_id: one.reason for one in adapted.dropped}


# --- conversations


def test_a_conversation_and_its_continuation_are_one_row(chat, trace):
    """Each message once, and each answer marked."""
    agent = chat()
    agent.ask("one", "two")
    agent.ask("three", "four")

    adapted = Messages()([trace("ro-1", *chat.log)])

    (row,) = adapted.rows
    assert shown(row) == ["system:You add.", "user:one", "ASSISTANT:TWO", "user:three", "ASSISTANT:FOUR"]
    assert (row.call_ids, row.began, row.reward) == (("ca-0", "ca-1"), "start", 1.0)
    assert (adapted.kept, adapted.dropped) == (2, ())


def test_agents_that_take_turns_each_have_their_own(chat, trace):
    """However their calls lie among each other."""
    writer, critic = chat(agent="writer", system="Write."), chat(agent="critic", system="Find faults.")
    for turn in ("1", "2"):
        writer.ask(f"w{turn}", f"W{turn}")
        critic.ask(f"c{turn}", f"C{turn}")

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [(row.agent, row.call_ids) for row in rows] == [("writer", ("ca-0", "ca-2")), ("critic", ("ca-1", "ca-3"))]


def test_who_goes_on_with_another_agents_words_has_them_as_history(chat, trace):
    """A hand-over with all that was said: each agent's row trains its own answers."""
    first = chat(agent="first")
    first.ask("one", "two")
    second = chat(agent="second")
    second.history = list(first.history)
    second.ask("three", "four")

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [row.began for row in rows] == ["start", "other_agent"]
    assert shown(rows[1]) == ["system:You add.", "user:one", "assistant:two", "user:three", "ASSISTANT:FOUR"]


def test_a_branch_is_a_row_in_which_what_was_before_is_history(chat, trace):
    """A history that went on once is not taken again, so no answer is learnt from twice."""
    agent = chat()
    agent.ask("one", "two")
    before = list(agent.history)
    agent.ask("three", "four")
    agent.history = before
    agent.ask("five", "six")

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [(row.began, row.call_ids) for row in rows] == [("start", ("ca-0", "ca-1")), ("branched", ("ca-2",))]
    assert shown(rows[1]) == ["system:You add.", "user:one", "assistant:two", "user:five", "ASSISTANT:SIX"]


def test_of_several_answers_the_one_that_went_on_goes_on(chat, trace):
    """The first here; each other one is a row of its own, and the call is kept once."""
    agent = chat()
    agent.ask("one", "two", "another two")
    agent.ask("three", "four")

    adapted = Messages()([trace("ro-1", *chat.log)])

    assert [(row.began, row.call_ids) for row in adapted.rows] == [("start", ("ca-0", "ca-1")), ("choice", ("ca-0",))]
    assert (adapted.kept, adapted.captured) == (2, 2)


def test_the_second_answer_may_be_the_one_that_goes_on(chat, trace):
    """A conversation goes on from what it was gone on from."""
    agent = chat()
    agent.ask("one", "two", "another two", echo=Message(role="assistant", content="another two"))
    agent.ask("three", "four")

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [(row.began, row.call_ids) for row in rows] == [("start", ("ca-0",)), ("choice", ("ca-0", "ca-1"))]


def test_other_tools_begin_another_row(chat, trace, search):
    """A transcript has one list of tools, and says nothing of a tool that was not there."""
    agent = chat(tools=[search])
    agent.ask("one", "two")
    agent.ask("three", "four", tools=())

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [(row.began, [tool.name for tool in row.tools]) for row in rows] == [
        ("start", ["search"]),
        ("other_tools", []),
    ]
    assert shown(rows[1])[2] == "assistant:two"


def test_an_edited_history_begins_another_row(chat, trace):
    """Whoever shortens what was said trains on what the model saw."""
    agent = chat()
    agent.ask("one", "two")
    agent.history = [agent.history[0], Message(role="assistant", content="[they talked]")]
    agent.ask("three", "four")

    rows = Messages()([trace("ro-1", *chat.log)]).rows

    assert [row.began for row in rows] == ["start", "edited_history"]
    assert shown(rows[1]) == ["system:You add.", "assistant:[they talked]", "user:three", "ASSISTANT:FOUR"]


def test_by_call_each_answer_is_a_row(chat, trace):
    """What was said before is history in each."""
    agent = chat()
    agent.ask("one", "two")
    agent.ask("three", "four")

    rows = Messages("call")([trace("ro-1", *chat.log)]).rows

    assert [row.began for row in rows] == ["call", "call"]
    assert shown(rows[1]) == ["system:You add.", "user:one", "assistant:two", "user:three", "ASSISTANT:FOUR"]


# --- tools


def test_tool_calls_keep_their_ids_and_their_arguments_to_the_letter(chat, trace, message, search):
    """Also two at once, also what is no JSON: as the model wrote them."""
    agent = chat(tools=[search])
    wish = message("assistant", None, calls=[("c1", "search", '{"q":  "a"}'), ("c2", "search", "not json")])
    agent.ask("one", wish)
    agent.history.append(message("tool", "A", answers="c1"))
    agent.ask(message("tool", "B", answers="c2"), "done", extra={"parallel_tool_calls": True})

    (row,) = Messages()([trace("ro-1", *chat.log)]).rows

    assert [(call.id, call.arguments) for call in row.messages[2].tool_calls] == [
        ("c1", '{"q":  "a"}'),
        ("c2", "not json"),
    ]
    assert [one.tool_call_id for one in row.messages if one.role == "tool"] == ["c1", "c2"]
    assert row.trained == (False, False, True, False, False, True)


@pytest.mark.parametrize(
    "echo",
    [
        {"content": ""},
        {"content": [{"type": "text", "text": ""}]},
        {"calls": [("c1", "search", '{"q": 1, "r": 2}')]},
        {"calls": [("c1", "search", '{ "r":2, "q":1 }')], "extra": {"refusal": None, "$blocks": []}},
    ],
    ids=["empty", "in parts", "other spaces", "another order"],
)
def test_what_clients_do_to_an_answer_breaks_no_conversation(chat, trace, message, search, echo):
    """And the row has the answer as the model gave it."""
    agent = chat(tools=[search])
    wish = message("assistant", None, calls=[("c1", "search", '{"q": 1, "r": 2}')])
    agent.ask("one", wish, echo=message("assistant", **{"calls": [("c1", "search", '{"q":1,"r":2}')], **echo}))
    agent.ask(message("tool", "A", answers="c1"), "done")

    (row,) = Messages()([trace("ro-1", *chat.log)]).rows

    assert row.messages[2] == wish


def test_ids_that_a_client_makes_anew_fit_their_answers(chat, trace, message, search):
    """Some frameworks number tool calls themselves: a result answers the call that it names."""
    agent = chat(tools=[search])
    wish = message("assistant", None, calls=[("theirs", "search", "{}")])
    agent.ask("one", wish, echo=message("assistant", "", calls=[("mine", "search", "{}")]))
    agent.ask(message("tool", "A", answers="mine"), "done")

    (row,) = Messages()([trace("ro-1", *chat.log)]).rows

    assert row.messages[2].tool_calls[0].id == row.messages[3].tool_call_id == "mine"


def test_pictures_stay_as_they_are(chat, trace, message):
    """A part is the provider's own; a mark of its cache that comes and goes is no other part."""
    picture = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AA"}}
    agent = chat()
    agent.ask(
        message("user", [picture, {"type": "text", "text": "What?", "cache_control": {"type": "ephemeral"}}]), "x"
    )
    agent.history[1] = message("user", [picture, {"type": "text", "text": "What?"}])
    agent.ask("more", "y")

    (row,) = Messages()([trace("ro-1", *chat.log)]).rows

    assert row.messages[1].content[0] == picture
    assert row.call_ids == ("ca-0", "ca-1")


# --- what is left out, and why


def test_who_is_left_out_has_a_reason(chat, trace, call, message):
    """The first that holds, in the order of the docstring."""
    ask = [message("user", "?")]
    calls = (
        call("failed", ask, status="error"),
        call("silent", ask, ""),
        call("prompt", ask, "x", dialect="openai.completions"),
        call("unread", [], "x"),
        call("lost", ask, "x", dialect="openai.responses", extra={"previous_response_id": "resp-gone"}),
        call("kept apart", ask, "x", dialect="openai.responses", extra={"conversation": "conv-1"}),
        call("judge", ask, "x", role="judge"),
        call("fine", ask, "x"),
    )

    adapted = Messages()([trace("ro-1", *calls), trace("ro-2", call("masked", ask, "x"), exit_status="worker_lost")])

    assert reasons(adapted) == {
        "failed": "call_failed", "silent": "empty", "prompt": "no_chat", "unread": "no_chat",
        "lost": "history_elsewhere", "kept apart": "history_elsewhere", "masked": "masked:worker_lost",
    }  # fmt: skip
    assert adapted.captured == adapted.kept + 7 == 8


def test_without_a_reward_a_transcript_is_one_all_the_same(call, trace, message):
    """Words need none; where rewards decide, a missing one is never a zero."""
    unscored = trace("ro-1", call("c", [message("user", "?")], "x"), reward=None)

    assert [row.reward for row in Messages()([unscored]).rows] == [None]
    assert reasons(Messages(at_least=-1.0)([unscored])) == {"c": "no_reward"}
    assert reasons(Messages(best_of=1)([unscored])) == {"c": "no_reward"}


def test_another_reward_may_count(call, trace, message, reward):
    """By its name, also where it was the first of several and trains as the primary one; the last that was given."""
    first = reward("ro-1", 0.25, evidence={"agentlightning.reward.0.name": "exact"})
    others = [reward("ro-1", value, name="style") for value in (0.5, 0.75)]
    given = tuple(TraceReward(id=str(at), given=one) for at, one in enumerate([first, *others]))
    named = replace(trace("ro-1", call("c", [message("user", "?")], "x"), reward=None), rewards=given)

    found = {name: Messages(reward=name)([named]).rows[0].reward for name in ("primary", "exact", "style", "other")}

    assert found == {"primary": 0.25, "exact": 0.25, "style": 0.75, "other": None}


def test_the_bar_itself_is_enough(call, trace, message):
    """`at_least` means at least."""
    batch = [trace(f"ro-{value}", call(f"c{value}", [message("user", "?")], "x"), reward=value) for value in (0.4, 0.5)]

    adapted = Messages(at_least=0.5)(batch)

    assert [row.rollout_id for row in adapted.rows] == ["ro-0.5"]
    assert reasons(adapted) == {"c0.4": "below_threshold"}


def test_the_best_of_each_task_are_kept(call, trace, message):
    """So many of each task; of equals the earlier."""
    ask = [message("user", "?")]
    batch = [
        trace(name, call(name, ask, "x"), reward=reward, task_id=task)
        for name, reward, task in [
            ("a1", 0.5, "a"),
            ("a2", 1.0, "a"),
            ("a3", 1.0, "a"),
            ("a4", 1.0, "a"),
            ("b1", 0, "b"),
        ]
    ]

    adapted = Messages(best_of=2)(batch)

    assert [row.rollout_id for row in adapted.rows] == ["a2", "a3", "b1"]
    assert reasons(adapted) == {"a1": "not_best", "a4": "not_best"}


def test_only_what_succeeded(call, trace, message):
    """A time-out is the policy's own, and no example of how to do it."""
    late = trace("ro-1", call("c", [message("user", "?")], "x"), status="failed", exit_status="timeout")

    assert Messages()([late]).kept == 1
    assert reasons(Messages(succeeded=True)([late])) == {"c": "not_succeeded"}


class HalfEach:
    """Gives each call half of what the one before has; one of them gets nothing."""

    name = "half"

    def __call__(self, traces):
        """A credit for each call but those that say no."""
        calls = [call for one in traces for call in one.calls if call.call_id != "ca-2"]
        rows = [self._credit(call, 0.5**at) for at, call in enumerate(calls)]
        lost = [Dropped(call_id="ca-2", rollout_id="ro-1", reason="too_late")]
        return Adapted(rows=rows, dropped=lost, kept=len(rows))

    def _credit(self, call, weight):
        term = Term(reward_id=None, rollout_id="ro-1", name="p", judge="j", value=1.0, weight=weight, why="")
        return Credit(call_id=call.call_id, rollout_id=call.rollout_id, rule="half", terms=(term,))


def test_with_a_rule_a_transcript_earned_the_mean_of_its_calls(chat, trace):
    """And a call that the rule has nothing for is dropped with the rule's reason."""
    agent = chat()
    for turn in ("one", "two", "three"):
        agent.ask(turn, turn)

    adapted = Messages(credit=HalfEach())([trace("ro-1", *chat.log, reward=None)])

    assert [row.reward for row in adapted.rows] == [0.75]
    assert reasons(adapted) == {"ca-2": "too_late"}


@pytest.mark.parametrize("options", [{"level": "turn"}, {"best_of": 0}, {"credit": "final"}])
def test_options_that_mean_nothing_are_refused(options):
    """Where they are given, not where they are used."""
    with pytest.raises(BadValue):
        Messages(**options)
