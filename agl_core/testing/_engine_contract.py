"""What every engine promises, as tests to inherit."""

from __future__ import annotations

import asyncio
import math
from collections.abc import Awaitable, Callable, Sequence
from typing import Any

import httpx
import pytest

from agl_core.engine import Checkpoint, Endpoint, Engine

__all__ = ["EngineContract"]

_FINISHED = {"stop", "length", "tool_calls"}
PATIENCE = 120.0
"""Seconds a slow model may take for an answer of a few tokens."""


class Client:
    """Asks an endpoint."""

    def __init__(self, endpoint: Endpoint, http: httpx.AsyncClient) -> None:
        self.endpoint, self._http = endpoint, http

    async def send(self, **fields: Any) -> httpx.Response:
        """A chat completion of a few tokens; a field that is `None` is left out."""
        body: dict[str, Any] = {
            "model": self.endpoint.model,
            "messages": [{"role": "user", "content": "Say something."}],
            "max_tokens": 8,
            "return_token_ids": True,
            "logprobs": True,
            **fields,
        }
        body = {name: value for name, value in body.items() if value is not None}
        key = self.endpoint.api_key
        headers = {"authorization": f"Bearer {key}"} if key else {}
        return await self._http.post(f"{self.endpoint.url}/chat/completions", json=body, headers=headers)

    async def ask(self, **fields: Any) -> dict[str, Any]:
        """The same, when it must succeed."""
        reply = await self.send(**fields)
        assert reply.status_code == 200, reply.text
        answer: dict[str, Any] = reply.json()
        return answer


Talk = Callable[[Client], Awaitable[Any]]


