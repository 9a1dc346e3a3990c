"""A run leaves a log by every door there is, and comes back into another by `agl import`: the rows are the same."""

from __future__ import annotations

import asyncio
import json
import struct
from itertools import count

import httpx
import pytest
from click.testing import CliRunner

import agl_core as agl
from agl_core.cli import agl as command
from agl_core.events import ToolCall
from agl_core.export.otlp import told
from agl_core.export.otlp._sending import request
from agl_core.store import Queries
from agl_core.testing import Answer, ScriptedModel

ADD = {"type": "function", "function": {"name": "add", "parameters": {"type": "object"}}}
TASKS = [{"question": "2 + 3?", "answer": 5}, {"question": "4 + 4?", "answer": 8}]


@agl.rollout
async def solve(task: dict, llm: agl.LLM) -> float:
    """Two calls with a tool between them."""
    messages = [{"role": "user", "content": task["question"]}]
    async with httpx.AsyncClient(base_url=llm.endpoint, headers={"authorization": f"Bearer {llm.api_key}"}) as client:
        while True:
            body = {
                "model": llm.model,
                "messages": messages,
                "tools": [ADD],
                "return_token_ids": True,
                "logprobs": True,
            }
            said = (await client.post("/chat/completions", json=body)).json()["choices"][0]["message"]
            messages.append(said)
            if not said.get("tool_calls"):
                return float(said["content"] == f"It is {task['answer']}.")
            for call in said["tool_calls"]:
                numbers = json.loads(call["function"]["arguments"])
                messages.append({"role": "tool", "tool_call_id": call["id"], "content": str(sum(numbers.values()))})


def script():
    """Every third answer is wrong."""
    turns = count()

    def answer(asked):
        if asked.messages[-1]["role"] == "tool":
            return Answer(text="I do not know." if next(turns) % 3 == 2 else f"It is {asked.last}.")
        first, second = map(int, asked.last.rstrip("?").split("+"))
        return Answer(tool_calls=(ToolCall(id="call-1", name="add", arguments=f'{{"a": {first}, "b": {second}}}'),))

    return answer


@pytest.fixture
def path(tmp_path, monkeypatch):
    """The log of a real run: runner, gateway, model and all."""
    monkeypatch.chdir(tmp_path)
    with ScriptedModel(script()) as model:
        trainer = agl.Trainer(
            algorithm=agl.Baseline(n_epochs=2),
            initial_resources={"llm": agl.LLM(endpoint=model.url, model="policy")},
            n_runners=1,
            store=str(tmp_path / "run.db"),
        )
        trainer.fit(solve, train_dataset=TASKS)
    return tmp_path / "run.db"


def traces(path):
    """Of every rollout in a log."""
    with agl.open_log(str(path), readonly=True) as log:
        return Queries(log).traces([id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")])


def rows(path):
    """Of every rollout, what a learner would see; ids are the log's own."""
    agl_triplets = pytest.importorskip("agl_triplets")
    found = agl_triplets.Triplets(min_group=1)(traces(path)).rows
    return sorted((row.task_id, row.token_ids, row.mask, row.logprobs, row.reward, row.temperature) for row in found)


def run(*arguments):
    """A command that must do well; what it said."""
    done = CliRunner().invoke(command, [str(argument) for argument in arguments])
    assert done.exit_code == 0, done.output
    return done.stdout


def test_atif_brings_the_same_rows_to_another_log(path, tmp_path):
    """`agl export atif`, `agl import atif`: tasks, tokens, log-probabilities and rewards."""
    run("export", "atif", "--log", path, "-o", tmp_path / "out")
    run("import", "atif", tmp_path / "out", "--log", tmp_path / "other.db")

    assert len(rows(path)) == 4
    assert rows(tmp_path / "other.db") == rows(path)


@pytest.mark.parametrize("door", ["file", "receiver"])
def test_traces_bring_the_same_rows_to_another_log(path, tmp_path, door):
    """`agl export otlp --include-token-ids`, as a collector writes it down, and as a receiver on loopback gets it."""
    if door == "file":
        exported = [told(trace, token_ids=True) for trace in traces(path)]
        requests = [request(spans) for spans in exported]
    else:
        requests = asyncio.run(received(path))
    source = tmp_path / "traces.binpb"
    source.write_bytes(b"".join(struct.pack(">I", len(raw)) + raw for raw in requests))

    run("import", "otlp", source, "--log", tmp_path / "other.db")

    assert rows(tmp_path / "other.db") == rows(path)


async def received(path):
    """What a receiver on loopback was sent by the command."""
    heard = []

    async def serve(reader, writer):
        head = await reader.readuntil(b"\r\n\r\n")
        length = next(
            int(line.split(b":")[1]) for line in head.split(b"\r\n") if line.lower().startswith(b"content-length")
        )
        raw = await reader.readexactly(length)
        if b"gzip" in head.lower().partition(b"content-encoding")[2][:20]:
            import gzip

            raw = gzip.decompress(raw)
        heard.append(raw)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: application/x-protobuf\r\ncontent-length: 0\r\nconnection: close\r\n\r\n"
        )
        await writer.drain()
        writer.close()

    server = await asyncio.start_server(serve, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    async with server:
        url = f"http://127.0.0.1:{port}"
        await asyncio.to_thread(run, "export", "otlp", "--log", path, "--to", url, "--include-token-ids")
    return heard


def test_chats_bring_the_same_words_to_another_log(path, tmp_path):
    """`agl export openai-sft`, `agl import jsonl`, and out again: the file is the same."""
    pytest.importorskip("agl_messages")
    first, second = tmp_path / "first.jsonl", tmp_path / "second.jsonl"
    run("export", "openai-sft", "--log", path, "-o", first)
    run("import", "jsonl", first, "--log", tmp_path / "other.db")

    run("export", "openai-sft", "--log", tmp_path / "other.db", "-o", second)

    assert sorted(second.read_text().splitlines()) == sorted(first.read_text().splitlines())
