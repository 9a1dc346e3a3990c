"""What agent frameworks really send is understood, whole, and comes back; and the tap saw all of it: see record.py."""

from __future__ import annotations

import copy
import itertools
import json
import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from agl_core.events import Message, ModelCall
from agl_core.wire import DIALECTS, anthropic_messages, openai_chat, openai_completions, openai_responses
from agl_core.wire.dialect import Dialect

CORPUS = Path(__file__).parent / "corpus" / "frameworks"
PAGE = Path(__file__).parents[3] / "docs" / "reference" / "wire.md"
ROUTES = {dialect.ROUTE: dialect for dialect in DIALECTS.values()}
CHATS: tuple[Dialect, ...] = (openai_chat, openai_responses, anthropic_messages)
"""Those that can say what the others say."""


@dataclass(frozen=True, kw_only=True)
class Sent:
    """A request that a framework made."""

    dialect: Dialect
    body: dict[str, Any]

    @property
    def call(self) -> ModelCall:
        """As it is read."""
        return self.dialect.request(self.body)


def _files() -> Iterator[tuple[str, dict[str, Any]]]:
    for path in sorted(CORPUS.glob("*/*.json")):
        for name, story in json.loads(path.read_text())["stories"].items():
            yield f"{path.parent.name}-{path.stem}-{name}", story


def _demanded(dialect: Dialect, body: dict[str, Any]) -> tuple[bool, Any]:
    """Whether a tool must be called, and the schema that the answer must have."""
    must = body.get("tool_choice") in ("required", {"type": "any"})
    if dialect is openai_chat:
        return must, body.get("response_format", {}).get("json_schema", {}).get("schema")
    form = body.get("text" if dialect is openai_responses else "output_config", {}).get("format", {})
    return must, form.get("schema")


STORIES = [pytest.param(story, id=name) for name, story in _files()]
SENT = [
    pytest.param(Sent(dialect=ROUTES[request["route"]], body=request["body"]), id=f"{name}-{place}")
    for name, story in _files()
    for place, request in enumerate(story["requests"])
]
CHATTED = [param for param in SENT if param.values[0].dialect in CHATS]
TURNED = [
    pytest.param(sent, other, id=f"{param.id}-as-{other.NAME}")
    for param in CHATTED
    for sent in param.values
    for other in CHATS
    if other is not sent.dialect
]


@pytest.mark.parametrize("story", STORIES)
def test_the_tap_saw_every_request(story: dict[str, Any]):
    """As many calls in the log as the model was asked."""
    assert story["tapped"] == story["asked"] == len(story["requests"]) > 0


@pytest.mark.parametrize("line", ["latest", "one-venv"])
def test_every_framework_used_its_tool(line: str):
    """Some request of each brings back what the tool gave."""
    unused = []
    for path in sorted((CORPUS / line).glob("*.json")):
        told = json.loads(path.read_text())["stories"].values()
        if not any("42" in json.dumps(story["requests"][1:]) for story in told):
            unused.append(path.stem)

    assert not unused


@pytest.mark.parametrize("sent", SENT)
def test_a_request_is_understood(sent: Sent):
    """Model, messages and sampling are words of ours, and none of them is kept a second time."""
    call = sent.call

    assert (call.model, call.dialect) == (sent.body["model"], sent.dialect.NAME)
    assert call.messages
    assert not call.extra.keys() & {"model", "messages", "input", "prompt", "system", "instructions", "temperature"}
    assert call.sampling.temperature == sent.body.get("temperature")
    assert call.sampling.max_tokens == next(
        (sent.body[name] for name in ("max_tokens", "max_completion_tokens", "max_output_tokens") if name in sent.body),
        None,
    )


@pytest.mark.parametrize("sent", CHATTED)
def test_no_message_is_left_out(sent: Sent):
    """Each turn is one of ours; a tool's result is one, whatever it came with; what the model said at once is one."""
    assert [message.role for message in sent.call.messages] == list(_roles(sent))


