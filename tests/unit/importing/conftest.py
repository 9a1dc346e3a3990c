"""Sources to import, a log to import into, and what is in it then."""

import json
import threading
from collections import Counter
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import pytest

from agl_core.importing import _v03_client
from agl_core.log import SqliteLog
from agl_core.projections import CORE
from agl_core.store import Queries

ANSWERS = Path(__file__).parent / "v03" / "answers.json"


@pytest.fixture
def log(tmp_path):
    """A log in a file of its own."""
    with SqliteLog(tmp_path / "run.db", projections=CORE) as opened:
        yield opened


@pytest.fixture
def lines(tmp_path):
    """Writes a file of JSON lines; text is a line as it is."""

    def write(*said, name="source.jsonl"):
        path = tmp_path / name
        path.write_text("".join((one if isinstance(one, str) else json.dumps(one)) + "\n" for one in said))
        return path

    return write


@pytest.fixture
def traces(log):
    """What each rollout in the log left, in the order they were imported."""

    def read():
        ids = [id_ for (id_,) in log.rows("select rollout_id from rollouts order by position")]
        return Queries(log).traces(ids)

    return read


class V03:
    """A server with the recorded answers of a real store, and a count of what it was asked."""

    def __init__(self):
        self.answers = json.loads(ANSWERS.read_text())
        self.asked = Counter()
        served = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self):
                served.asked[self.path] += 1
                answer = served.answers.get(self.path, {"status": 404, "body": {"detail": "Not Found"}})
                body = json.dumps(answer["body"]).encode()
                self.send_response(answer["status"])
                self.send_header("content-type", "application/json")
                self.send_header("content-length", str(len(body)))
                self.end_headers()
                self.wfile.write(body)

            def log_message(self, *_arguments):
                """Say nothing."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self._thread = threading.Thread(target=self._server.serve_forever, args=(0.01,))

    def __enter__(self):
        self._thread.start()
        return self

    def __exit__(self, *_error):
        self._server.shutdown()
        self._thread.join()
        self._server.server_close()

    @property
    def url(self):
        """Where it listens."""
        return f"http://127.0.0.1:{self._server.server_port}"


@pytest.fixture
def v03(monkeypatch):
    """A store of v0.3: agentlightning 0.3.0's own answers, recorded by v03/record.py with pages of three."""
    monkeypatch.setattr(_v03_client, "_PAGE", 3)
    with V03() as served:
        yield served
