"""A model that others serve is known by its URL, and its key by the environment."""

from __future__ import annotations

from pathlib import Path

import pytest

from agl_core.engine import Checkpoint, Endpoint, Hosted
from agl_core.errors import BadValue, EngineFailed
from agl_core.plugins import Plugins
from agl_core.testing import ScriptedModel

pytestmark = pytest.mark.anyio

VARIABLES = ("OPENAI_API_KEY", "AZURE_OPENAI_API_KEY", "ANTHROPIC_API_KEY", "OPENROUTER_API_KEY", "AGL_GRADER_API_KEY")


@pytest.fixture(autouse=True)
def _no_keys(monkeypatch):
    monkeypatch.setenv("AGL_LOAD_PLUGINS", "")
    for variable in VARIABLES:
        monkeypatch.delenv(variable, raising=False)


async def test_a_url_opens_it_through_the_same_door_as_every_engine():
    """By the hook; other kinds of URL are other plugins'."""
    engine = Plugins.load().open_engine("https://api.openai.com/v1#gpt-5", "grader")

    assert isinstance(engine, Hosted)


@pytest.mark.parametrize(
    ("url", "variable", "named", "dialect"),
    [
        ("https://api.openai.com/v1#gpt-5-mini", "OPENAI_API_KEY", "gpt-5-mini", "openai.chat"),
        ("https://me.openai.azure.com/openai/v1?api-version=1#dep", "AZURE_OPENAI_API_KEY", "dep", "openai.chat"),
        ("https://api.anthropic.com/v1#claude", "ANTHROPIC_API_KEY", "claude", "anthropic.messages"),
        ("https://openrouter.ai/api/v1#qwen/qwen3-8b", "OPENROUTER_API_KEY", "qwen/qwen3-8b", "openai.chat"),
    ],
)
async def test_a_provider_finds_its_key_where_its_users_keep_it(
    monkeypatch: pytest.MonkeyPatch, url: str, variable: str, named: str, dialect: str
):
    """Nobody is asked anything over the network for that, and the key is in no repr."""
    monkeypatch.setenv(variable, "sk-provider")

    endpoint = await Hosted(url, "grader").start()

    assert (endpoint.url, endpoint.model, endpoint.named) == (url.partition("#")[0], "grader", named)
    assert (endpoint.api_key, endpoint.dialects[0], endpoint.token_ids) == ("sk-provider", dialect, False)
    assert "sk-provider" not in repr(endpoint)


async def test_a_providers_key_goes_to_nobody_else(monkeypatch: pytest.MonkeyPatch):
    """A host is known by its end, not by a part that anybody may have in theirs."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-provider")
    with ScriptedModel() as model:
        endpoint = await Hosted(model.url, "grader").start()

    assert endpoint.api_key is None


async def test_a_missing_key_is_said_at_the_start():
    """With the variables that are looked at."""
    with pytest.raises(EngineFailed, match=r"OPENAI_API_KEY, or AGL_GRADER_API_KEY"):
        await Hosted("https://api.openai.com/v1#gpt-5", "grader").start()


async def test_a_model_may_have_a_key_of_its_own(monkeypatch: pytest.MonkeyPatch):
    """Over the provider's: two accounts can be used beside each other."""
    monkeypatch.setenv("OPENAI_API_KEY", "sk-provider")
    monkeypatch.setenv("AGL_GRADER_API_KEY", "sk-own")

    endpoint = await Hosted("https://api.openai.com/v1#gpt-5", "grader").start()

    assert endpoint.api_key == "sk-own"


async def test_the_only_model_of_a_server_needs_no_name():
    """It says itself what it is called."""
    with ScriptedModel(model="org/small") as model:
        endpoint = await Hosted(model.url, "grader").start()

    assert (endpoint.named, endpoint.token_ids, endpoint.max_len) == ("org/small", False, 0)


async def test_vllm_is_asked_for_token_ids():
    """It says that it is vLLM, and how long its context is; others refuse fields they do not know."""
    with ScriptedModel(model="org/small", owner="vllm", max_len=512) as model:
        endpoint = await Hosted(f"{model.url}#org/small", "policy").start()

        assert endpoint == Endpoint(
            url=model.url,
            model="policy",
            named="org/small",
            max_len=512,
            token_ids=True,
            logprobs_mode="raw",
            tools=None,
            dialects=("openai.chat", "openai.completions", "openai.embeddings"),
        )


async def test_where_nobody_answers_is_said_at_the_start():
    """Before agents run into it."""
    with ScriptedModel() as model:
        url = model.url

    with pytest.raises(EngineFailed, match="is the server up"):
        await Hosted(f"{url}#m", "grader").start()


@pytest.mark.parametrize("url", ["ftp://127.0.0.1/v1#m", "http://[::1/v1#m", "http://169.254.169.254/v1", "https:#m"])
def test_what_is_no_place_of_a_model_is_refused_before_it_is_asked(url: str):
    """A cloud's metadata service would be asked for the models it serves, with a key."""
    with pytest.raises(BadValue, match=r"endpoint\.url"):
        Hosted(url, "grader")


async def test_it_takes_no_weights(tmp_path: Path):
    """Said with what does."""
    with pytest.raises(EngineFailed, match="transformers:/path"):
        await Hosted("https://api.openai.com/v1#gpt-5", "grader").load(
            Checkpoint(digest="b2:0", folder=tmp_path), version=1
        )