@pytest.mark.parametrize("sent", CHATTED)
def test_tools_and_what_came_of_them_are_understood(sent: Sent):
    """What is offered, what the model wished for, and what it was given, by the id of the call."""
    offered, wishes, results = _tools(sent)
    call = sent.call

    assert [tool.name for tool in call.tools] == offered
    assert all(tool.parameters for tool in call.tools)
    assert {
        one.id: (one.name, json.loads(one.arguments)) for message in call.messages for one in message.tool_calls
    } == wishes
    assert {one.tool_call_id: _text(one) for one in call.messages if one.role == "tool"} == results


@pytest.mark.parametrize("sent", SENT)
def test_a_request_comes_back_as_it_was(sent: Sent):
    """Neither a field less nor a field more; in a chat, content that is absent is said to be null."""
    assert sent.dialect.render_request(sent.call) == _spelt(sent)


@pytest.mark.parametrize("sent", SENT)
def test_what_nobody_knows_yet_comes_back(sent: Sent):
    """A field of tomorrow: of the request, of every turn, and of every tool."""
    body = copy.deepcopy(sent.body) | {"of_tomorrow": {"deep": [1, None]}}
    named = [body.get(name) for name in ("messages", "input", "tools")]
    for part in itertools.chain.from_iterable(one for one in named if isinstance(one, list)):
        if isinstance(part, dict):
            part["of_tomorrow"] = {"deep": True}
    later = Sent(dialect=sent.dialect, body=body)

    assert sent.dialect.render_request(later.call) == _spelt(later)
    assert later.call.tools == sent.call.tools
    assert [_said(one) for one in later.call.messages] == [_said(one) for one in sent.call.messages]


@pytest.mark.parametrize(
    ("sent", "other"), [param for param in TURNED if any(_demanded(param.values[0].dialect, param.values[0].body))]
)
def test_what_a_framework_demands_is_demanded_in_another_dialect(sent: Sent, other: Dialect):
    """That a tool is called, and of what form the answer is."""
    told = other.render_request(sent.call)

    assert _demanded(other, told) == _demanded(sent.dialect, sent.body)


@pytest.mark.parametrize(("sent", "other"), TURNED)
def test_a_request_means_the_same_in_another_dialect(sent: Sent, other: Dialect):
    """Roles, texts, tools, wishes with their arguments, and results with their ids."""
    call = sent.call

    told = other.request(other.render_request(call))

    assert _meaning(told) == _meaning(call)
    assert [(one.name, one.description, one.parameters) for one in told.tools] == [
        (one.name, one.description, one.parameters) for one in call.tools
    ]
    assert told.sampling.temperature == call.sampling.temperature
    assert told.sampling.max_tokens == call.sampling.max_tokens or call.sampling.max_tokens is None


def test_every_dialect_is_spoken():
    """By some framework, streamed where it can be."""
    spoken = {param.values[0].dialect.NAME for param in SENT}
    streamed = {param.values[0].dialect.NAME for param in SENT if param.values[0].body.get("stream")}

    assert spoken == set(DIALECTS)
    assert streamed == {*(dialect.NAME for dialect in CHATS), openai_completions.NAME}


@pytest.mark.parametrize("path", sorted(CORPUS.glob("*/*.json")), ids=lambda path: f"{path.parent.name}-{path.stem}")
def test_the_reference_names_what_was_recorded(path: Path):
    """In a row of its own, with its version."""
    package, version = next(iter(json.loads(path.read_text())["packages"].items()))
    name = package.removesuffix("-agentchat").removesuffix("-slim").removeprefix("openai-").replace("-", " ")

    rows = [line for line in PAGE.read_text().splitlines() if line.startswith("|")]

    assert any(name in row.lower() and version in row for row in rows)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["anthropic", "openai"])
def test_what_is_recorded_here_is_what_was_recorded(name: str, tmp_path: Path):
    """Of the versions that are here: the recorder works, and nothing in it differs from run to run."""
    pytest.importorskip(name)
    here = os.pathsep.join([str(CORPUS), os.environ.get("PYTHONPATH", "")])
    script = f"import record; record.tell({name!r}, {str(tmp_path / 'told.json')!r})"

    subprocess.run([sys.executable, "-c", script], check=True, env={**os.environ, "PYTHONPATH": here}, timeout=120)

    told = json.loads((tmp_path / "told.json").read_text())
    recorded = [json.loads(path.read_text()) for path in CORPUS.glob(f"*/{name}.json")]
    if told["packages"] not in [one["packages"] for one in recorded]:
        pytest.skip(f"{told['packages']} was not recorded")
    assert told in recorded


