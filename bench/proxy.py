"""What a model call costs on its way through the gateway, next to no proxy and to a bare one on the same stack.

The call is durable in the log before it leaves, and with its answer before the answer comes back.
"""

from __future__ import annotations

import asyncio
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path
from statistics import median
from time import perf_counter
from urllib.parse import urlsplit

from bench._harness import Comparison, Figures, Measure, Options, Report, interleaved

ROOT = Path(__file__).parents[1]
SERIAL, PARALLEL, AT_ONCE = 300, 1600, 16
_DIRECT, _BARE, _OURS = "model, no proxy", "bare proxy", "gateway"
MESSAGES = [
    {"role": "system", "content": "You solve word problems. " * 10},
    {"role": "user", "content": "A baker has six trays of seven rolls. How many rolls? " * 5},
    {"role": "assistant", "content": "Let me multiply. " * 10},
    {"role": "user", "content": "Go on, and answer with a number."},
]
BODY = json.dumps({"model": "policy", "messages": MESSAGES, "temperature": 1.0, "max_tokens": 256}).encode()


def run(options: Options) -> Report:
    """Row 17 of the goals."""
    calls = {"serial": options.scaled(SERIAL), "parallel": options.scaled(PARALLEL, least=AT_ONCE)}
    with ExitStack() as closing:
        model = closing.enter_context(serving("model"))
        places = {
            _DIRECT: model,
            _BARE: closing.enter_context(serving("bare", model)),
            _OURS: closing.enter_context(serving("gateway", model)),
        }
        contestants = {name: partial(measured, place, **calls) for name, place in places.items()}
        rounds = interleaved("proxy", contestants, rounds=options.rounds_or(7))
    alone = rounds.measure("one call at a time, p50", "ms")
    at_once = rounds.measure("sixteen at a time", "requests/s", Comparison(of=_OURS, over=_BARE))
    return Report.of((rounds, [alone, added(alone), at_once]))


def added(alone: Measure) -> Measure:
    """What a proxy adds to the model's own time, in each round."""
    direct = alone.figures[_DIRECT]
    return Measure(
        name="added to a call at p50",
        unit="ms",
        figures={
            name: tuple(own - other for own, other in zip(alone.figures[name], direct, strict=True))
            for name in (_BARE, _OURS)
        },
        comparisons=(Comparison(of=_OURS, at_most=1.0, row=17),),
    )


@contextmanager
def serving(name: str, upstream: str = "") -> Iterator[str]:
    """A program of `_proxies.py` in a process of its own; where it listens, and its key if it has one."""
    command = [sys.executable, "-m", "bench._proxies", name, upstream]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
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


def measured(place: str, *, serial: int, parallel: int) -> Figures:
    """Milliseconds of a call at the median, one at a time; calls a second, sixteen at a time."""
    return asyncio.run(_measured(Client(place), serial, parallel))


async def _measured(client: Client, serial: int, parallel: int) -> Figures:
    alone = await client.ask(serial)
    before = perf_counter()
    await asyncio.gather(*(client.ask(parallel // AT_ONCE) for _ in range(AT_ONCE)))
    return {"ms": median(alone) * 1000, "requests/s": parallel // AT_ONCE * AT_ONCE / (perf_counter() - before)}
