"""Agents of AutoGen's core, and runtimes that are anybody's: each message is handled for whom it was sent."""

from __future__ import annotations

import asyncio
import copy
import json
import logging
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from agl_autogen._tracing import tracing
from autogen_agentchat.agents import AssistantAgent
from autogen_agentchat.teams import RoundRobinGroupChat, SelectorGroupChat
from autogen_core import (
    EVENT_LOGGER_NAME,
    AgentId,
    MessageContext,
    RoutedAgent,
    SingleThreadedAgentRuntime,
    TopicId,
    TypeSubscription,
    message_handler,
)
from autogen_core.models import UserMessage
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import SimpleSpanProcessor
from opentelemetry.sdk.trace.export.in_memory_span_exporter import InMemorySpanExporter

from agl_core.events import CallRecorded, SpanRecorded
from agl_core.recorder import attributed
from agl_core.spans import meaning
from agl_core.testing import Answer


@dataclass
class Question:
    """To an agent of the core."""

    words: str


class Solver(RoutedAgent):
    """Asks a model."""

    def __init__(self, model) -> None:
        super().__init__("A solver.")
        self._model = model

    @message_handler
    async def answer(self, message: Question, ctx: MessageContext) -> str:
        """Once."""
        if message.words == "fail":
            raise LookupError("no such thing")
        result = await self._model.create([UserMessage(content=message.words, source="user")])
        return str(result.content)


class Boss(RoutedAgent):
    """Asks the solver, and tells others."""

    @message_handler
    async def ask(self, message: Question, ctx: MessageContext) -> str:
        """One after the other."""
        answer = await self.send_message(message, AgentId("solver", "default"))
        await self.publish_message(message, TopicId("news", "default"))
        return str(answer)


async def built(model, **options) -> SingleThreadedAgentRuntime:
    """A runtime with both, and a listener to the boss's news."""
    runtime = SingleThreadedAgentRuntime(**options)
    await Solver.register(runtime, "solver", lambda: Solver(model))
    await Solver.register(runtime, "reader", lambda: Solver(model))
    await Boss.register(runtime, "boss", lambda: Boss("A boss."))
    await runtime.add_subscription(TypeSubscription("news", "reader"))
    return runtime


TREE = [
    ("invoke_agent boss", "boss", [("invoke_agent solver", "solver", [])]),
    ("invoke_agent reader", "reader", []),
]


def test_agents_of_the_core_bear_the_type_they_are_registered_by(world):
    """Whoever is asked is inside the turn that asks; what is published is nobody's to wait for, and beside it."""

    async def story():
        scope = await world.scope()
        async with world.model("It is 42.") as model:
            with world.attempt(scope):
                runtime = await built(model)
                runtime.start()
                assert await runtime.send_message(Question("6 * 7?"), AgentId("boss", "default")) == "It is 42."
                await runtime.stop_when_idle()
        return scope

    scope = asyncio.run(story())

    assert world.tree(scope) == TREE
    assert [call.agent for call in world.facts(CallRecorded, scope)] == ["solver", "reader"]
    (boss,) = [span for span in world.facts(SpanRecorded, scope) if span.agent == "boss"]
    assert boss.attributes["gen_ai.agent.id"] == "boss/default"
    assert boss.attributes["autogen.message"] == "Question"


def test_a_runtime_of_several_attempts_mixes_none_of_them(world):
    """It was started before either, in a task that carries neither's context."""

    async def asking(runtime, scope, together) -> None:
        with attributed(scope):
            await together.wait()
            await runtime.send_message(Question(scope.attempt_id), AgentId("boss", "default"))

    async def story():
        scopes = [await world.scope(), await world.scope()]
        async with world.model("It is 42.") as model:
            with tracing(world.recorder):
                runtime, together = await built(model), asyncio.Barrier(2)
                runtime.start()
                async with asyncio.timeout(60):
                    await asyncio.gather(*(asking(runtime, scope, together) for scope in scopes))
                    await runtime.stop_when_idle()
        return scopes

    scopes = asyncio.run(story())

    for scope in scopes:
        assert world.tree(scope) == TREE
        asked = [call.call.messages[-1].content for call in world.facts(CallRecorded, scope)]
        assert asked == [scope.attempt_id] * 2


