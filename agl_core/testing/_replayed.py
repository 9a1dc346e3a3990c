"""A test of somebody's own agent, on a rollout that was recorded: no model, no network, and no surprise."""

from __future__ import annotations

import asyncio
import tempfile
import threading
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import FIRST_COMPLETED, Future, wait
from contextlib import ExitStack, contextmanager, nullcontext, suppress
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any

from agl_core.agents import LitAgent, rollout
from agl_core.emit import returned
from agl_core.errors import BadValue, ReplayError, UnknownName
from agl_core.events import CallRecorded
from agl_core.gateway import Question
from agl_core.log import SqliteLog
from agl_core.plugins import Plugins
from agl_core.recorder import Scope, ToolWay, attributed, carry, current, numbered, program_begins
from agl_core.replay import Replayed, replaying
from agl_core.replay.network import Denied, no_network
from agl_core.resources import LLM, NamedResources
from agl_core.store import Rollout

__all__ = ["Recorded", "no_network", "replayed"]

_GRACE = 4.0
"""Seconds that code which departed may take to hear of it, before the replay is over."""
_READ = 300
"""Characters of what the test is told of one value."""


class Recorded:
    """A recorded rollout, for the code that does it again: its task, and what it was given."""

    def __init__(self, begun: _Begun) -> None:
        self._begun = begun
        self.result: Any = None
        """The reward that an agent returned, as `run` heard it."""

    @property
    def task(self) -> Any:
        """What the rollout was about."""
        return self._begun.rollout.input

    @property
    def resources(self) -> NamedResources:
        """What it was given, by name; each model answers from the recording."""
        return self._begun.resources

    @property
    def llm(self) -> LLM:
        """The only model among the resources; several are told apart by `resources`."""
        models = {name: one for name, one in self.resources.items() if isinstance(one, LLM)}
        if len(models) != 1:
            cure = "take the one that is meant from `recorded.resources`" if models else _NO_MODEL
            raise UnknownName("LLM resource", "llm", known=models, cure=cure)
        return next(iter(models.values()))

    @property
    def rollout(self) -> Rollout:
        """The rollout that is done again, by the ids that it had."""
        return self._begun.rollout

    @property
    def scope(self) -> Scope:
        """The attempt under way."""
        return self._begun.scope

    def run(self, agent: LitAgent[Any] | Callable[..., Any]) -> Any:
        """Run an agent as a runner does, with the task and what it names; what it returned.

        A function, sync or async, or an agent that is decorated, or a `LitAgent`: of these the result is the reward,
        and is compared. Where a loop is running already, await the function instead.
        """
        made = agent if isinstance(agent, LitAgent) else rollout(agent)
        result = self._run(made)
        if isinstance(agent, LitAgent):
            returned(result, self._begun.scope)  # what is no result of an agent is said here, where its code is
            self.result = result
        return result

    def _run(self, agent: LitAgent[Any]) -> Any:
        one = self._begun
        arguments = one.rollout.input, one.resources, one.rollout
        is_training = one.rollout.mode == "train"
        if not agent.is_async():
            plain = agent.training_rollout if is_training else agent.validation_rollout
            return plain(*arguments)
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
            raise BadValue("agent", agent, why="a loop is running here: await its function, inside the `with`")
        awaited = agent.training_rollout_async if is_training else agent.validation_rollout_async

        async def story() -> Any:
            carry()
            with numbered():
                program_begins()
                return await awaited(*arguments)

        return asyncio.run(story())


@contextmanager
def replayed(
    log: str | Path | SqliteLog,
    rollout_id: str | None = None,
    *,
    at: int | None = None,
    strict: bool = False,
    ignore: Sequence[str] = (),
    tools: Mapping[str, ToolWay] | None = None,
    allow_network: bool = False,
) -> Iterator[Recorded]:
    """Code inside does a recorded rollout again: models, and tools that are marked, answer what they answered then.

    Without `rollout_id` it is the only rollout of the log.

    At its end it is `AssertionError` if the code asked for something else than it did then, left something out, or gave
    another reward, and the message says what. A reward is compared where one is given; how the code ended is the
    test's to say. The log is only read. `NetworkDenied` for whoever wants further than this machine.

    Options are those of `agl replay`. Works in tests that await, too.
    """
    with ExitStack() as entered:
        denied = entered.enter_context(nullcontext(Denied()) if allow_network else no_network())
        into = Path(entered.enter_context(tempfile.TemporaryDirectory(prefix="agl-"))) / "replay.db"
        guest, chosen = _Guest(), rollout_id or _only(log)

        def work() -> None:
            told = replaying(
                log, chosen, agent=guest, into=into, at=at, strict=strict, ignore=ignore, tools=tools,
                allow_network=allow_network, on_call=_looked_at,
            )  # fmt: skip
            try:
                guest.done.set_result(asyncio.run(told))
            except BaseException as error:  # noqa: BLE001 - carried to the test, which waits
                guest.done.set_exception(error)

        thread = threading.Thread(target=work, name="agl-replay", daemon=True)
        thread.start()
        entered.callback(thread.join)
        entered.callback(guest.leave, None)
        recorded = Recorded(guest.begin())
        try:
            with _at_work(recorded.scope):
                yield recorded
        except Exception as error:
            guest.leave(None)
            if (departed := guest.done.result().departed) is not None:
                raise AssertionError(_told(departed, denied)) from error
            raise
        guest.leave(recorded.result)
        came = guest.done.result()
        if came.departed is not None:
            raise AssertionError(_told(came.departed, denied)) from came.departed
        if differs := list(_differing(came)):
            raise AssertionError("\n".join([f"{chosen} did not go as it was recorded:", *differs]))


