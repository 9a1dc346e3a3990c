"""From a URL to an engine, or to an error that says what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import agl_any_llm
import pytest
from agl_any_llm import agl_open_engine

from agl_core.engine import Engine
from agl_core.errors import BadValue, EngineFailed, MissingExtra, UnknownName


def test_a_url_of_another_engine_is_left_alone():
    """The next plugin is asked."""
    assert agl_open_engine(url="transformers:/models/x", name="judge") is None


@pytest.mark.parametrize("rest", ["", "mistral", "mistral/", "/small", "mistral/small?api_base=http://127.0.0.1"])
def test_a_url_without_provider_or_model_is_refused(rest):
    """And one that says more."""
    with pytest.raises(BadValue, match="any-llm:provider/model"):
        agl_open_engine(url=f"any-llm:{rest}", name="judge")


def test_a_missing_library_names_the_line_that_installs_it(monkeypatch):
    """Asked for at opening, not in the middle of a run."""
    monkeypatch.setattr("agl_any_llm._opening.find_spec", lambda _name: None)

    with pytest.raises(MissingExtra, match=r"pip install 'agl-any-llm\[any-llm\]'"):
        agl_open_engine(url="any-llm:mistral/small", name="judge")


def test_a_model_may_have_slashes_and_colons_in_its_name():
    """The provider is what stands before the first of them."""
    pytest.importorskip("any_llm")

    engine = agl_open_engine(url="any-llm:together/meta-llama/Llama-3:8b", name="judge")

    assert isinstance(engine, Engine)
    assert (engine._provider, engine._model) == ("together", "meta-llama/Llama-3:8b")


def started(url: str) -> None:
    """Start an engine that cannot be."""
    pytest.importorskip("any_llm")
    asyncio.run(agl_open_engine(url=url, name="judge").start())


def test_a_missing_key_fails_the_start_and_is_named(monkeypatch):
    """Not the first call, an hour later."""
    monkeypatch.delenv("ANTHROPIC_API_KEY", raising=False)

    with pytest.raises(EngineFailed, match="set ANTHROPIC_API_KEY"):
        started("any-llm:anthropic/claude")


def test_an_unknown_provider_fails_the_start():
    """With the one that was meant."""
    with pytest.raises(UnknownName, match="did you mean 'mistral'"):
        started("any-llm:mistrall/small")


def test_a_provider_whose_sdk_is_missing_names_the_line_that_installs_it():
    """The library brings no SDK it was not asked for."""
    pytest.importorskip("any_llm")
    from any_llm import AnyLLM

    missing = next(
        (name for name in ("watsonx", "together", "cohere") if AnyLLM.get_provider_class(name).MISSING_PACKAGES_ERROR),
        None,
    )
    if missing is None:
        pytest.skip("every SDK is here")

    with pytest.raises(MissingExtra, match=rf"pip install 'any-llm-sdk\[{missing}\]'"):
        started(f"any-llm:{missing}/model")


def test_the_plugin_imports_no_library():
    """`agl plugins` stays fast."""
    heavy = "{'any_llm', 'anthropic', 'openai', 'uvicorn'}"
    check = f"import sys, {agl_any_llm.__name__}; sys.exit(bool({heavy} & sys.modules.keys()))"

    subprocess.run([sys.executable, "-c", check], check=True)
