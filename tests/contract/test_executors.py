"""The executor in this process keeps what every executor promises; one with a common fault does not."""

import asyncio
from inspect import signature

import pytest

from agl_core.executors import InProcess
from agl_core.testing import ExecutorContract, _executor_contract


class Serial(InProcess):
    """One after the other."""

    async def start(self, work, worker_ids):
        """The next when the last is done."""

        async def all_of_them(_name):
            for name in worker_ids:
                await work(name)

        await super().start(all_of_them, worker_ids[:1])


class Anonymous(InProcess):
    """Calls all by one name."""

    async def start(self, work, worker_ids):
        """The first one's."""
        await super().start(work, [worker_ids[0] for _ in worker_ids])


class Hasty(InProcess):
    """Does not wait for what is put in order."""

    async def stop(self):
        """Later, perhaps."""
        self.stopping = asyncio.ensure_future(super().stop())


class Waiting(InProcess):
    """Returns when the work is done."""

    async def start(self, work, worker_ids):
        """All of it."""
        await asyncio.gather(*(work(name) for name in worker_ids))


class Silent(InProcess):
    """Never says what happened."""

    def failure(self):
        """Nothing."""
        return


FAULTS = {
    "test_they_are_at_work_at_the_same_time": Serial,
    "test_each_worker_is_set_to_work_once": Anonymous,
    "test_what_they_were_at_is_put_in_order": Hasty,
    "test_starting_does_not_wait_for_them": Waiting,
    "test_what_a_worker_died_of_is_told": Silent,
}


class TestInProcess(ExecutorContract):
    """It keeps them all."""

    @pytest.fixture
    def open_executor(self):
        """Threads and tasks here."""
        return InProcess

    @pytest.mark.parametrize(("promise", "faulty"), FAULTS.items())
    def test_a_fault_is_found_by_the_promise_that_it_breaks(self, promise, faulty, tmp_path, monkeypatch):
        """The contract can fail; what never comes is not waited for long."""
        monkeypatch.setattr(_executor_contract, "PATIENCE", 0.5)
        given = {"open_executor": faulty, "tmp_path": tmp_path}
        kept = getattr(self, promise)

        with pytest.raises((AssertionError, TimeoutError)):
            kept(**{name: given[name] for name in signature(kept).parameters})