def _spelt(sent: Sent) -> dict[str, Any]:
    if sent.dialect is not openai_chat:
        return sent.body
    return sent.body | {"messages": [{"content": None, **one} for one in sent.body["messages"]]}


def _roles(sent: Sent) -> Iterator[str]:
    """Of the messages that there should be, from the body itself."""
    body = sent.body
    if body.get("instructions") or body.get("system"):
        yield "system"
    turns = body["input"] if sent.dialect is openai_responses else body["messages"]
    before = None
    for turn in [{"role": "user"}] if isinstance(turns, str) else turns:
        kind, content = turn.get("type"), turn.get("content")
        if kind == "function_call_output":
            role = "tool"
        elif sent.dialect is openai_responses:
            role = turn.get("role", "assistant")
            if role == before == "assistant":
                continue
        elif sent.dialect is anthropic_messages and isinstance(content, list):
            runs = itertools.groupby(content, lambda block: block["type"] == "tool_result")
            for is_result, run in runs:
                yield from ["tool"] * len(list(run)) if is_result else [turn["role"]]
            continue
        else:
            role = turn["role"]
        yield role
        before = role


def _tools(sent: Sent) -> tuple[list[str], dict[str, Any], dict[str, str]]:
    """Names offered, wishes and results by id, from the body itself."""
    body = sent.body
    offered = [tool.get("function", tool)["name"] for tool in body.get("tools") or ()]
    if sent.dialect is openai_chat:
        wishes = [one for turn in body["messages"] for one in turn.get("tool_calls") or ()]
        given = [turn for turn in body["messages"] if turn["role"] == "tool"]
        return (
            offered,
            {one["id"]: (one["function"]["name"], json.loads(one["function"]["arguments"])) for one in wishes},
            {one["tool_call_id"]: _plain(one["content"]) for one in given},
        )
    if sent.dialect is openai_responses:
        items = [] if isinstance(body["input"], str) else body["input"]
        wishes = [one for one in items if one.get("type") == "function_call"]
        given = [one for one in items if one.get("type") == "function_call_output"]
        return (
            offered,
            {one["call_id"]: (one["name"], json.loads(one["arguments"])) for one in wishes},
            {one["call_id"]: _plain(one["output"]) for one in given},
        )
    blocks = [one for turn in body["messages"] if isinstance(turn["content"], list) for one in turn["content"]]
    return (
        offered,
        {one["id"]: (one["name"], one["input"]) for one in blocks if one["type"] == "tool_use"},
        {one["tool_use_id"]: _plain(one["content"]) for one in blocks if one["type"] == "tool_result"},
    )


def _meaning(call: ModelCall) -> tuple[str, list[tuple[Any, ...]]]:
    """Orders in one text, then turns; two that follow each other and have one role are one turn."""
    orders = [_text(one) for one in call.messages if one.role in ("system", "developer")]
    turns: list[tuple[Any, ...]] = []
    for message in call.messages:
        role, text, wishes, answers = _said(message)
        if role in ("system", "developer") or not (text or wishes or answers):
            continue
        if turns and turns[-1][0] == role != "tool":
            _, earlier, wished, _ = turns.pop()
            text, wishes = earlier + text, wished + wishes
        turns.append((role, text, wishes, answers))
    return "\n\n".join(orders), turns


def _said(message: Message) -> tuple[str, str, list[Any], str | None]:
    wishes = [(one.id, one.name, json.loads(one.arguments)) for one in message.tool_calls]
    return message.role, _text(message), wishes, message.tool_call_id


def _text(message: Message) -> str:
    return _plain(message.content)


def _plain(content: Any) -> str:
    if isinstance(content, list):
        return "".join(part if isinstance(part, str) else part.get("text", "") for part in content)
    return content or ""
