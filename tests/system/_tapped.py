"""Agents in a process of their own, threads and tasks, who ask a provider directly and say what they were told."""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import agl_core as agl
from agl_core.events import CallRecorded, CaptureLost

from ._conserving import PATIENT

__all__ = ["Process", "Told", "agents", "told_by"]

_AGENTS = """
import asyncio, json, os, sys, threading
from concurrent.futures import Future

import httpx

import agl_core as agl
from agl_core.log import _schema
from agl_core.runner import Runner
from agl_core.tap import tapped

PATH, URL, WIDTH, PATIENCE = sys.argv[1], sys.argv[2] + "/chat/completions", int(sys.argv[3]), int(sys.argv[4])
_schema.BUSY_MS = PATIENCE
ROUNDS = [Future() for _ in range(8)]  # how many calls each agent makes next; none: it is done

def tell(line):
    os.write(1, (line + "\\n").encode())

def calls(task, number, many):
    for turn in range(many):
        name = f"{os.getpid()}-{task['q']}-{number}-{turn}"
        yield name, {"model": "policy", "messages": [{"role": "user", "content": name}], "stream": turn % 2 == 1}

def check(name, content, body):
    whole = content.endswith(b"data: [DONE]\\n\\n") and b'"ur"' in content if body["stream"] else b'"four"' in content
    tell(("answered " if whole else "wrong ") + name)

def ask(client, task, number, many):
    for name, body in calls(task, number, many):
        with client.stream("POST", URL, json=body) as reply:
            check(name, reply.read(), body)

@agl.rollout
def threaded(task):
    with httpx.Client(timeout=60) as client:
        for number, many in enumerate(ROUNDS):
            if not many.result():
                return 1.0
            ask(client, task, number, many.result())

@agl.rollout
async def awaiting(task):
    async with httpx.AsyncClient(timeout=60) as client:
        for number, many in enumerate(ROUNDS):
            if not await asyncio.shield(asyncio.wrap_future(many)):
                return 1.0
            for name, body in calls(task, number, many.result()):
                async with client.stream("POST", URL, json=body) as reply:
                    check(name, await reply.aread(), body)

@agl.rollout
def forking(task):
    for number, many in enumerate(ROUNDS):
        if not many.result():
            return 1.0
        child = os.fork()
        if child == 0:
            try:
                with httpx.Client(timeout=60) as client:
                    ask(client, task, number, many.result())
            except BaseException as error:
                tell(f"raised {error!r}")
            finally:
                os._exit(0)
        os.waitpid(child, 0)

def listen():
    for number, line in enumerate(sys.stdin):
        match line.strip():
            case "exit":
                os._exit(7)
            case "fork":
                if os.fork() == 0:
                    os._exit(0)
                tell("forked")
            case many:
                ROUNDS[number].set_result(int(many))

async def one(store, agent, number):
    runner = Runner()
    with runner.run_context(agent=agent, store=store):
        return (await runner.step({"q": number})).exit_status

async def main():
    store = agl.open_store(PATH)
    kinds = {"forking": [forking]}.get(sys.argv[5], [threaded, awaiting])
    with tapped():
        works = [asyncio.ensure_future(one(store, kinds[n % len(kinds)], n)) for n in range(WIDTH)]
        threading.Thread(target=listen, daemon=True).start()
        ends = await asyncio.gather(*works, return_exceptions=True)
    tell("ended " + json.dumps([end if isinstance(end, str) else getattr(end, "code", repr(end)) for end in ends]))
    if sys.argv[6] != "abrupt":
        store.close()
        store.log.close()
    os._exit(0)  # the thread that reads stdin would be in the way of any other end

asyncio.run(main())
"""


@dataclass
class Process:
    """A process of agents, and what they have said so far."""

    process: asyncio.subprocess.Process
    answered: set[str] = field(default_factory=set)
    """Calls whose answers came whole and as they should be."""
    wrong: list[str] = field(default_factory=list)
    ends: list[str] = field(default_factory=list)
    """Exit status of each agent's attempt, or the code of what its runner raised."""
    progress: asyncio.Condition = field(default_factory=asyncio.Condition)

    @property
    def pid(self) -> int:
        """For who sends signals."""
        return self.process.pid

    async def listen(self) -> None:
        """To the end of what it says."""
        assert self.process.stdout is not None
        async for line in self.process.stdout:
            what, _, rest = line.decode().strip().partition(" ")
            async with self.progress:
                match what:
                    case "answered":
                        self.answered.add(rest)
                    case "ended":
                        self.ends = json.loads(rest)
                    case _:
                        self.wrong.append(line.decode())
                self.progress.notify_all()

    async def until(self, count: int) -> None:
        """So many calls were answered, one way or the other."""
        async with self.progress:
            await self.progress.wait_for(lambda: len(self.answered) + len(self.wrong) >= count)

    def say(self, line: str) -> None:
        """How many calls each agent makes next, none if it is to end; or what is to become of the process."""
        assert self.process.stdin is not None
        self.process.stdin.write(f"{line}\n".encode())


@asynccontextmanager
async def agents(
    path: Path, upstream: str, *, width: int, patience: int = PATIENT, kind: str = "", end: str = ""
) -> AsyncIterator[Process]:
    """`width` agents under way; half of them in threads, half in tasks, unless they are to be `forking`."""
    command = [sys.executable, "-c", _AGENTS, str(path), upstream, str(width), str(patience), kind, end]
    pipe = asyncio.subprocess.PIPE
    process = Process(await asyncio.create_subprocess_exec(*command, stdin=pipe, stdout=pipe))
    listening = asyncio.create_task(process.listen())
    try:
        yield process
    finally:
        if process.process.returncode is None:
            process.process.kill()
        await process.process.wait()
        await listening


_ATTEMPTS = """
select exit_status, not exists (select 1 from calls where calls.attempt_id = attempts.attempt_id and status = 'unknown')
from attempts
"""


@dataclass
class Told:
    """What a log says of the calls of agents, once it has been opened again."""

    ok: set[str]
    """Those that are whole, by what they asked."""
    unknown: int
    lost: int
    """Those that are counted, and have no fact of their own."""
    statuses: Counter[str]
    attempts: Counter[tuple[str | None, bool]]
    """By exit status, and whether what came of each call is known."""


def told_by(path: Path) -> Told:
    """The log, opened again by somebody else."""
    store = agl.open_store(str(path))
    try:
        events = [record.event for record in store.log.read(types=["call.recorded", "capture.lost"])]
        attempts = Counter((status, bool(known)) for status, known in store.log.rows(_ATTEMPTS))
        assert store.log.rows("select count(*) from in_flight where kind = 'call'") == [(0,)]
    finally:
        store.close()
        store.log.close()
    calls = [event for event in events if isinstance(event, CallRecorded)]
    statuses = Counter(event.status for event in calls)
    return Told(
        ok={event.call.messages[0].content for event in calls if event.status == "ok"},
        unknown=statuses["unknown"],
        lost=sum(event.count for event in events if isinstance(event, CaptureLost)),
        statuses=statuses,
        attempts=attempts,
    )
