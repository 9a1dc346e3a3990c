"""What a model call costs on its way through the gateway, next to no proxy and to a bare one on the same stack.

The call is durable in the log before it leaves, and with its answer before the answer comes back.
"""

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

ROUNDS = 7
SERIAL, PARALLEL, AT_ONCE = 300, 1600, 16
ADDED_GOAL = 1.0
"""Milliseconds at the median, one call at a time."""
MESSAGES = [
    {"role": "system", "content": "You solve word problems. " * 10},
    {"role": "user", "content": "A baker has six trays of seven rolls. How many rolls? " * 5},
    {"role": "assistant", "content": "Let me multiply. " * 10},
    {"role": "user", "content": "Go on, and answer with a number."},
]
BODY = json.dumps({"model": "policy", "messages": MESSAGES, "temperature": 1.0, "max_tokens": 256}).encode()


@contextmanager
def serving(name: str, upstream: str = "") -> Iterator[str]:
    """A program of `_proxies.py` in a process of its own; where it listens, and its key if it has one."""
    command = [sys.executable, str(Path(__file__).with_name("_proxies.py")), name, upstream]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as program:
        assert program.stdout is not None
        try:
            yield program.stdout.readline().strip()
        finally:
            program.communicate()


class Client:
    """The least that an HTTP client can be, so that what is measured is the server."""

    def __init__(self, place: str) -> None:
        url, _, key = place.partition(" ")
        self._parts = urlsplit(url)
        head = f"POST {self._parts.path}/v1/chat/completions HTTP/1.1\r\nhost: {self._parts.netloc}\r\n"
        fields = f"authorization: Bearer {key}\r\ncontent-type: application/json\r\ncontent-length: {len(BODY)}\r\n\r\n"
        self._request = (head + fields).encode() + BODY

    async def ask(self, count: int) -> list[float]:
        """Seconds of each of `count` calls, one after the other on one connection."""
        reader, writer = await asyncio.open_connection(self._parts.hostname, self._parts.port)
        seconds = []
        for _ in range(count):
            before = perf_counter()
            writer.write(self._request)
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            seconds.append(perf_counter() - before)
        writer.close()
        return seconds


async def measured(place: str) -> tuple[float, float]:
    """Milliseconds of a call at the median, one at a time; calls a second, sixteen at a time."""
    client = Client(place)
    alone = await client.ask(SERIAL)
    before = perf_counter()
    await asyncio.gather(*(client.ask(PARALLEL // AT_ONCE) for _ in range(AT_ONCE)))
    return median(alone) * 1000, PARALLEL / (perf_counter() - before)


def main() -> None:
    """Print the table."""
    with ExitStack() as closing:
        model = closing.enter_context(serving("model"))
        places = {
            "model, no proxy": model,
            "bare proxy": closing.enter_context(serving("bare", model)),
            "gateway": closing.enter_context(serving("gateway", model)),
        }
        rounds = [{name: asyncio.run(measured(place)) for name, place in places.items()} for _ in range(ROUNDS + 1)]
    del rounds[0]  # caches fill, connections open

    direct = [one["model, no proxy"] for one in rounds]
    bare = [one["bare proxy"] for one in rounds]
    print(f"a model call, medians of {ROUNDS} interleaved rounds\n")
    print(f"{'':18}{'p50 ms':>8}{'added':>8}{'goal':>8}{'req/s at 16':>14}{'/ bare':>8}")
    for name in places:
        mine = [one[name] for one in rounds]
        alone, rate = (median(values) for values in zip(*mine, strict=True))
        added = median(own[0] - other[0] for own, other in zip(mine, direct, strict=True))
        ratio = median(own[1] / other[1] for own, other in zip(mine, bare, strict=True))
        goal = f"{ADDED_GOAL:.1f}" if name == "gateway" else ""
        print(f"{name:18}{alone:8.2f}{added:8.2f}{goal:>8}{rate:14.0f}{ratio:8.2f}")


if __name__ == "__main__":
    main()
