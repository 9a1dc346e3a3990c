"""Records what the `openai` SDK sends to `responses`: writes `requests-<version>.json` beside itself.

Everything goes to a loopback server; what it answers is enough for the SDK to go on.
"""

from __future__ import annotations

import json
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import openai
from pydantic import BaseModel

HERE = Path(__file__).parent
PIXEL = "data:image/png;base64,iVBORw0KGgo="
ADD = {
    "type": "function",
    "name": "add",
    "description": "a + b",
    "parameters": {"type": "object", "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}}},
    "strict": False,
}
ANSWER = {
    "id": "resp_1",
    "object": "response",
    "created_at": 1,
    "status": "completed",
    "model": "policy",
    "output": [
        {"id": "rs_1", "type": "reasoning", "summary": [{"type": "summary_text", "text": "2 and 2"}]},
        {
            "id": "msg_1",
            "type": "message",
            "role": "assistant",
            "status": "completed",
            "content": [{"type": "output_text", "text": '{"number": 4}', "annotations": [], "logprobs": []}],
        },
        {
            "id": "fc_1",
            "type": "function_call",
            "call_id": "call_1",
            "name": "add",
            "arguments": '{"a": 2, "b": 2}',
            "status": "completed",
        },
    ],
    "parallel_tool_calls": True,
    "tool_choice": "auto",
    "tools": [],
}


class Number(BaseModel):
    """What is parsed."""

    number: int


class Server(ThreadingHTTPServer):
    """Keeps what it is asked."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), Handler)
        self.bodies: list[dict[str, Any]] = []


class Handler(BaseHTTPRequestHandler):
    """Answers every request alike, streamed if it is to be."""

    server: Server

    def do_POST(self) -> None:
        """Keep the body."""
        body = json.loads(self.rfile.read(int(self.headers["content-length"])))
        self.server.bodies.append(body)
        streams = body.get("stream")
        self.send_response(200)
        self.send_header("content-type", "text/event-stream" if streams else "application/json")
        self.end_headers()
        self.wfile.write(_events() if streams else json.dumps(ANSWER).encode())

    def log_message(self, *args: object) -> None:
        """Say nothing."""


def _events() -> bytes:
    created = {"type": "response.created", "response": {**ANSWER, "output": []}, "sequence_number": 0}
    completed = {"type": "response.completed", "response": ANSWER, "sequence_number": 1}
    return b"".join(f"event: {one['type']}\ndata: {json.dumps(one)}\n\n".encode() for one in (created, completed))


def ask(client: openai.OpenAI) -> None:
    """A request of every kind."""
    client.responses.create(model="policy", input="2+2?")
    client.responses.create(
        model="policy",
        instructions="Answer with a number.",
        input=[{"role": "user", "content": "2+2?"}],
        temperature=1,
        top_p=0.5,
        max_output_tokens=64,
        store=False,
        metadata={"who": "ann"},
        extra_body={"top_k": 5, "seed": 3},
    )
    client.responses.create(
        model="policy",
        input=[
            {"role": "system", "content": "Be brief."},
            {"role": "developer", "content": [{"type": "input_text", "text": "Be kind."}]},
            {
                "type": "message",
                "role": "user",
                "content": [
                    {"type": "input_text", "text": "What is it?"},
                    {"type": "input_image", "image_url": PIXEL, "detail": "low"},
                    {"type": "input_image", "file_id": "file-1", "detail": "auto"},
                    {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AA=="},
                    {"type": "input_file", "file_url": "https://example.org/a.pdf"},
                ],
            },
        ],
    )
    first = client.responses.create(
        model="policy",
        input="2+2?",
        tools=[
            ADD,
            {"type": "web_search"},
            {"type": "function", "name": "now", "parameters": None, "strict": True},
            {"type": "custom", "name": "shell", "description": "Runs it."},
        ],
        tool_choice={"type": "function", "name": "add"},
        parallel_tool_calls=False,
        include=["reasoning.encrypted_content"],
    )
    answered = {"type": "function_call_output", "call_id": "call_1", "output": "4"}
    client.responses.create(
        model="policy", input=[{"role": "user", "content": "2+2?"}, *first.output, answered], tools=[ADD]
    )
    client.responses.create(model="policy", input=[answered], previous_response_id=first.id, tools=[ADD])
    client.responses.create(
        model="policy",
        input=[
            {"role": "user", "content": "2+2 and 3+3?"},
            {"type": "item_reference", "id": "rs_1"},
            {"type": "function_call", "call_id": "c1", "name": "add", "arguments": '{"a": 2'},
            {"type": "function_call", "call_id": "c2", "name": "add", "arguments": "{}"},
            {"type": "function_call_output", "call_id": "c1", "output": [{"type": "input_text", "text": "no"}]},
            {"type": "function_call_output", "call_id": "c2", "output": "6", "status": "completed"},
            {"role": "assistant", "content": "Six."},
            {"role": "assistant", "content": "I think."},
            {"type": "custom_tool_call", "call_id": "c3", "name": "shell", "input": "ls"},
            {"type": "custom_tool_call_output", "call_id": "c3", "output": "a.pdf"},
            {"role": "user", "content": "Sure?"},
        ],
        reasoning={"effort": "low", "summary": "auto"},
        truncation="auto",
    )
    client.responses.parse(model="policy", input="2+2?", text_format=Number)
    with client.responses.stream(model="policy", input="2+2?", tools=[ADD]) as stream:
        stream.until_done()
    for _ in client.responses.create(
        model="policy",
        input="2+2?",
        stream=True,
        include=["message.output_text.logprobs"],
        top_logprobs=2,
        extra_body={"return_token_ids": True},
    ):
        pass


def main() -> None:
    """Ask a server of ours, and write down what came."""
    with Server() as server:
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none") as client:
            ask(client)
        server.shutdown()
    found = json.dumps(server.bodies, indent=1, ensure_ascii=False)
    (HERE / f"requests-{openai.__version__}.json").write_text(found + "\n")


if __name__ == "__main__":
    main()