class EngineContract:
    """Inherit, and override `engine` and `checkpoint`."""

    @pytest.fixture
    def engine(self) -> Engine:
        """An engine that was not started."""
        raise NotImplementedError("override the fixture `engine`")

    @pytest.fixture
    def checkpoint(self) -> Checkpoint:
        """Weights that the engine can load; the ones it starts with will do."""
        raise NotImplementedError("override the fixture `checkpoint`")

    def test_it_is_an_engine(self, engine: Engine) -> None:
        """It has the methods."""
        assert isinstance(engine, Engine)

    # --- answering

    def test_it_answers_from_the_start(self, engine: Engine) -> None:
        """On loopback, under its model's name, as OpenAI's chat completions."""

        async def talk(client: Client) -> None:
            url = httpx.URL(client.endpoint.url)
            answer = await client.ask()

            assert url.host in {"127.0.0.1", "::1", "localhost"}
            assert url.path.endswith("/v1")
            (choice,) = answer["choices"]
            assert answer["object"] == "chat.completion"
            assert choice["message"]["role"] == "assistant"
            assert choice["finish_reason"] in _FINISHED

        _talk(engine, talk)

    def test_every_sampled_token_has_an_id_and_a_logprob(self, engine: Engine) -> None:
        """Lists of equal length, of the tokens that were sampled, and counted as such."""

        async def talk(client: Client) -> None:
            answer = await client.ask(temperature=1.0)

            (choice,) = answer["choices"]
            ids, prompt = choice["token_ids"], answer["prompt_token_ids"]
            logprobs = [entry["logprob"] for entry in choice["logprobs"]["content"]]
            assert len(ids) == len(logprobs) == answer["usage"]["completion_tokens"]
            assert len(prompt) == answer["usage"]["prompt_tokens"] > 0
            assert all(type(id_) is int and id_ >= 0 for id_ in [*ids, *prompt])
            assert all(math.isfinite(logprob) and logprob <= 1e-3 for logprob in logprobs)

        _talk(engine, talk)

    def test_it_says_no_more_than_was_asked(self, engine: Engine) -> None:
        """Ids and log-probabilities only when the request wants them."""

        async def talk(client: Client) -> None:
            answer = await client.ask(return_token_ids=None, logprobs=None)

            assert "prompt_token_ids" not in answer
            assert "token_ids" not in answer["choices"][0]
            assert answer["choices"][0].get("logprobs") is None

        _talk(engine, talk)

    def test_the_same_seed_gives_the_same_tokens(self, engine: Engine) -> None:
        """Asked again, with the same words."""

        async def talk(client: Client) -> None:
            first, again = [_tokens(await client.ask(temperature=1.0, seed=7)) for _ in range(2)]

            assert first == again

        _talk(engine, talk)

    def test_an_answer_is_no_longer_than_its_limit(self, engine: Engine) -> None:
        """One token is one token."""

        async def talk(client: Client) -> None:
            answer = await client.ask(max_tokens=1)

            assert len(_tokens(answer)) == 1

        _talk(engine, talk)

    def test_many_are_answered_at_once(self, engine: Engine) -> None:
        """Each gets an answer of its own."""

        async def talk(client: Client) -> None:
            answers = await asyncio.gather(*(client.ask(seed=number) for number in range(8)))

            assert all(answer["choices"][0]["finish_reason"] in _FINISHED for answer in answers)
            assert len({answer["id"] for answer in answers}) == 8

        _talk(engine, talk)

    # --- refusing

    def test_a_prompt_that_does_not_fit_is_refused(self, engine: Engine) -> None:
        """With the code that clients know, and the next one is answered."""

        async def talk(client: Client) -> None:
            words = "word " * (client.endpoint.max_len + 1)
            reply = await client.send(messages=[{"role": "user", "content": words}])

            assert (reply.status_code, _code(reply)) == (400, "context_length_exceeded")
            await client.ask()

        _talk(engine, talk)

    def test_a_model_it_does_not_have_is_refused(self, engine: Engine) -> None:
        """It never answers in another's name."""

        async def talk(client: Client) -> None:
            reply = await client.send(model="no-such-model")

            assert (reply.status_code, _code(reply)) == (404, "model_not_found")

        _talk(engine, talk)

    @pytest.mark.parametrize("fields", [{"messages": None}, {"messages": []}, {"messages": "hello"}])
    def test_a_request_that_is_none_is_refused(self, engine: Engine, fields: dict[str, Any]) -> None:
        """With status 400 and a code, and the next one is answered."""

        async def talk(client: Client) -> None:
            reply = await client.send(**fields)

            assert reply.status_code == 400
            assert _code(reply)
            await client.ask()

        _talk(engine, talk)

    # --- new weights

    def test_loading_changes_the_version_that_answers_report(self, engine: Engine, checkpoint: Checkpoint) -> None:
        """From the next request on; twice in a row, and the model goes on answering."""

        async def talk(client: Client) -> None:
            versions = []
            for version in (3, 4):
                await engine.load(checkpoint, version=version)
                versions.append((await client.ask())["policy_version"])

            assert versions == [3, 4]

        _talk(engine, talk)

    def test_the_same_weights_say_the_same(self, engine: Engine, checkpoint: Checkpoint) -> None:
        """Loading is exact: a version loaded twice gives the same tokens for a seed."""

        async def talk(client: Client) -> None:
            said = []
            for version in (1, 2):
                await engine.load(checkpoint, version=version)
                said.append(_tokens(await client.ask(temperature=1.0, seed=11)))

            assert said[0] == said[1]

        _talk(engine, talk)

    def test_weights_may_come_while_it_answers(self, engine: Engine, checkpoint: Checkpoint) -> None:
        """Each answer is of one version, and none is lost."""

        async def talk(client: Client) -> None:
            await engine.load(checkpoint, version=1)
            asking = [asyncio.ensure_future(client.ask(seed=number)) for number in range(6)]
            await engine.load(checkpoint, version=2)
            answers: Sequence[dict[str, Any]] = await asyncio.gather(*asking)

            assert {answer["policy_version"] for answer in answers} <= {1, 2}
            assert (await client.ask())["policy_version"] == 2

        _talk(engine, talk)

    # --- stopping

    def test_it_listens_no_more_when_it_is_stopped(self, engine: Engine) -> None:
        """And stopping it again is harmless."""

        async def stopped() -> str:
            endpoint = await engine.start()
            await engine.stop()
            await engine.stop()
            return endpoint.url

        url = asyncio.run(stopped())

        with pytest.raises(httpx.TransportError):
            httpx.get(f"{url}/models", timeout=PATIENCE)


def _talk(engine: Engine, talk: Talk) -> None:
    async def started() -> None:
        endpoint = await engine.start()
        try:
            async with httpx.AsyncClient(timeout=PATIENCE) as http:
                await talk(Client(endpoint, http))
        finally:
            await engine.stop()

    asyncio.run(started())


def _tokens(answer: dict[str, Any]) -> list[int]:
    tokens: list[int] = answer["choices"][0]["token_ids"]
    return tokens


def _code(reply: httpx.Response) -> str:
    return str(reply.json()["error"]["code"])
