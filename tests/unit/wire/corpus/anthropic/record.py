"""Records what Anthropic's own client sends, and what it makes of the streams beside this file.

Run with the client installed, from the root of a checkout: `python tests/unit/wire/corpus/anthropic/record.py`. The
requests are sent to a server on this machine. The streams are written by hand, from Anthropic's description of them.
"""

from __future__ import annotations

import json
import threading
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import anthropic

from agl_core.wire import anthropic_messages
from agl_core.wire.sse import Events

HERE = Path(__file__).parent
PNG = "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
PDF = "JVBERi0xLjQKJSVFT0YK"
ANSWER = {
    "id": "msg_01",
    "type": "message",
    "role": "assistant",
    "model": "claude-test",
    "content": [
        {"type": "thinking", "thinking": "It is in Paris.", "signature": "c2ln"},
        {"type": "text", "text": "I ask."},
        {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {"city": "Paris", "days": 2}},
        {"type": "tool_use", "id": "toolu_02", "name": "weather", "input": {"city": "Nîmes"}},
    ],
    "stop_reason": "tool_use",
    "stop_sequence": None,
    "usage": {"input_tokens": 12, "output_tokens": 30},
}
BASE: dict[str, Any] = {
    "model": "claude-test",
    "max_tokens": 256,
    "messages": [{"role": "user", "content": "What is the weather?"}],
}
WEATHER = {
    "name": "weather",
    "description": "The weather of a city.",
    "input_schema": {"type": "object", "properties": {"city": {"type": "string"}}, "required": ["city"]},
}
CACHED = {"cache_control": {"type": "ephemeral"}}


class Server(ThreadingHTTPServer):
    """Keeps the last request, and answers with what it was given."""

    asked: Any = None
    stream: bytes | None = None


class Handler(BaseHTTPRequestHandler):
    """Of one request."""

    server: Server

    def do_POST(self) -> None:
        """Keep what is asked."""
        self.server.asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        stream = self.server.stream
        self.send_response(200)
        self.send_header("Content-Type", "application/json" if stream is None else "text/event-stream")
        self.end_headers()
        self.wfile.write(json.dumps(ANSWER).encode() if stream is None else stream)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


def plain(client: anthropic.Anthropic) -> None:
    """The shortest request there is."""
    client.messages.create(**BASE)


def sampled(client: anthropic.Anthropic) -> None:
    """All that says how tokens are drawn, and who asks."""
    client.messages.create(
        **BASE,
        system="Be brief.",
        stop_sequences=["\n\n", "END"],
        metadata={"user_id": "ann"},
        service_tier="auto",
        extra_body={"temperature": 0.5, "top_p": 0.9, "top_k": 40},  # version 2 of the client has no names for them
    )


def cached(client: anthropic.Anthropic) -> None:
    """A system prompt in blocks, with marks of what is cached."""
    client.messages.create(
        model="claude-test",
        max_tokens=16,
        system=[{"type": "text", "text": "You are terse."}, {"type": "text", "text": "A long text.", **CACHED}],
        messages=[
            {"role": "user", "content": [{"type": "text", "text": "Hi"}]},
            {"role": "assistant", "content": [{"type": "text", "text": "Hello."}]},
            {"role": "user", "content": [{"type": "text", "text": "Again", **CACHED}]},
        ],
    )


