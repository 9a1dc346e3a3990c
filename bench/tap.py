"""What tracing costs the process of an agent that asks a provider directly, next to a tracing product.

Processor time of a call by OpenAI's SDK, of all threads of the process: the model is another one. Ours has each call in
a log on disk, durable before it leaves and when it has ended; the peer makes spans, and drops them. Traced and untraced
calls take turns in one process, and the ratio is between them.
"""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from functools import partial
from pathlib import Path

from bench._harness import Comparison, Figures, Options, Report, interleaved
from bench._peers import OPENINFERENCE, PeerMissing, python_of
from bench.proxy import serving

ROOT = Path(__file__).parents[1]
CALLS = 200
_OURS, _PEER = "ours", f"openinference {OPENINFERENCE.version}"


def run(options: Options) -> Report:
    """Row 20 of the goals."""
    missing: list[str] = []
    count = options.scaled(CALLS, least=4)
    with ExitStack() as closing:
        model = closing.enter_context(serving("bench._proxies", "model", ""))
        agents = {_OURS: closing.enter_context(agent("ours", model))}
        if options.peers:
            try:
                agents[_PEER] = closing.enter_context(agent("openinference", model, python=python_of(OPENINFERENCE)))
            except PeerMissing as peer:
                missing.append(str(peer))
        contestants = {name: partial(measured, one, count) for name, one in agents.items()}
        rounds = interleaved("tap", contestants, rounds=options.rounds_or(9))
    measures = [
        measure
        for kind in ("plain", "streamed")
        for measure in (
            rounds.measure(f"{kind} call, untraced", f"{kind} us"),
            rounds.measure(f"{kind} call, added by tracing", f"{kind} added us"),
            rounds.measure(f"{kind} call, traced / untraced", f"{kind} ratio", Comparison(at_most=1.15, row=20)),
        )
    ]
    return Report.of((rounds, measures), missing=missing)


@contextmanager
def agent(name: str, upstream: str, *, python: str = sys.executable) -> Iterator[subprocess.Popen[str]]:
    """An agent in a process of its own."""
    command = [python, "-m", "bench._sdk_calls", name, upstream]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, cwd=ROOT) as program:
        assert program.stdout is not None
        assert program.stdout.readline() == "ready\n"
        yield program
        program.communicate()


def measured(program: subprocess.Popen[str], count: int) -> Figures:
    """Microseconds of a call, what tracing adds to them, and the ratio."""
    assert program.stdin is not None
    assert program.stdout is not None
    program.stdin.write(f"{count}\n")
    program.stdin.flush()
    told = json.loads(program.stdout.readline())
    figures = {}
    for kind in ("plain", "streamed"):
        untraced, traced = told[f"{kind} untraced"], told[f"{kind} traced"]
        figures |= {f"{kind} us": untraced, f"{kind} added us": traced - untraced, f"{kind} ratio": traced / untraced}
    return figures
