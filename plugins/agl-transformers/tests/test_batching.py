"""One thread, many who ask: who waits, who leaves, and what happens when it all stops."""

from __future__ import annotations

import asyncio
from concurrent.futures import ThreadPoolExecutor, as_completed
from queue import Queue
from threading import Event, active_count

import httpx
import openai
import pytest
import torch
from agl_transformers._batching import Batcher
from agl_transformers._decoding import Decoder
from agl_transformers._generation import Generation, Sampling

from agl_core.engine import Checkpoint
from agl_core.errors import EngineFailed


def _generation(seed=0, *, prompt=(1, 2, 3), limit=4):
    return Generation(prompt=prompt, sampling=Sampling(seed=seed), limit=limit)


class Held:
    """A decoder that writes nothing until it is let go."""

    def __init__(self):
        self.begun, self.let_go = Queue(), Event()

    def write(self, batch):
        """Say that a batch began, wait, and finish it."""
        self.begun.put(len(batch))
        self.let_go.wait()
        yield []
        for each in batch:
            each.finish = "stop"
        yield list(batch)


@pytest.fixture
def held():
    """The decoder of `batcher`."""
    return Held()


@pytest.fixture
def batcher(held):
    """A running batcher that keeps what it delivers."""
    delivered = Queue()
    running = Batcher(held, max_batch=4, threads=None, url="transformers:/test", deliver=delivered.put)
    running.delivered = delivered
    running.start()
    yield running
    held.let_go.set()
    running.stop()


def test_who_comes_while_a_batch_runs_shares_the_next(batcher, held):
    """And no batch is larger than allowed."""
    batcher.submit([_generation()])
    first = held.begun.get()
    batcher.submit([_generation(seed) for seed in range(6)])
    held.let_go.set()

    assert [first, held.begun.get(), held.begun.get()] == [1, 4, 2]


def test_weights_change_between_batches_and_before_what_waits(batcher, held):
    """Answers begun on the old version end on it."""
    old, new = _generation(), _generation()
    batcher.submit([old])
    held.begun.get()
    changed = batcher.between(lambda: 5)
    batcher.submit([new])

    assert not changed.done()
    held.let_go.set()
    changed.result()
    finished = [*batcher.delivered.get(), *batcher.delivered.get()]
    assert [(each is old, each.version) for each in finished] == [(True, 0), (False, 5)]


def test_a_change_that_fails_keeps_the_version(batcher):
    """Whoever asked for it gets the error."""

    def change():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        batcher.between(change).result()

    assert batcher.version == 0


def test_stopping_fails_what_runs_and_what_waits(batcher, held):
    """Nobody waits for ever."""
    running, waiting = _generation(), _generation()
    batcher.submit([running])
    held.begun.get()
    batcher.submit([waiting])
    changed = batcher.between(lambda: 1)

    with ThreadPoolExecutor(1) as pool:
        stopping = pool.submit(batcher.stop)
        held.let_go.set()
        stopping.result()

    failed = [each for _ in range(batcher.delivered.qsize()) for each in batcher.delivered.get()]
    assert {each.failure is not None for each in failed if each.finish is None} <= {True}
    assert {running, waiting} == set(failed)
    assert isinstance(changed.exception(), EngineFailed) or changed.result() is None
    with pytest.raises(EngineFailed, match="stopped"):
        batcher.submit([_generation()])


def test_a_model_that_raises_fails_its_batch_and_no_other(batcher, held):
    """The next batch runs."""
    held.let_go.set()
    good, held.write = held.write, lambda _batch: iter([1 / 0])
    bad = _generation()
    batcher.submit([bad])
    batcher.delivered.get()
    held.write = good
    later = _generation()

    batcher.submit([later])

    batcher.delivered.get()
    assert isinstance(bad.failure, EngineFailed)
    assert later.failure is None


