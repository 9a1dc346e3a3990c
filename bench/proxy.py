"""What a model call costs on its way through the gateway, next to no proxy, a bare one, and Agent Lightning's two.

The call is durable in the log before it leaves, and with its answer before the answer comes back. The bare proxy is the
same server and client with nothing done in between. A streamed answer has its first piece at once and the others 30 ms
later: who collects first and sends then is seen by it.
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
from bench._peers import AGENT_LIGHTNING, AGENT_LIGHTNING_1, PeerMissing, python_of

ROOT = Path(__file__).parents[1]
SERIAL, PARALLEL, STREAMED, AT_ONCE = 300, 1600, 30, 16
_DIRECT, _BARE, _OURS = "model, no proxy", "bare proxy", "gateway"
_OLDER, _NEWER = f"agentlightning {AGENT_LIGHTNING.version}", f"agentlightning {AGENT_LIGHTNING_1.version}"
_PEERS = {_OLDER: (AGENT_LIGHTNING, "bench._llm_proxy"), _NEWER: (AGENT_LIGHTNING_1, "bench._api_gateway")}
MESSAGES = [
    {"role": "system", "content": "You solve word problems. " * 10},
    {"role": "user", "content": "A baker has six trays of seven rolls. How many rolls? " * 5},
    {"role": "assistant", "content": "Let me multiply. " * 10},
    {"role": "user", "content": "Go on, and answer with a number."},
]
BODY = json.dumps({"model": "policy", "messages": MESSAGES, "temperature": 1.0, "max_tokens": 256}).encode()
STREAM = json.dumps({"model": "policy", "messages": MESSAGES, "temperature": 1.0, "stream": True}).encode()


def run(options: Options) -> Report:
    """Rows 17 to 19 of the goals."""
    missing: list[str] = []
    with ExitStack() as closing:
        model = closing.enter_context(serving("bench._proxies", "model", ""))
        places = {
            _DIRECT: model,
            _BARE: closing.enter_context(serving("bench._proxies", "bare", model)),
            _OURS: closing.enter_context(serving("bench._proxies", "gateway", model)),
        }
        for name, (peer, program) in _PEERS.items() if options.peers else ():
            try:
                python = python_of(peer)
            except PeerMissing as why:
                missing.append(str(why))
            else:
                places[name] = closing.enter_context(serving(program, model, python=python))
        contestants = {name: partial(measured, place, _counts(options, name)) for name, place in places.items()}
        rounds = interleaved("proxy", contestants, rounds=options.rounds_or(7))
    alone = rounds.measure("one call at a time, p50", "ms")
    first = rounds.measure("a streamed call, until its first piece, p50", "first ms")
    faster = (
        Comparison(of=_OURS, over=_OLDER, at_least=25, row=18),
        Comparison(of=_OURS, over=_NEWER, at_least=6, row=18),
    )
    at_once = rounds.measure("sixteen at a time", "requests/s", Comparison(of=_OURS, over=_BARE), *faster)
    measures = [
        alone,
        added(alone, "added to a call at p50", Comparison(of=_OURS, at_most=1.0, row=17)),
        at_once,
        first,
        added(first, "added until the first piece at p50", Comparison(of=_OURS, at_most=2.0, row=19)),
    ]
    return Report.of((rounds, measures), missing=dict.fromkeys(missing))


def _counts(options: Options, name: str) -> tuple[int, int, int]:
    # It takes tens of milliseconds a call: as many calls would make its part of a round the longest by far.
    share = 8 if name == _OLDER else 1
    parallel = options.scaled(PARALLEL // share, least=AT_ONCE)
    streamed = 0 if name == _NEWER else options.scaled(STREAMED, least=4)  # it answers `stream` with status 400
    return options.scaled(SERIAL // share, least=4), parallel, streamed


def added(measure: Measure, name: str, *goals: Comparison) -> Measure:
    """What a proxy adds to the model's own time, in each round."""
    direct = measure.figures[_DIRECT]
    return Measure(
        name=name,
        unit="ms",
        figures={
            proxy: tuple(own - other for own, other in zip(figures, direct, strict=True))
            for proxy, figures in measure.figures.items()
            if proxy != _DIRECT
        },
        comparisons=goals,
    )


@contextmanager
def serving(module: str, *arguments: str, python: str = sys.executable) -> Iterator[str]:
    """A program in a process of its own; where it listens, and its key if it has one."""
    command = [python, "-m", module, *arguments]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True, cwd=ROOT
    ) as program:
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
        self._key = key or "none"

    async def ask(self, count: int) -> list[float]:
        """Seconds of each of `count` calls, one after the other on one connection."""
        reader, writer = await self._connected()
        seconds = []
        for _ in range(count):
            before = perf_counter()
            writer.write(self._request(BODY))
            head = (await reader.readuntil(b"\r\n\r\n")).lower()
            assert head.startswith(b"http/1.1 200"), head
            await reader.readexactly(int(head.partition(b"content-length:")[2].partition(b"\r\n")[0]))
            seconds.append(perf_counter() - before)
        writer.close()
        return seconds

    async def stream(self, count: int) -> list[float]:
        """Seconds until the first piece of each of `count` streamed calls."""
        reader, writer = await self._connected()
        seconds = []
        for _ in range(count):
            before = perf_counter()
            writer.write(self._request(STREAM))
            await reader.readuntil(b"\r\n\r\n")
            await reader.readuntil(b"data: ")
            seconds.append(perf_counter() - before)
            await reader.readuntil(b"[DONE]")
            await reader.readuntil(b"0\r\n\r\n")
        writer.close()
        return seconds

    async def _connected(self) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        return await asyncio.open_connection(self._parts.hostname, self._parts.port)

    def _request(self, body: bytes) -> bytes:
        head = f"POST {self._parts.path}/v1/chat/completions HTTP/1.1\r\nhost: {self._parts.netloc}\r\n"
        fields = f"authorization: Bearer {self._key}\r\ncontent-type: application/json\r\n"
        return f"{head}{fields}content-length: {len(body)}\r\n\r\n".encode() + body


def measured(place: str, counts: tuple[int, int, int]) -> Figures:
    """Milliseconds of a call at the median, one at a time, whole and until its first piece; calls a second."""
    return asyncio.run(_measured(Client(place), *counts))


async def _measured(client: Client, serial: int, parallel: int, streamed: int) -> Figures:
    alone = await client.ask(serial)
    first = {"first ms": median(await client.stream(streamed)) * 1000} if streamed else {}
    before = perf_counter()
    await asyncio.gather(*(client.ask(parallel // AT_ONCE) for _ in range(AT_ONCE)))
    rate = parallel // AT_ONCE * AT_ONCE / (perf_counter() - before)
    return {"ms": median(alone) * 1000, **first, "requests/s": rate}
