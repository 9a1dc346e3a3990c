"""A test double for a model: an OpenAI-compatible server on loopback whose answers are a function of the request."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Condition, Thread
from typing import Any, Self, cast

from agl_core.engine import Endpoint
from agl_core.events import ToolCall

__all__ = ["Answer", "Asked", "Refusal", "ScriptedModel"]

END = 256
"""The token that ends a turn; below it, a token is a byte of UTF-8."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Asked:
    """A request, as it came in."""

    body: Mapping[str, Any]
    headers: Mapping[str, str]
    """Names in lower case."""
    path: str

    @property
    def messages(self) -> Sequence[Mapping[str, Any]]:
        """The chat so far."""
        return cast("Sequence[Mapping[str, Any]]", self.body.get("messages", ()))

    @property
    def last(self) -> str:
        """What the last message says."""
        return str(self.messages[-1].get("content") or "") if self.messages else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Answer:
    """What the model says; what is left out is made from the text."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    finish_reason: str | None = None
    token_ids: tuple[int, ...] | None = None
    """Left out: one token for each byte, then `END`."""
    logprobs: tuple[float, ...] | None = None
    """Left out: numbers that depend on the token and its place."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Refusal:
    """An error, in OpenAI's shape."""

    status: int
    code: str
    message: str = "refused by the script"
    headers: Mapping[str, str] = field(default_factory=dict)


Reply = str | Answer | Refusal | Mapping[str, Any]
"""Text, an answer, a refusal, or a whole body to send as it is."""

Script = Callable[[Asked], Reply]


class ScriptedModel:
    """Answers `POST /v1/chat/completions` with what `script` makes of the request, and keeps every request.

    Used as a context manager. `script` is a constant, or a function that runs in a thread of the request's own:
    it may wait for an event, and what it raises is answered with status 500. A chat is rendered byte by byte, so
    that the prompt of the next turn begins with the prompt and the answer of this one.
    """

    def __init__(
        self, script: Script | Reply = "ok", *, model: str = "policy", max_len: int = 32_768, version: int | None = None
    ) -> None:
        self.model, self.max_len = model, max_len
        self.version = version
        """Reported as `policy_version`; may be set while the server runs."""
        self._script: Script = script if callable(script) else lambda _asked: script
        self._requests: list[Asked] = []
        self._arrived = Condition()
        self._server: _Server | None = None

    @property
    def requests(self) -> tuple[Asked, ...]:
        """Every chat completion that was asked for, in the order they came."""
        with self._arrived:
            return tuple(self._requests)

    @property
    def url(self) -> str:
        """Base URL; ends in `/v1`."""
        if self._server is None:
            raise RuntimeError("it listens only inside its `with` statement")
        return f"http://127.0.0.1:{self._server.server_address[1]}/v1"

    @property
    def endpoint(self) -> Endpoint:
        """What an engine would say of it."""
        return Endpoint(url=self.url, model=self.model, max_len=self.max_len)

    def wait_for_requests(self, count: int, *, timeout: float = 30.0) -> tuple[Asked, ...]:
        """The requests, once there are `count` of them; `TimeoutError` if they do not come."""
        with self._arrived:
            if not self._arrived.wait_for(lambda: len(self._requests) >= count, timeout):
                raise TimeoutError(f"{len(self._requests)} of {count} requests came within {timeout:g} s")
            return tuple(self._requests)

    def start(self) -> None:
        """Listen, on a port that is free."""
        self._server = _Server(self)
        self._server.start()

    def stop(self) -> None:
        """Hang up on everybody, and listen no more; calling it twice is harmless."""
        if self._server is not None:
            self._server.stop()
            self._server = None

    def __enter__(self) -> Self:
        self.start()
        return self

    def __exit__(self, *_exc: object) -> None:
        self.stop()

    def answer(self, asked: Asked) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
        """Status, headers and body for a request."""
        with self._arrived:
            self._requests.append(asked)
            number = len(self._requests)
            self._arrived.notify_all()
        if asked.body.get("model") != self.model:
            said = f"no model {asked.body.get('model')!r}; there is {self.model!r}"
            return _refused(Refusal(status=404, code="model_not_found", message=said))
        if not isinstance(asked.messages, list) or not asked.messages:
            return _refused(Refusal(status=400, code="invalid_value", message="`messages` is a list, and not empty"))
        prompt = _prompt(asked.messages)
        if len(prompt) >= self.max_len:
            said = f"the prompt has {len(prompt)} tokens and this model takes {self.max_len}"
            return _refused(Refusal(status=400, code="context_length_exceeded", message=said))
        try:
            reply = self._script(asked)
        except Exception as error:  # noqa: BLE001 - the rim of the server: a test's script may raise anything
            return _refused(Refusal(status=500, code="script_raised", message=f"{type(error).__name__}: {error}"))
        match reply:
            case Refusal():
                return _refused(reply)
            case str():
                return 200, {}, self._completion(Answer(text=reply), asked, prompt, number)
            case Answer():
                return 200, {}, self._completion(reply, asked, prompt, number)
        return 200, {}, reply

    def _completion(self, answer: Answer, asked: Asked, prompt: list[int], number: int) -> dict[str, Any]:
        calls = [
            {"id": call.id, "type": "function", "function": {"name": call.name, "arguments": call.arguments}}
            for call in answer.tool_calls
        ]
        message: dict[str, Any] = {"role": "assistant", "content": answer.text or (None if calls else "")}
        if calls:
            message["tool_calls"] = calls
        ids = list(_turn(message) if answer.token_ids is None else answer.token_ids)
        limit = asked.body.get("max_completion_tokens") or asked.body.get("max_tokens")
        is_cut = limit is not None and answer.token_ids is None and len(ids) > limit
        if is_cut:
            ids = ids[:limit]
            message = {"role": "assistant", "content": bytes(id_ for id_ in ids if id_ < END).decode(errors="ignore")}
        finish = "length" if is_cut else "tool_calls" if calls else "stop"
        choice: dict[str, Any] = {
            "index": 0,
            "message": message,
            "finish_reason": answer.finish_reason or finish,
            "logprobs": None,
        }
        completion = {
            "id": f"chatcmpl-{number}",
            "object": "chat.completion",
            "created": 1_700_000_000,
            "model": self.model,
            "choices": [choice],
            "usage": {
                "prompt_tokens": len(prompt),
                "completion_tokens": len(ids),
                "total_tokens": len(prompt) + len(ids),
            },
        }
        if self.version is not None:
            completion["policy_version"] = self.version
        if asked.body.get("return_token_ids"):
            completion["prompt_token_ids"] = prompt
            choice["token_ids"] = ids
        if asked.body.get("logprobs"):
            numbers = _logprobs(ids) if answer.logprobs is None else answer.logprobs
            choice["logprobs"] = {
                "content": [
                    {"token": _text(id_), "logprob": number, "bytes": list(_text(id_).encode()), "top_logprobs": []}
                    for id_, number in zip(ids, numbers, strict=True)
                ]
            }
        return completion


