"""A store that is slow, full or gone: what it cannot keep is not answered as if it were kept, and calls add up."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import aiohttp
import pytest

from ._conserving import Agents, Model, everything, gateway, kept, many_files, serving, told
from ._faults import full, held

pytestmark = pytest.mark.anyio


@pytest.fixture
def anyio_backend() -> str:
    """The gateway speaks asyncio, and so do its tests."""
    return "asyncio"


@pytest.fixture(autouse=True)
def files() -> Iterator[None]:
    """As many as there may be."""
    with many_files():
        yield


async def is_well(places: list[Any]) -> bool:
    """Whether the gateway says so, while it waits for its store."""
    url = places[0][0].partition("/rollout/")[0]
    async with aiohttp.ClientSession() as client, client.get(f"{url}/health") as reply:
        return reply.status == 200


async def test_while_the_store_is_slow_no_call_is_answered_and_then_all_are(tmp_path: Path):
    """Another process has the lock: answers that have come wait with their ends, calls that come do not leave."""
    count = 200
    model, path = Model(), tmp_path / "log.db"
    model.may_answer.clear()
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8) as (_, places):
            under_way, late = Agents(places), Agents(places)
            asking = [asyncio.create_task(everything(under_way, count // 2))]
            await model.until(count // 2)
            with held(path) as release:
                model.may_answer.set()
                asking.append(asyncio.create_task(everything(late, count // 2)))
                await under_way.until_shown(count // 4)
                assert await is_well(places)
                answered = under_way.answered | late.answered
                asked = model.asked
                release()
            await asyncio.gather(*asking)

    found = kept(path)
    print(f"slow: {len(answered)} answered and {asked} asked under the lock, {len(found)} of {count} kept after it")
    assert (answered, asked) == (set(), count // 2)
    assert len(under_way.answered) == len(late.answered) == count // 2
    assert {found.get(call_id) for call_id in under_way.answered | late.answered} == {"ok"}
    assert len(found) == model.asked == count


async def test_a_store_that_is_slow_for_too_long_refuses_with_a_code(tmp_path: Path):
    """The log waits for so long and no longer: whoever asked is told, and what had left is unknown."""
    count, patience = 100, 200
    model, path = Model(), tmp_path / "log.db"
    model.may_answer.clear()
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8, patience=patience) as (_, places):
            under_way, late, after = Agents(places), Agents(places), Agents(places)
            asking = asyncio.create_task(everything(under_way, count))
            await model.until(count)
            with held(path):
                model.may_answer.set()
                await everything(late, count)
                await asking
            await everything(after, count)

    found = kept(path)
    statuses = sorted(found.values())
    print(
        f"busy: refused {under_way.refused} and {late.refused}; {len(after.answered)} answered after; {len(found)} kept"
    )
    assert not under_way.answered | late.answered
    assert under_way.refused == late.refused == {"LOG_BUSY": count}
    assert {found.get(call_id) for call_id in after.answered} == {"ok"}
    assert len(after.answered) == statuses.count("ok") == count
    assert statuses.count("unknown") == count
    assert len(found) == model.asked


async def test_a_full_disk_refuses_and_with_room_the_same_gateway_serves_on(tmp_path: Path):
    """Calls that left before it was known are unknown on the next open; none that was answered is missing."""
    count = 200
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8) as (process, places):
            before, during, after = Agents(places), Agents(places), Agents(places)
            await everything(before, count)
            with full(path, process.pid, room=1 << 20):
                await everything(during, count)
                await everything(during, count)
            await everything(after, count)

    found = kept(path)
    answered = before.answered | during.answered | after.answered
    print(f"full: {len(during.answered)} answered, refused {during.refused}; {len(found)} kept of {model.asked} asked")
    assert len(before.answered) == len(after.answered) == count
    assert during.refused.keys() == {"LOG_FULL"}
    assert len(during.answered) + during.failed == 2 * count
    assert {found.get(call_id) for call_id in answered} == {"ok"}
    assert set(found.values()) <= {"ok", "unknown"}
    assert len(found) == model.asked


@pytest.mark.parametrize(("fault", "code"), [("moved", "LOG_GONE"), ("broken", "LOG_FULL")])
async def test_a_store_that_is_down_for_good_refuses_every_call(tmp_path: Path, fault: str, code: str):
    """Its file is gone, or its disk takes no more writes: agents are told, and nothing that was answered is missing."""
    count = 100
    model, path = Model(), tmp_path / "log.db"
    async with serving(model) as upstream:
        with gateway(path, upstream, rollouts=8) as (process, places):
            before, under_way, late = Agents(places), Agents(places), Agents(places)
            await everything(before, count)
            model.may_answer.clear()
            asking = asyncio.create_task(everything(under_way, count))
            await model.until(2 * count)
            if fault == "moved":
                path.rename(tmp_path / "elsewhere.db")
            else:
                assert told(process, "break") == "break\n"
            model.may_answer.set()
            await asking
            await everything(late, count)
            process.kill()
            process.wait()
    if fault == "moved":
        (tmp_path / "elsewhere.db").rename(path)

    found = kept(path)
    print(f"{fault}: refused {under_way.refused} and {late.refused}; {len(found)} kept of {model.asked} asked")
    assert under_way.refused == late.refused == {code: count}
    assert len(before.answered) == count
    assert {found.get(call_id) for call_id in before.answered} == {"ok"}
    assert sorted(found.values()) == ["ok"] * count + ["unknown"] * count
    assert len(found) == model.asked
