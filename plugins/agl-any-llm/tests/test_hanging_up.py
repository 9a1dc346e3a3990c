"""Who hangs up is no longer paid for."""

from __future__ import annotations

import asyncio
import json
import socket
from threading import Event, Thread

import httpx
import pytest
from agl_any_llm import agl_open_engine

BEGUN = {
    "type": "message_start",
    "message": {
        "id": "msg_1",
        "type": "message",
        "role": "assistant",
        "model": "claude",
        "content": [],
        "stop_reason": None,
        "stop_sequence": None,
        "usage": {"input_tokens": 1, "output_tokens": 1},
    },
}
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\nconnection: close\r\n\r\n"


@pytest.fixture
def endless(monkeypatch):
    """A provider whose answer begins and never ends, and that notices when nobody listens."""
    pytest.importorskip("any_llm")
    asked, left = Event(), Event()
    listener = socket.create_server(("127.0.0.1", 0))

    def speak():
        with listener, listener.accept()[0] as line:
            request = line.recv(1 << 16)
            asked.set()
            if b'"stream":true' in request.replace(b" ", b""):
                line.sendall(HEAD + f"event: message_start\ndata: {json.dumps(BEGUN)}\n\n".encode())
            while line.recv(1 << 16):
                pass
            left.set()

    thread = Thread(target=speak, daemon=True)
    thread.start()
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-ant-which-nobody-may-see")
    monkeypatch.setenv("ANTHROPIC_BASE_URL", f"http://127.0.0.1:{listener.getsockname()[1]}")
    yield asked, left
    thread.join(30)


@pytest.mark.parametrize("is_streamed", [False, True])
def test_a_client_that_leaves_takes_its_question_along(endless, is_streamed):
    """The provider is hung up on, whole answer or stream."""
    asked, left = endless
    engine = agl_open_engine(url="any-llm:anthropic/claude", name="judge")
    body = {"model": "judge", "messages": [{"role": "user", "content": "count"}], "stream": is_streamed}

    async def story():
        endpoint = await engine.start()
        headers = {"authorization": f"Bearer {endpoint.api_key}"}
        async with httpx.AsyncClient(headers=headers, timeout=60) as http:
            asking = asyncio.ensure_future(http.post(f"{endpoint.url}/chat/completions", json=body))
            assert await asyncio.to_thread(asked.wait, 30)
            asking.cancel()
            has_left = await asyncio.to_thread(left.wait, 30)
        await engine.stop()
        return has_left

    assert asyncio.run(story())
