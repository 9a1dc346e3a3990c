"""Agent Lightning's name for it: dicts of OpenAI's chat, one for each answer."""

from agl_messages import TraceToMessages


def test_each_answer_is_a_dict_of_messages_and_tools(chat, trace, message, search):
    """With tool calls as OpenAI has them; `tools` is null where none were offered."""
    agent = chat(tools=[search])
    agent.ask("one", message("assistant", None, calls=[("c1", "search", "{}")]))
    agent.ask(message("tool", "A", answers="c1"), "done", tools=())

    first, second = TraceToMessages()(trace("ro-1", *chat.log))

    wish = {"id": "c1", "type": "function", "function": {"name": "search", "arguments": "{}"}}
    assert first["messages"][1:] == [
        {"role": "user", "content": "one"},
        {"role": "assistant", "content": None, "tool_calls": [wish]},
    ]
    assert first["tools"][0]["function"]["name"] == "search"
    assert second["messages"][3:] == [
        {"role": "tool", "content": "A", "tool_call_id": "c1"},
        {"role": "assistant", "content": "done"},
    ]
    assert second["tools"] is None


def test_nobody_asks_for_a_reward(call, trace, message):
    """It is for looking at what was said: also where a rollout failed, and of several traces at once."""
    ask = [message("user", "?")]
    failed = trace("ro-1", call("a", ask, "x"), reward=None, status="failed", exit_status="agent_raised")

    said = TraceToMessages().adapt([failed, trace("ro-2", call("b", ask, "y"), call("c", ask, "z", role="judge"))])

    assert [one["messages"][-1]["content"] for one in said] == ["x", "y"]
