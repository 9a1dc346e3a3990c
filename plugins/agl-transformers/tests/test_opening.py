"""From a URL to an engine, or to an error that says what to do."""

from __future__ import annotations

import asyncio
import subprocess
import sys

import agl_transformers
import pytest
from agl_transformers import agl_open_engine
from agl_transformers._opening import options_of

from agl_core.engine import Engine
from agl_core.errors import BadValue, EngineFailed, MissingExtra, ModelNotFound


def test_a_url_of_another_engine_is_left_alone():
    """The next plugin is asked."""
    assert agl_open_engine(url="vllm:/models/x", name="policy") is None


def test_a_folder_becomes_an_engine_that_is_not_started(folder):
    """Opening is cheap; starting loads."""
    assert isinstance(agl_open_engine(url=f"transformers:{folder}", name="policy"), Engine)


def test_options_are_read_from_the_url():
    """Also a folder with a space in its name."""
    options = options_of("transformers:/a%20b?dtype=bfloat16&max_len=64&max_batch=8&threads=2&device=cpu")

    assert str(options.folder) == "/a b"
    assert (options.dtype, options.max_len, options.max_batch, options.threads) == ("bfloat16", 64, 8, 2)


@pytest.mark.parametrize("query", ["dtype=int3", "max_len=0", "max_batch=many", "colour=red", "threads="])
def test_a_senseless_option_is_refused_by_name(query):
    """Before anything is loaded."""
    with pytest.raises(BadValue, match=query.partition("=")[0]):
        options_of(f"transformers:/x?{query}")


def test_a_missing_folder_is_not_found(tmp_path):
    """The path is in the message."""
    with pytest.raises(ModelNotFound, match="nowhere"):
        agl_open_engine(url=f"transformers:{tmp_path}/nowhere", name="policy")


def test_a_missing_framework_names_the_line_that_installs_it(monkeypatch, folder):
    """Asked for at opening, not in the middle of a run."""
    monkeypatch.setattr("agl_transformers._opening.find_spec", lambda _name: None)

    with pytest.raises(MissingExtra, match=r"pip install 'agl-transformers\[transformers\]'"):
        agl_open_engine(url=f"transformers:{folder}", name="policy")


def test_a_broken_folder_fails_the_start(tmp_path):
    """A configuration without a model behind it."""
    (tmp_path / "config.json").write_text("{}")
    engine = agl_open_engine(url=f"transformers:{tmp_path}", name="policy")

    with pytest.raises(EngineFailed):
        asyncio.run(engine.start())


def test_the_plugin_imports_no_framework():
    """`agl plugins` stays fast."""
    check = f"import sys, {agl_transformers.__name__}; sys.exit(bool({{'torch', 'transformers'}} & sys.modules.keys()))"

    subprocess.run([sys.executable, "-c", check], check=True)