class _Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128

    def __init__(self, model: ScriptedModel) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.model = model
        self._open: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-model")

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        self.shutdown()
        self._thread.join()
        # Kept-alive connections would keep their threads until the client thinks of closing them.
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed already
        self.server_close()

    def process_request(self, request: Any, client_address: Any) -> None:
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet a reply: with two, Nagle's algorithm and delayed acknowledgements cost 40 ms each time.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        if self.path.endswith("/models"):
            model = cast("_Server", self.server).model
            listed = {"id": model.model, "object": "model", "created": 0, "owned_by": "test"}
            self._send(200, {}, {"object": "list", "data": [listed]})
        else:
            self._send(*_refused(Refusal(status=404, code="not_found", message=f"GET {self.path} is not served")))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        if not self.path.endswith("/chat/completions"):
            self._send(*_refused(Refusal(status=404, code="not_found", message=f"POST {self.path} is not served")))
            return
        try:
            body = json.loads(content)
        except ValueError as error:
            self._send(*_refused(Refusal(status=400, code="invalid_json", message=str(error))))
            return
        headers = {name.lower(): value for name, value in self.headers.items()}
        self._send(*cast("_Server", self.server).model.answer(Asked(body=body, headers=headers, path=self.path)))

    def _send(self, status: int, headers: Mapping[str, str], body: Mapping[str, Any]) -> None:
        content = json.dumps(body).encode()
        self.send_response(status)
        for name, value in {"content-type": "application/json", **headers}.items():
            self.send_header(name, value)
        self.send_header("content-length", str(len(content)))
        self.end_headers()
        self.wfile.write(content)

    def log_message(self, *_args: Any) -> None:
        """Say nothing: stderr is the test's."""


def _refused(refusal: Refusal) -> tuple[int, Mapping[str, str], Mapping[str, Any]]:
    kind = "invalid_request_error" if refusal.status < 500 else "server_error"
    error = {"message": refusal.message, "type": kind, "param": None, "code": refusal.code}
    return refusal.status, refusal.headers, {"error": error}


def _prompt(messages: Sequence[Mapping[str, Any]]) -> list[int]:
    """The chat as tokens, up to where the model goes on."""
    ids: list[int] = []
    for message in messages:
        ids += [*f"{message.get('role')}:".encode(), *_turn(message)]
    return [*ids, *b"assistant:"]


def _turn(message: Mapping[str, Any]) -> list[int]:
    """What a message says, as tokens; a model's own message gives the very tokens it sampled."""
    content = message.get("content")
    text = content if isinstance(content, str) else "" if content is None else json.dumps(content)
    for call in message.get("tool_calls") or ():
        function = call["function"]
        text += f'<tool_call>{{"name": "{function["name"]}", "arguments": {function["arguments"]}}}</tool_call>'
    return [*text.encode(), END]


def _logprobs(ids: Sequence[int]) -> list[float]:
    """Eighths, so that single precision keeps them as they are."""
    return [-(1 + (id_ + place) % 16) / 8 for place, id_ in enumerate(ids)]


def _text(id_: int) -> str:
    return "<end>" if id_ == END else chr(id_) if id_ < 128 else f"<{id_:#x}>"