def tools(client: anthropic.Anthropic) -> None:
    """An agent's loop: the answer's blocks go back as they came, and two results with them."""
    answer = client.messages.create(**BASE, tools=[WEATHER], thinking={"type": "enabled", "budget_tokens": 1024})
    results: list[Any] = [
        {"type": "tool_result", "tool_use_id": "toolu_01", "content": "Sun"},
        {
            "type": "tool_result",
            "tool_use_id": "toolu_02",
            "content": [
                {"type": "text", "text": "No such city"},
                {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
            ],
            "is_error": True,
        },
        {"type": "text", "text": "Now answer."},
    ]
    client.messages.create(
        model="claude-test",
        max_tokens=256,
        messages=[
            *BASE["messages"],
            {"role": "assistant", "content": answer.content},
            {"role": "user", "content": results},
        ],
        tools=[{**WEATHER, **CACHED}],
        tool_choice={"type": "any", "disable_parallel_tool_use": True},
        thinking={"type": "enabled", "budget_tokens": 1024},
    )


def server_tools(client: anthropic.Anthropic) -> None:
    """Tools that run at the provider, between our own, and what they brought."""
    client.messages.create(
        model="claude-test",
        max_tokens=256,
        messages=[
            *BASE["messages"],
            {
                "role": "assistant",
                "content": [
                    {"type": "server_tool_use", "id": "srvtoolu_01", "name": "web_search", "input": {"query": "Paris"}},
                    {
                        "type": "web_search_tool_result",
                        "tool_use_id": "srvtoolu_01",
                        "content": [
                            {
                                "type": "web_search_result",
                                "url": "https://example.com",
                                "title": "Paris",
                                "encrypted_content": "ZW5j",
                            }
                        ],
                    },
                    {"type": "text", "text": "It is sunny."},
                ],
            },
            {"role": "user", "content": "And tomorrow?"},
        ],
        tools=[{"type": "web_search_20250305", "name": "web_search", "max_uses": 3}, WEATHER],
    )


def images(client: anthropic.Anthropic) -> None:
    """Images with their bytes and by address, and a document."""
    client.messages.create(
        model="claude-test",
        max_tokens=16,
        messages=[
            {
                "role": "user",
                "content": [
                    {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": PNG}},
                    {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}, **CACHED},
                    {
                        "type": "document",
                        "source": {"type": "base64", "media_type": "application/pdf", "data": PDF},
                        "title": "Report",
                        "citations": {"enabled": True},
                    },
                    {"type": "text", "text": "What is this?"},
                ],
            }
        ],
    )


def thoughts(client: anthropic.Anthropic) -> None:
    """Thoughts that were shown and thoughts that were not, before and between the calls."""
    client.messages.create(
        model="claude-test",
        max_tokens=2048,
        thinking={"type": "adaptive"},
        messages=[
            *BASE["messages"],
            {
                "role": "assistant",
                "content": [
                    {"type": "redacted_thinking", "data": "ZGF0YQ=="},
                    {"type": "tool_use", "id": "toolu_01", "name": "weather", "input": {}},
                    {"type": "thinking", "thinking": "Once more.", "signature": "c2ln"},
                    {"type": "tool_use", "id": "toolu_02", "name": "weather", "input": {"city": "Lyon"}},
                ],
            },
            {
                "role": "user",
                "content": [
                    {"type": "tool_result", "tool_use_id": "toolu_02"},
                    {"type": "tool_result", "tool_use_id": "toolu_01", "content": []},
                ],
            },
        ],
        tools=[WEATHER],
    )


def beta(client: anthropic.Anthropic) -> None:
    """Fields that are not in the stable words."""
    client.beta.messages.create(
        **BASE,
        betas=["mcp-client-2025-11-20", "context-management-2025-06-27"],
        mcp_servers=[{"type": "url", "url": "https://example.com/mcp", "name": "example"}],
        tools=[{"type": "mcp_toolset", "mcp_server_name": "example"}, WEATHER],
        context_management={"edits": [{"type": "clear_tool_uses_20250919"}]},
        extra_body={"later_field": {"a": [1, None]}},
    )


REQUESTS: tuple[Callable[[anthropic.Anthropic], None], ...] = (
    plain,
    sampled,
    cached,
    tools,
    server_tools,
    images,
    thoughts,
    beta,
)


def record_stream(server: Server, client: anthropic.Anthropic, path: Path) -> None:
    """What the client makes of a stream: what we make of it, and what it makes of the stream we make of that."""
    server.stream = path.read_bytes()
    assembly = anthropic_messages.assembly(BASE)
    for event in Events().feed(server.stream):
        assembly.add(event)
    seen = client_sees(client)
    write(path.with_suffix(".json"), seen)
    ours = {"error": assembly.error} if assembly.error else assembly.body()
    assert ours == seen, (path, ours, seen)
    if not assembly.error:
        call = anthropic_messages.response(anthropic_messages.request(BASE), seen)
        server.stream = b"".join(anthropic_messages.render_stream(call))
        assert client_sees(client) == seen, path
    server.stream = None


def client_sees(client: anthropic.Anthropic) -> Any:
    """The message of the stream, or the type of the error it ends with."""
    try:
        with client.messages.stream(**BASE) as stream:
            return stream.get_final_message().to_dict(mode="json")
    except anthropic.APIError as error:
        return {"error": error.type}


def write(path: Path, value: Any) -> None:
    """As people read it."""
    path.parent.mkdir(exist_ok=True)
    path.write_text(json.dumps(value, ensure_ascii=False, indent=2) + "\n")


def main() -> None:
    """Write all of it anew."""
    server = Server(("127.0.0.1", 0), Handler)
    threading.Thread(target=server.serve_forever, daemon=True).start()
    client = anthropic.Anthropic(base_url=f"http://127.0.0.1:{server.server_port}", api_key="none", max_retries=0)
    for ask in REQUESTS:
        ask(client)
        write(HERE / "requests" / f"{ask.__name__}.json", server.asked)
    streams = sorted((HERE / "streams").glob("*.sse"))
    for path in streams:
        record_stream(server, client, path)
    write(HERE / "requests" / "streamed.json", server.asked)
    print(f"anthropic {anthropic.__version__}: {len(REQUESTS) + 1} requests, {len(streams)} streams")
    server.shutdown()


if __name__ == "__main__":
    main()
