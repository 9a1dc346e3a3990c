"""The server of a scripted model: requests to the model, and its replies out, piece by piece."""

from __future__ import annotations

import json
import socket
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Event, Thread
from typing import Any, cast

from agl_core.testing._scripted_faults import HungUp
from agl_core.testing._scripted_values import Asked

__all__ = ["Sent", "Server", "event", "json_reply"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Sent:
    """What goes out."""

    status: int = 200
    headers: Mapping[str, str] = field(default_factory=dict)
    pieces: Iterable[bytes]
    """`HungUp` among them closes the connection; each is sent before the next is made."""
    length: int | None = None
    """Null: it comes in chunks."""
    is_silent: bool = False
    """Whether the connection is closed instead."""


def json_reply(status: int, body: Mapping[str, Any], headers: Mapping[str, str] | None = None) -> Sent:
    """A whole body."""
    content = json.dumps(body).encode()
    sent = {"content-type": "application/json", **(headers or {})}
    return Sent(status=status, headers=sent, pieces=(content,), length=len(content))


def event(data: Mapping[str, Any] | str, *, name: str | None = None) -> bytes:
    """One event of a stream."""
    text = data if isinstance(data, str) else json.dumps(data)
    return (f"event: {name}\n" if name else "").encode() + f"data: {text}\n\n".encode()


class Server(ThreadingHTTPServer):
    """A thread for each connection, and one that listens."""

    daemon_threads = True
    request_queue_size = 128

    def __init__(self, listed: Callable[[Asked], Sent], reply: Callable[[Asked], Sent]) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.listed, self.reply = listed, reply
        self.stopped = Event()
        self._open: set[socket.socket] = set()
        self._thread = Thread(target=self.serve_forever, kwargs={"poll_interval": 0.02}, name="scripted-model")

    def start(self) -> None:
        """Listen."""
        self._thread.start()

    def stop(self) -> None:
        """Hang up on everybody."""
        self.stopped.set()
        self.shutdown()
        self._thread.join()
        # Kept-alive connections would keep their threads until the client thinks of closing them.
        for connection in list(self._open):
            try:
                connection.shutdown(socket.SHUT_RDWR)
            except OSError:
                continue  # it is closed already
        self.server_close()

    def wait(self, until: Event) -> None:
        """Wait for what a test sets, at the longest until the server stops."""
        while not until.wait(0.05):
            if self.stopped.is_set():
                raise HungUp

    def process_request(self, request: Any, client_address: Any) -> None:
        """Remember the connection."""
        self._open.add(request)
        super().process_request(request, client_address)

    def shutdown_request(self, request: Any) -> None:
        """Forget it."""
        self._open.discard(request)
        super().shutdown_request(request)

    def handle_error(self, request: Any, client_address: Any) -> None:
        """A client that hung up is no news."""


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    # One packet a piece: with two, Nagle's algorithm and delayed acknowledgements cost 40 ms each time.
    wbufsize = -1
    disable_nagle_algorithm = True

    def do_GET(self) -> None:
        self._send(cast("Server", self.server).listed(self._asked({})))

    def do_POST(self) -> None:
        content = self.rfile.read(int(self.headers.get("content-length", 0)))
        try:
            body = json.loads(content)
        except ValueError:
            body = None
        if isinstance(body, dict):
            self._send(cast("Server", self.server).reply(self._asked(body)))
            return
        said = "the body is no JSON object"
        error = {"message": said, "type": "invalid_request_error", "param": None, "code": "invalid_json"}
        self._send(json_reply(400, {"error": error}))

    def _asked(self, body: Mapping[str, Any]) -> Asked:
        return Asked(body=body, headers={name.lower(): value for name, value in self.headers.items()}, path=self.path)

    def _send(self, reply: Sent) -> None:
        if reply.is_silent:
            self.close_connection = True
            return
        self.send_response(reply.status)
        for name, value in reply.headers.items():
            self.send_header(name, value)
        chunked = reply.length is None
        self.send_header(*(("transfer-encoding", "chunked") if chunked else ("content-length", str(reply.length))))
        self.end_headers()
        if chunked:
            self.wfile.flush()  # a stream that begins late has begun
        try:
            for piece in reply.pieces:
                self.wfile.write(b"%x\r\n%b\r\n" % (len(piece), piece) if chunked else piece)
                self.wfile.flush()
        except HungUp:
            self.close_connection = True
            return
        if chunked:
            self.wfile.write(b"0\r\n\r\n")

    def log_message(self, *_args: Any) -> None:
        """Say nothing: stderr is the test's."""
