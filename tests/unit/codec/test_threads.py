"""Threads that are the first to use a class of events, all at once."""

import os
import subprocess
import sys

PROGRAM = """
import faulthandler, sys, threading
from agl_core.codec import Codec
from agl_core.events import CallRecorded, Message, ModelCall

faulthandler.enable()
sys.setswitchinterval(1e-6)
codec = Codec()
event = CallRecorded(
    call_id="c", rollout_id="r", attempt_id="a", started_at=0, latency=0.5,
    call=ModelCall(model="m", messages=(Message(role="user", content="x"),), prompt_token_ids=tuple(range(50))),
)
together = threading.Barrier(8)

def work():
    together.wait()
    for _ in range(3):
        encoded = codec.encode(event)
        assert codec.decode(encoded.type, encoded.schema, encoded.data, encoded.blobs.__getitem__) == event

threads = [threading.Thread(target=work) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
"""


def test_they_do_not_crash_the_process():
    """What learns the fields of a class is not safe for threads; without a lock one process in three died here."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}

    ended = [subprocess.run([sys.executable, "-c", PROGRAM], env=environment, check=False).returncode for _ in range(6)]

    assert ended == [0] * 6
