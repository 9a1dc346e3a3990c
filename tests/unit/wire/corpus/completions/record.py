"""What the OpenAI SDK sends for text completions, written beside this file: `python record.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai

HERE = Path(__file__).parent
ANSWER = {"id": "cmpl-1", "object": "text_completion", "created": 1, "model": "policy", "choices": []}

ASKED: dict[str, Callable[[openai.OpenAI], Any]] = {
    "text": lambda client: client.completions.create(model="policy", prompt="2+2="),
    "texts": lambda client: client.completions.create(
        model="policy", prompt=["2+2=", "3+3="], n=2, best_of=3, max_tokens=4, stop=["\n", "."], logprobs=0, echo=True
    ),
    "ids": lambda client: client.completions.create(
        model="policy",
        prompt=[1, 2, 3],
        suffix=".",
        seed=7,
        temperature=0,
        top_p=0.5,
        stop="\n",
        logit_bias={"50256": -100},
        user="ann",
        extra_body={"top_k": 5, "return_token_ids": True},
    ),
    "lists_of_ids": lambda client: client.completions.create(model="policy", prompt=[[1, 2], [3]]),
    "streamed": lambda client: list(client.completions.create(model="policy", prompt="2+2=", stream=True)),
    "streamed_with_usage": lambda client: list(
        client.completions.create(
            model="policy", prompt="2+2=", stream=True, stream_options={"include_usage": True}, logprobs=2
        )
    ),
}


class Ear(BaseHTTPRequestHandler):
    """Answers with nothing, and keeps what it heard."""

    heard: dict[str, Any]

    def do_POST(self) -> None:
        """Any route."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).heard = {"path": self.path, "body": body}
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
        if body.get("stream"):
            answer = b"data: " + answer + b"\n\ndata: [DONE]\n\n"
            self.send_header("Content-Type", "text/event-stream")
        else:
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(answer)))
        self.end_headers()
        self.wfile.write(answer)

    def log_message(self, *_: object) -> None:
        """Say nothing."""


def record() -> None:
    """Ask everything once, and write a file for each."""
    with HTTPServer(("127.0.0.1", 0), Ear) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        client = openai.OpenAI(base_url=f"http://127.0.0.1:{server.server_port}/v1", api_key="none", max_retries=0)
        for name, ask in ASKED.items():
            ask(client)
            heard = {"sdk": f"openai {openai.__version__}", **Ear.heard}
            (HERE / f"{name}.json").write_text(json.dumps(heard, indent=2, ensure_ascii=False) + "\n", "utf-8")
        server.shutdown()


if __name__ == "__main__":
    record()
