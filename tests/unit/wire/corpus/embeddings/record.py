"""What the OpenAI SDK sends for embeddings, written beside this file: `python record.py`."""

from __future__ import annotations

import json
from collections.abc import Callable
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from threading import Thread
from typing import Any

import openai

HERE = Path(__file__).parent
ANSWER = {
    "object": "list",
    "data": [{"object": "embedding", "index": 0, "embedding": [0.5]}],
    "model": "embedder",
    "usage": {"prompt_tokens": 1, "total_tokens": 1},
}

ASKED: dict[str, Callable[[openai.OpenAI], Any]] = {
    "text": lambda client: client.embeddings.create(model="embedder", input="a cat"),
    "texts": lambda client: client.embeddings.create(
        model="embedder", input=["a cat", "a dog"], dimensions=2, encoding_format="float", user="ann"
    ),
    "ids": lambda client: client.embeddings.create(model="embedder", input=[1, 2, 3]),
    "lists_of_ids": lambda client: client.embeddings.create(
        model="embedder", input=[[1, 2], [3]], extra_body={"truncate_prompt_tokens": 8}
    ),
}


class Ear(BaseHTTPRequestHandler):
    """Answers with one vector, and keeps what it heard."""

    heard: dict[str, Any]

    def do_POST(self) -> None:
        """Any route."""
        body = json.loads(self.rfile.read(int(self.headers["Content-Length"])))
        type(self).heard = {"path": self.path, "body": body}
        answer = json.dumps(ANSWER).encode()
        self.send_response(200)
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
