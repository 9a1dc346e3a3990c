"""Where in the program something is asked: the same each time, or not known."""

from __future__ import annotations

import asyncio
import random
import threading
from contextvars import copy_context

import anyio
import pytest

from agl_core.agents import rollout
from agl_core.recorder import Scope, attributed, carry, current, numbered, program_begins


def place():
    """Of what is asked here and now."""
    return current().branches.place()


def scope(name="ro-1"):
    """Of an attempt that writes nothing."""
    return Scope(recorder=None, run_id=None, rollout_id=name, attempt_id="at-1")


def attempt(program):
    """What an attempt's program comes to, in a loop that numbers its tasks."""

    async def begun():
        program_begins()
        return await program()

    async def story():
        with numbered(), attributed(scope()):
            return await asyncio.ensure_future(begun())

    return asyncio.run(story())


async def turns_of_others():
    """Some of them go first, by chance."""
    for _ in range(random.randrange(5)):
        await asyncio.sleep(0)


async def ask():
    """One question, at a moment that is chance."""
    await turns_of_others()
    return place()


async def gathered():
    """Three at once."""
    return await asyncio.gather(ask(), ask(), ask())


async def grouped():
    """Three in a task group."""
    async with asyncio.TaskGroup() as group:
        tasks = [group.create_task(ask()) for _ in range(3)]
    return [task.result() for task in tasks]


async def in_an_anyio_group():
    """Three in a group of anyio's."""
    found = {}

    async def told(number):
        found[number] = await ask()

    async with anyio.create_task_group() as group:
        for number in range(3):
            group.start_soon(told, number)
    return [found[number] for number in range(3)]


async def waited_for():
    """With a limit."""
    return [await asyncio.wait_for(asyncio.gather(ask(), ask()), 5), await asyncio.wait_for(ask(), 5)]


async def nested():
    """Branches of branches."""
    return await asyncio.gather(gathered(), gathered())


async def generated():
    """One after the other, between the steps of a generator."""

    async def each():
        for _ in range(3):
            yield await ask()

    return [one async for one in each()]


async def in_a_context_of_its_own():
    """As libraries make tasks that are to see a context of theirs."""
    return await asyncio.gather(*(asyncio.create_task(ask(), context=copy_context()) for _ in range(3)))


@pytest.mark.parametrize(
    ("program", "places"),
    [
        (gathered, ["ask0:0", "ask1:0", "ask2:0"]),
        (grouped, ["ask0:0", "ask1:0", "ask2:0"]),
        (nested, [[f"gathered{outer}.ask{inner}:0" for inner in range(3)] for outer in range(2)]),
        (generated, [":0", ":1", ":2"]),
        (in_a_context_of_its_own, ["ask0:0", "ask1:0", "ask2:0"]),
    ],
)
def test_a_branch_has_its_number_in_the_order_of_the_program(program, places):
    """However tasks are made, and whichever of them runs first."""
    assert [attempt(program) for _ in range(3)] == [places] * 3


def test_what_is_waited_for_has_a_place_that_is_the_same_each_time():
    """`wait_for` makes a task in some versions of Python, and none in others; never one by chance."""
    first, second = attempt(waited_for), attempt(waited_for)

    assert first == second
    assert None not in [*first[0], first[1]]


def test_branches_of_an_anyio_group_are_numbered_too():
    """What its tasks are called is a matter of its version."""
    first, second = attempt(in_an_anyio_group), attempt(in_an_anyio_group)

    assert first == second
    assert [one[-3:] for one in first] == ["0:0", "1:0", "2:0"]


def test_a_path_that_would_be_long_is_told_by_its_hash():
    """A header has no room for a hundred branches in each other."""

    async def deeper(level):
        return await asyncio.gather(deeper(level - 1)) if level else place()

    def innermost(found):
        return innermost(found[0]) if isinstance(found, list) else found

    found = innermost(attempt(lambda: deeper(60)))

    assert len(found) < 140
    assert found == innermost(attempt(lambda: deeper(60)))


async def in_a_thread():
    """As a blocking client is used."""
    return await asyncio.to_thread(place)


async def in_a_callback():
    """In the loop, and in no task."""
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: told.set_result(place()))
    return await told


async def in_a_task_that_a_callback_made():
    """A task that is nobody's child."""
    told = asyncio.get_running_loop().create_future()
    asyncio.get_running_loop().call_soon(lambda: told.set_result(asyncio.ensure_future(ask())))
    return await (await told)


async def as_they_come():
    """In whichever order they end."""
    first, _second = [await one for one in asyncio.as_completed([ask(), ask()])]
    return first


async def in_a_loop_of_its_own():
    """As a blocking function does that wraps an async one."""
    return await asyncio.to_thread(lambda: asyncio.run(ask()))


@pytest.mark.parametrize(
    "program", [in_a_thread, in_a_callback, in_a_task_that_a_callback_made, as_they_come, in_a_loop_of_its_own]
)
def test_where_it_is_chance_there_is_no_place(program):
    """A thread may be any of several, and so may a task that is made of a set."""
    assert attempt(program) is None