def test_who_is_gone_before_the_batch_is_not_written(batcher, held):
    """An abandoned request costs nothing."""
    batcher.submit([_generation()])
    held.begun.get()
    gone = _generation()
    batcher.submit([gone, _generation()])
    gone.is_abandoned = True

    held.let_go.set()

    assert held.begun.get() == 1


def test_only_who_is_watched_is_delivered_at_each_step(batcher, held):
    """The others cost a step nothing: one delivery when they are done."""
    watched, other = _generation(), _generation()
    watched.is_watched = True
    held.let_go.set()

    batcher.submit([watched, other])

    assert [batcher.delivered.get() for _ in range(2)] == [[watched], [watched, other]]
    batcher.submit([_generation()])
    assert len(batcher.delivered.get()) == 1


@pytest.fixture(scope="module")
def decoder(plain):
    """The real decoder."""
    model, tokenizer = plain
    return Decoder(model, ends=frozenset([tokenizer.eos_token_id]), text_of=tokenizer.decode)


def test_rows_leave_as_they_finish_and_the_rest_write_on(decoder, plain):
    """Also after the batch has shrunk several times, every row says what it says alone."""
    rows = [_generation(seed, prompt=tuple(range(1, 2 + seed % 5)), limit=1 + seed) for seed in range(20)]
    alone = [_generation(seed, prompt=row.prompt, limit=row.limit) for seed, row in enumerate(rows)]

    steps = list(decoder.write(rows))
    for row in alone:
        list(decoder.write([row]))

    assert [row.tokens for row in rows] == [row.tokens for row in alone]
    for row, single in zip(rows, alone, strict=True):
        torch.testing.assert_close(row.logprobs, single.logprobs, atol=1e-4, rtol=1e-4)
    assert all(len(row.tokens) == step + 1 for step, finished in enumerate(steps) for row in finished)


def test_equal_prompts_are_computed_once(decoder, monkeypatch):
    """Eight samples of a task cost one prompt."""
    widths = []
    forward = decoder.model.forward

    def counted(**given):
        widths.append(tuple(given["input_ids"].shape))
        return forward(**given)

    monkeypatch.setattr(decoder.model, "forward", counted)

    list(decoder.write([_generation(seed, prompt=(5, 6, 7, 8)) for seed in range(8)]))

    assert widths[0] == (1, 4)


def test_an_abandoned_row_leaves_at_the_next_step(decoder):
    """What nobody waits for is not written to its end."""
    row = _generation(limit=50)

    for _ in decoder.write([row]):
        row.is_abandoned = True

    assert len(row.tokens) == 2


def test_stopping_answers_those_who_wait_with_503(serve, folder):
    """Requests under way and in the queue get an error in OpenAI's shape; stopping twice is harmless."""
    served = serve(folder, "threads=1&max_batch=1")

    def ask(number):
        try:
            return served.ask(f"number {number}", max_tokens=200, seed=number)
        except openai.APIError as error:
            return error

    with ThreadPoolExecutor(16) as pool:
        asked = [pool.submit(ask, number) for number in range(16)]
        next(as_completed(asked))
        asyncio.run(served.engine.stop())
        answers = [each.result() for each in asked]
    asyncio.run(served.engine.stop())

    refused = [answer for answer in answers if isinstance(answer, openai.APIError)]
    assert refused
    assert {type(answer) for answer in refused} <= {openai.InternalServerError, openai.APIConnectionError}
    assert any(getattr(answer, "status_code", None) == 503 for answer in refused)


def test_a_stopped_engine_leaves_no_thread_and_serves_no_more(serve, folder):
    """Threads are joined, the port is closed, and a load is refused."""
    before = active_count()
    served = serve(folder)
    asyncio.run(served.engine.stop())

    with pytest.raises(httpx.ConnectError):
        httpx.get(f"{served.endpoint.url}/models")
    with pytest.raises(EngineFailed):
        asyncio.run(served.engine.load(Checkpoint(digest="b2:x", folder=folder), version=1))

    assert active_count() <= before