def _only(log: str | Path | SqliteLog) -> str:
    """The one rollout that somebody tried."""
    with nullcontext(log) if isinstance(log, SqliteLog) else Plugins.load().open_log(str(log), readonly=True) as source:
        found: list[str] = [
            one for (one,) in source.rows("select rollout_id from rollouts where hidden = 0 and attempts > 0")
        ]
    if len(found) != 1:
        raise BadValue("rollout", None, why=f"the log has {len(found)} that were tried: say which, by its id")
    return found[0]


@contextmanager
def _at_work(scope: Scope) -> Iterator[None]:
    """What is done here is the attempt's, each piece of it in its place of the program."""
    with ExitStack() as entered:
        entered.enter_context(attributed(scope))
        if asyncio._get_running_loop() is not None:  # noqa: SLF001 - the public one raises
            carry()
            entered.enter_context(numbered())
        program_begins()
        yield


async def _looked_at(_question: Question, _recorded: CallRecorded) -> None:
    """Nothing is done with it; but somebody may look at the test step by step, and no time-out of the agent's holds."""


def _told(departed: ReplayError, denied: Denied) -> str:
    """What the code did otherwise, in lines."""
    differences = departed.facts.get("difference", ())
    lines = [f"[{departed.code}] {departed}"]
    lines += [
        f"  {one.get('at')}: then {_short(one.get('recorded'))}, now {_short(one.get('asked'))}" for one in differences
    ]
    if denied.addresses:
        lines.append(f"  refused on the way, because a replay stays on this machine: {', '.join(denied.addresses)}")
    return "\n".join(lines)


def _differing(came: Replayed) -> Iterator[str]:
    """What ended otherwise, a line each; a reward that the test does not give is not missed."""
    for what, sides in came.differs.items():
        match what:
            case "unasked":
                yield f"  recorded then, and not asked for now: {_short(', '.join(sides))}"
            case "reward" if sides["now"]:
                yield f"  reward: then {_short(sides['then'])}, now {_short(sides['now'])}"


def _short(value: Any) -> str:
    text = repr(value) if not isinstance(value, str) else value
    return text if len(text) <= _READ else f"{text[:_READ]}…"


@dataclass(frozen=True, slots=True)
class _Begun:
    """An attempt that waits for the test's code."""

    rollout: Rollout
    resources: NamedResources
    scope: Scope


class _Guest(LitAgent[Any]):
    """In place of the agent: it lends its attempt to the test, and ends when that does."""

    def __init__(self) -> None:
        self.done: Future[Replayed] = Future()
        self._begun: Future[_Begun] = Future()
        self._left = threading.Event()
        self._wake: Callable[[], Any] = lambda: None
        self._result: Any = None

    def begin(self) -> _Begun:
        """The attempt, once it is ready; what keeps it from that is raised."""
        either: list[Future[Any]] = [self._begun, self.done]
        wait(either, return_when=FIRST_COMPLETED)
        if not self._begun.done():
            self.done.result()
        return self._begun.result()

    def leave(self, result: Any) -> None:
        """The test is over, or the part of it that is the agent's."""
        if self._left.is_set():
            return
        self._result = result
        self._left.set()
        with suppress(RuntimeError):  # the loop is closed: the replay was over before
            self._wake()

    async def rollout_async(self, task: Any, resources: NamedResources, rollout: Rollout) -> Any:
        """Wait for the test's code, which is at work elsewhere."""
        over, loop = asyncio.Event(), asyncio.get_running_loop()
        self._wake = partial(loop.call_soon_threadsafe, over.set)
        self._begun.set_result(_Begun(rollout, resources, current()))
        if self._left.is_set():
            return None
        try:
            await over.wait()
        except asyncio.CancelledError:
            # It departed. What its code asks before it hears of that is refused by the gateway, which is to be there.
            with suppress(TimeoutError):
                await asyncio.wait_for(over.wait(), _GRACE)
            raise
        return self._result


_NO_MODEL = "the rollout was given none: its agent speaks to a provider directly, and is answered all the same"