def test_teams_in_a_runtime_of_somebody_elses(world):
    """Two at once, one for each attempt: nobody's name or call goes to the other's."""

    async def playing(runtime, model, scope, together) -> None:
        with attributed(scope):
            members = [AssistantAgent(name, model) for name in ("writer", "critic")]
            team = SelectorGroupChat(members, model_client=model, max_turns=1, runtime=runtime)
            await together.wait()
            await team.run(task=scope.attempt_id)

    def script(asked) -> Answer:
        return Answer(text="critic" if "role" in asked.messages[0]["content"] else "ok")

    async def story():
        scopes = [await world.scope(), await world.scope()]
        async with world.model(script) as model:
            with tracing(world.recorder):
                runtime, together = SingleThreadedAgentRuntime(), asyncio.Barrier(2)
                runtime.start()
                async with asyncio.timeout(60):
                    await asyncio.gather(*(playing(runtime, model, scope, together) for scope in scopes))
                    await runtime.stop_when_idle()
        return scopes

    scopes = asyncio.run(story())

    chosen = ("invoke_agent SelectorGroupChatManager", "SelectorGroupChatManager", [])
    for scope in scopes:
        turns = [chosen, ("invoke_agent critic", "critic", []), chosen]
        assert world.tree(scope) == [("invoke_workflow SelectorGroupChat", None, turns)]
        calls = world.facts(CallRecorded, scope)
        assert [call.agent for call in calls] == ["SelectorGroupChatManager", "critic"]
        assert all(scope.attempt_id in str(call.call.messages) for call in calls)


@pytest.mark.parametrize("copied", [copy.copy, copy.deepcopy])
def test_the_id_of_a_message_is_a_text_to_everybody_else(world, copied):
    """A handler may compare, write and copy it; a copy is the text alone."""
    ids = []

    class Reader(RoutedAgent):
        @message_handler
        async def read(self, message: Question, ctx: MessageContext) -> None:
            ids.append(ctx.message_id)

    async def story():
        with world.attempt(await world.scope()):
            runtime = SingleThreadedAgentRuntime()
            await Reader.register(runtime, "reader", lambda: Reader("A reader."))
            runtime.start()
            await runtime.send_message(Question("?"), AgentId("reader", "default"), message_id="given")
            await runtime.stop_when_idle()

    asyncio.run(story())

    assert ids == ["given"]
    assert json.dumps(ids) == '["given"]'
    assert type(copied(ids[0])) is str


def test_what_a_handler_fails_at_is_raised_as_ever(world):
    """To who asked, and told on both spans."""

    async def story():
        scope = await world.scope()
        with world.attempt(scope):
            runtime = await built(None)
            runtime.start()
            with pytest.raises(LookupError, match="no such thing"):
                await runtime.send_message(Question("fail"), AgentId("boss", "default"))
            await runtime.stop_when_idle()
        return scope

    scope = asyncio.run(story())

    assert {span.agent: meaning(span).error for span in world.facts(SpanRecorded, scope)} == {
        "boss": "LookupError",
        "solver": "LookupError",
    }


class Events(logging.Handler):
    """What kind of events a host was told, in their order."""

    def __init__(self) -> None:
        super().__init__(logging.INFO)
        self.kinds: list[str] = []

    def emit(self, record) -> None:
        """One more."""
        self.kinds.append(type(record.msg).__name__)


@contextmanager
def listening():
    """To AutoGen's events."""
    handler, logger = Events(), logging.getLogger(EVENT_LOGGER_NAME)
    level = logger.level
    logger.addHandler(handler)
    logger.setLevel(logging.INFO)
    yield handler.kinds
    logger.setLevel(level)
    logger.removeHandler(handler)


def test_a_hosts_telemetry_of_a_team_is_told_the_same(world):
    """Every span of its own provider, under the same one, and every event, with the tracer and without."""

    async def playing(model):
        exporter, provider = InMemorySpanExporter(), TracerProvider()
        provider.add_span_processor(SimpleSpanProcessor(exporter))
        runtime = SingleThreadedAgentRuntime(tracer_provider=provider)
        runtime.start()
        with listening() as kinds:
            members = [AssistantAgent(name, model) for name in ("writer", "critic")]
            await RoundRobinGroupChat(members, max_turns=2, runtime=runtime).run(task="Go")
            await runtime.stop_when_idle()
        spans = exporter.get_finished_spans()
        names = {span.context.span_id: span.name.rpartition("_")[0] for span in spans}
        told = [(names[span.context.span_id], names.get(span.parent and span.parent.span_id)) for span in spans]
        return told, sorted(kinds)

    async def story():
        async with world.model("ok") as model:
            without = await playing(model)
            with world.attempt(await world.scope()):
                with_it = await playing(model)
        return without, with_it

    without, with_it = asyncio.run(story())

    assert with_it == without
    assert all(without)
