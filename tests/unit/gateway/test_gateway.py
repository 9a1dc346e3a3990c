"""The gateway as its owner holds it: ports, endpoints, pauses."""

from __future__ import annotations

import asyncio
import urllib.request
from dataclasses import replace

import pytest

from agl_core.errors import BadValue, ModelNotFound, PortBusy
from agl_core.gateway import Gateway

from .conftest import KeptCalls, KnownAttempts, Scene

pytestmark = pytest.mark.anyio


async def test_a_taken_port_is_said_to_be_taken(scene: Scene):
    """The error names host and port."""
    port = int(scene.base.rpartition(":")[2])
    second = Gateway(KeptCalls(), KnownAttempts(), port=port)

    with pytest.raises(PortBusy) as caught:
        await second.start()

    assert caught.value.port == port


async def test_starting_and_stopping_twice_is_harmless(scene: Scene):
    """One gateway, one address; and an end that stays."""
    assert await scene.gateway.start() == scene.base

    await scene.gateway.stop()
    await scene.gateway.stop()


async def test_a_new_endpoint_takes_over_without_a_gap(scene: Scene):
    """A call under way ends where it began; the next goes to the new place."""
    scene.model.may_answer.clear()
    asking = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()

    scene.gateway.register(replace(scene.endpoint, api_key="new"), version=8)
    later = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()
    scene.model.may_answer.set()

    assert (await asking)[0] == (await later)[0] == 200
    assert [headers.get("Authorization") for headers in scene.model.headers] == [None, "Bearer new"]


async def test_a_removed_model_is_not_found(scene: Scene):
    """Neither by agents nor by its owner."""
    scene.gateway.remove("policy")

    status, _ = await scene.ask()

    assert status == 404
    with pytest.raises(ModelNotFound):
        scene.gateway.in_flight("policy")


async def test_an_endpoint_that_is_no_web_address_is_refused(scene: Scene):
    """At registration, where it can be mended."""
    with pytest.raises(BadValue):
        scene.gateway.register(replace(scene.endpoint, url="file:///etc/passwd"))


async def test_a_pause_drains_and_holds_new_calls_back_until_resumed(scene: Scene):
    """Weights change while nobody is being answered; who waited is answered by the new ones."""
    scene.model.replies = [{"choices": []}, {"choices": []}]
    scene.model.may_answer.clear()
    before = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()

    still_running = await scene.gateway.pause("policy", 0)
    during = asyncio.create_task(scene.ask())
    await scene.calls.noted.acquire()
    await scene.calls.noted.acquire()
    in_flight = scene.gateway.in_flight("policy")
    scene.model.may_answer.set()
    drained = await scene.gateway.pause("policy", None)
    asked_while_paused = len(scene.model.asked)
    scene.gateway.resume("policy", version=4)

    assert (still_running, in_flight, drained, asked_while_paused) == (1, 1, 0, 1)
    assert (await before)[0] == (await during)[0] == 200
    assert [event.policy_version for event in scene.calls.events] == [3, 4]


async def test_a_pause_that_runs_out_of_time_says_how_many_still_run(scene: Scene):
    """The caller decides what to do with them."""
    scene.model.may_answer.clear()
    asking = asyncio.create_task(scene.ask())
    await scene.model.arrived.acquire()

    left = await scene.gateway.pause("policy", 0)
    scene.model.may_answer.set()
    await asking

    assert left == 1


async def test_a_model_removed_while_calls_wait_lets_them_go(scene: Scene):
    """They are told, and recorded."""
    await scene.gateway.pause("policy", None)
    asking = asyncio.create_task(scene.ask())
    await scene.calls.noted.acquire()

    scene.gateway.remove("policy")
    status, answer = await asking

    assert (status, answer["error"]["code"]) == (404, "model_not_found")
    assert [event.error for event in scene.calls.events] == ["model_not_found"]


async def test_a_caller_that_leaves_while_it_waits_is_recorded(scene: Scene):
    """Also a call that never left was asked for."""
    await scene.gateway.pause("policy", None)
    asking = asyncio.create_task(scene.ask())
    await scene.calls.noted.acquire()

    asking.cancel()
    await scene.calls.kept.acquire()

    assert [event.error for event in scene.calls.events] == ["client_disconnected"]
    assert not scene.model.asked


async def test_pausing_and_resuming_again_and_again_keeps_calls_flowing(scene: Scene):
    """A gate that opens and closes at once neither spins nor forgets who waits."""
    asking = [asyncio.create_task(scene.ask()) for _ in range(8)]
    for version in range(20):
        await scene.gateway.pause("policy", None)
        scene.gateway.resume("policy", version=version)

    statuses = [status for status, _ in await asyncio.gather(*asking)]

    assert statuses == [200] * 8


async def test_an_agent_may_block_its_own_loop(scene: Scene):
    """The gateway has a loop of its own: here the caller's stands still until the answer is there."""
    request = urllib.request.Request(f"{scene.base}/health")  # noqa: S310 - our own gateway

    with urllib.request.urlopen(request, timeout=5) as reply:  # noqa: ASYNC210, S310 - blocking is the point
        assert reply.status == 200