def test_a_thread_of_an_attempt_has_no_place_and_takes_none():
    """Also one that carries the context: two of them would count the same questions by chance."""
    found = []

    async def program():
        context = copy_context()
        thread = threading.Thread(target=lambda: found.append(context.run(place)))
        thread.start()
        await asyncio.to_thread(thread.join)
        return place()

    assert attempt(program) == ":0"
    assert found == [None]


def test_what_is_handed_to_the_threads_of_the_loop_has_a_place():
    """A blocking client in an async agent: by its function and its number, whichever thread is free first."""

    def blocking(comes_late, gate):
        if comes_late:
            gate.wait(30)
        found = place(), place()
        gate.set()
        return found

    async def program():
        carry()
        loop = asyncio.get_running_loop()
        one, two = threading.Event(), threading.Event()
        in_executor = [loop.run_in_executor(None, blocking, comes_late, one) for comes_late in (True, False)]
        to_thread = await asyncio.gather(
            *(asyncio.to_thread(blocking, comes_late, two) for comes_late in (True, False))
        )
        return [*await asyncio.gather(*in_executor), *to_thread, await asyncio.to_thread(asyncio.run, ask())]

    assert attempt(program) == [
        ("blocking0:0", "blocking0:1"),
        ("blocking1:0", "blocking1:1"),
        ("to_thread0.blocking0:0", "to_thread0.blocking0:1"),
        ("to_thread1.blocking0:0", "to_thread1.blocking0:1"),
        None,
    ]


def test_a_library_s_task_takes_no_branch_s_number():
    """A connection that has to be opened, and another time has not, changes nothing: tasks are counted by name."""

    async def connect():
        await asyncio.sleep(0)

    async def program(*, opens):
        return await asyncio.gather(*([connect()] if opens else []), ask(), *([connect()] if opens else []), ask())

    told = attempt(lambda: program(opens=True))

    assert [one for one in told if one] == attempt(lambda: program(opens=False))


def test_an_async_agent_and_a_sync_one_have_places(step):
    """As the runner runs them: in a task, and in a thread of its own."""
    found = []

    @rollout
    async def coroutine(task):
        found.append([place(), *await asyncio.gather(ask(), ask()), place()])
        return 1.0

    @rollout
    def plain(task):
        found.append([place(), asyncio.run(ask()), place()])
        return 1.0

    step(coroutine)
    step(plain)

    assert found == [[":0", "ask0:0", "ask1:0", ":1"], [":0", None, ":1"]]


def test_attempts_in_one_loop_have_branches_of_their_own():
    """Sixty-four at once, each as if it were alone."""

    async def one(number):
        await turns_of_others()
        with numbered(), attributed(scope(f"ro-{number}")):
            return await asyncio.ensure_future(begun())

    async def begun():
        program_begins()
        return await gathered()

    async def story():
        return await asyncio.gather(*(one(number) for number in range(64)))

    assert asyncio.run(story()) == [["ask0:0", "ask1:0", "ask2:0"]] * 64


def test_the_loop_has_its_own_factory_again_when_the_last_attempt_is_over():
    """The very object; while attempts run, it makes their tasks still."""
    made = []

    def mine(loop, work, **kwargs):
        made.append(work.__name__)
        return asyncio.Task(work, loop=loop, **kwargs)

    async def begun():
        program_begins()
        return await gathered()

    async def story():
        loop = asyncio.get_running_loop()
        loop.set_task_factory(mine)
        with attributed(scope()):
            with numbered():
                with numbered():
                    found = await asyncio.ensure_future(begun())
                assert loop.get_task_factory() is not mine
            return found, loop.get_task_factory()

    found, factory = asyncio.run(story())

    assert found == ["ask0:0", "ask1:0", "ask2:0"]
    assert made[:4] == ["begun", "ask", "ask", "ask"]
    assert factory is mine


def test_a_loop_without_a_factory_has_none_again():
    """And one that somebody set meanwhile stays."""

    def mine(loop, work, **kwargs):
        return asyncio.Task(work, loop=loop, **kwargs)

    async def story():
        loop = asyncio.get_running_loop()
        with numbered():
            pass
        before = loop.get_task_factory()
        with numbered():
            loop.set_task_factory(mine)
        return before, loop.get_task_factory()

    assert asyncio.run(story()) == (None, mine)


@pytest.mark.skipif(not hasattr(asyncio, "eager_task_factory"), reason="from Python 3.12 on")
def test_an_eager_task_has_its_place_before_its_maker_has_it():
    """It runs while it is being made."""

    async def at_once():
        return place()

    async def program():
        asyncio.get_running_loop().get_task_factory().before = asyncio.eager_task_factory
        return await asyncio.gather(at_once(), at_once())

    assert attempt(program) == ["at_once0:0", "at_once1:0"]


def test_work_of_nobody_is_made_as_ever():
    """Outside attempts, nothing is counted and nothing is kept."""

    async def story():
        with numbered():
            return await asyncio.gather(asyncio.sleep(0, "a"), asyncio.sleep(0, "b"))

    assert asyncio.run(story()) == ["a", "b"]
