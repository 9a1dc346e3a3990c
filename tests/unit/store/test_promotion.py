"""Versions are declared the best, gone back on, and traced to what they came from; none is ever deleted."""

from __future__ import annotations

import pytest

from agl_core.errors import BadValue, NothingPromoted, UnknownId
from agl_core.events import ResourcesPromoted
from agl_core.resources import PromptTemplate, ResourcesUpdate
from agl_core.store._promotions import before

pytestmark = pytest.mark.anyio


async def chain(store, *texts: str, run_id: str | None = None) -> list[ResourcesUpdate]:
    """Versions of one bundle, each derived from the one before."""
    found: list[ResourcesUpdate] = []
    for text in texts:
        parent = found[-1] if found else None
        prompt = {"prompt": PromptTemplate(text)}
        found.append(await store.publish(prompt, parent=parent, why=f"{text}!", run_id=run_id))
    return found


async def test_the_last_version_declared_best_counts(store):
    """For its bundle, for the run that published it, and for the log."""
    first, second = await chain(store, "a", "b", run_id="run-1")

    await store.promote(second, why="won", by="ada")
    await store.promote(first, why="was better")

    assert store.ask.promoted() == store.ask.promoted(run_id="run-1") == first
    assert store.ask.promoted(resources_id=first.resources_id) == first
    assert [(one.name, one.why, one.by, one.run_id) for one in store.ask.promotions()] == [
        (f"{second.resources_id}@2", "won", "ada", "run-1"),
        (f"{first.resources_id}@1", "was better", "", "run-1"),
    ]


async def test_what_counts_as_the_best_is_not_declared_twice(store):
    """Whatever is said of why: there is one fact of it."""
    (first,) = await chain(store, "a")

    assert await store.promote(first, why="won")
    assert not await store.promote(first, why="still wins")
    assert len(list(store.log.read(types=[ResourcesPromoted.type]))) == 1


async def test_each_run_has_a_best_of_its_own(store):
    """What another run declared later is the log's best, and not this run's."""
    (one,), (other,) = await chain(store, "a", run_id="run-1"), await chain(store, "b", run_id="run-2")
    await store.promote(one)
    await store.promote(other)

    assert store.ask.promoted(run_id="run-1") == one
    assert store.ask.promoted() == other
    with pytest.raises(NothingPromoted, match="run-3"):
        store.ask.promoted(run_id="run-3")


async def test_a_version_that_was_never_published_cannot_be_the_best(store):
    """There would be nothing to give to anybody."""
    stranger = ResourcesUpdate(resources_id="rs-x", version=1, create_time=0, update_time=0, resources={})

    with pytest.raises(UnknownId, match="rs-x@1"):
        await store.promote(stranger)


async def test_a_version_is_traced_to_what_it_came_from(store):
    """With why each came to be."""
    versions = await chain(store, "a", "b", "c")

    assert store.ask.lineage(versions[-1]) == versions[::-1]
    assert [one.why for one in store.ask.lineage(versions[1])] == ["b!", "a!"]


async def test_going_back_ends_where_all_began(store):
    """At the version that came from none, whoever promoted it."""
    first, second = await chain(store, "a", "b", run_id="run-1")
    await store.promote(second)

    assert store.ask.promoted_before(run_id="run-1") == first
    await store.promote(first)
    with pytest.raises(BadValue, match=f"{first.resources_id}@1"):
        store.ask.promoted_before(run_id="run-1")
    with pytest.raises(NothingPromoted, match="run-2"):
        store.ask.promoted_before(run_id="run-2")


@pytest.mark.parametrize(
    ("declared", "back"),
    [("", None), ("a", None), ("ab", "a"), ("aba", None), ("abcb", "a"), ("abcbd", "b"), ("bb", None)],
)
async def test_going_back_goes_on_going_back(declared, back):
    """What was gone back on counts no more: twice back is two back, not there and back."""
    assert before(declared) == back
