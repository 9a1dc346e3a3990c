"""A small Llama with random weights and a tokenizer of its own, as a folder that any Hugging Face loader opens."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from transformers import PreTrainedTokenizerFast

__all__ = ["CHAT_TEMPLATE", "EOS", "build", "tokenizer"]

EOS = "<|im_end|>"

# The Hermes dialect with no white space inside <tool_call>: what a model writes is what the next prompt renders, token
# for token, so that the turns of one rollout stay one exact sequence. The system line names the tools and no more: a
# small model learns one agent, and every token of a schema would be computed in each of ten thousand calls.
CHAT_TEMPLATE = """\
{%- if tools %}{{ '<|im_start|>system\\nTools:' }}
{%- for tool in tools %}{{ ' ' + (tool.function or tool).name }}{% endfor %}{{ '<|im_end|>\\n' }}{% endif %}
{%- for message in messages %}{{ '<|im_start|>' + message.role + '\\n' }}
{%- if message.content is string %}{{ message.content }}
{%- elif message.content %}{% for part in message.content %}{{ part.text }}{% endfor %}{% endif %}
{%- for call in message.tool_calls or [] %}{% set function = call.function or call %}
{{- '<tool_call>{"name": "' + function.name + '", "arguments": ' }}
{{- function.arguments if function.arguments is string else function.arguments | tojson }}
{{- '}</tool_call>' }}{% endfor %}
{{- '<|im_end|>\\n' }}{% endfor %}
{%- if add_generation_prompt %}{{ '<|im_start|>assistant\\n' }}{% endif %}"""

# Enough demonstrations for every word of every story to occur many times.
_READ = 1000
_TOOLS = [{"function": {"name": "calculator"}}]
_PAD = "<|pad|>"
_SPECIAL = (_PAD, "<|im_start|>", EOS)
_TAGS = ("<tool_call>", "</tool_call>")
# One digit, one token: a number is copied digit by digit, and no number is a word of its own. A tool call's opening is
# one word, so that a call costs the model one step for it.
_WORDS = r"""\d|\{"name": "\w+", "arguments": \{"\w+": "| [-+*/] |\s?[A-Za-z]+[.,?:\n]?|\s+|[^\sA-Za-z\d]+"""


def build(
    folder: Path,
    *,
    seed: int,
    layers: int = 2,
    hidden: int = 128,
    heads: int = 4,
    vocabulary: int = 768,
    context: int = 512,
) -> Path:
    """Write config, weights, tokenizer and chat template to `folder`; the same seed gives the same bytes."""
    import torch
    from transformers import LlamaConfig, LlamaForCausalLM

    from agl_demo._warm_start import demonstrations

    words = tokenizer(islice(demonstrations(seed), _READ), vocabulary=vocabulary)
    config = LlamaConfig(
        vocab_size=len(words),
        hidden_size=hidden,
        intermediate_size=2 * hidden,
        num_hidden_layers=layers,
        num_attention_heads=heads,
        num_key_value_heads=heads,
        max_position_embeddings=context,
        tie_word_embeddings=True,
        bos_token_id=None,
        eos_token_id=words.eos_token_id,
        pad_token_id=words.pad_token_id,
        dtype="float32",
    )
    with torch.random.fork_rng():
        torch.manual_seed(seed)
        model = LlamaForCausalLM(config)
    model.generation_config.update(eos_token_id=words.eos_token_id, pad_token_id=words.pad_token_id)
    model.save_pretrained(folder)
    words.save_pretrained(folder)
    return folder


def tokenizer(transcripts: Iterable[list[dict[str, Any]]], *, vocabulary: int = 768) -> PreTrainedTokenizerFast:
    """A byte-level BPE over `transcripts`, with the chat template; it can write any text, and theirs in few tokens."""
    from tokenizers import AddedToken, Regex, Tokenizer, decoders, models, pre_tokenizers, trainers
    from transformers import PreTrainedTokenizerFast

    bpe = Tokenizer(models.BPE())
    bpe.pre_tokenizer = pre_tokenizers.Sequence(
        [
            pre_tokenizers.Split(Regex(_WORDS), "isolated"),
            pre_tokenizers.ByteLevel(add_prefix_space=False, use_regex=False),
        ]
    )
    bpe.decoder = decoders.ByteLevel()
    trainer = trainers.BpeTrainer(
        vocab_size=vocabulary - len(_TAGS),
        special_tokens=list(_SPECIAL),
        initial_alphabet=pre_tokenizers.ByteLevel.alphabet(),
        show_progress=False,
    )
    bpe.train_from_iterator(_between_tags(transcripts), trainer)
    # Not special: a decoder that skips special tokens must still show them, or no dialect could find the tool call.
    bpe.add_tokens([AddedToken(tag, normalized=False) for tag in _TAGS])
    options: dict[str, Any] = {"bos_token": None, "eos_token": EOS, "pad_token": _PAD}
    fast = PreTrainedTokenizerFast(
        tokenizer_object=bpe,
        additional_special_tokens=["<|im_start|>"],
        clean_up_tokenization_spaces=False,
        padding_side="left",
        **options,
    )
    fast.chat_template = CHAT_TEMPLATE
    return fast


def _between_tags(transcripts: Iterable[list[dict[str, Any]]]) -> Iterator[str]:
    """What the template makes of the transcripts, cut at the tags, which are tokens already."""
    from jinja2.sandbox import ImmutableSandboxedEnvironment

    template = ImmutableSandboxedEnvironment().from_string(CHAT_TEMPLATE)
    tags = re.compile("|".join(map(re.escape, (*_SPECIAL, *_TAGS))))
    for transcript in transcripts:
        yield from tags.split(template.render(messages=transcript, tools=_TOOLS))
