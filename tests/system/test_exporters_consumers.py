"""What `agl export` writes is read by the code it is for: their own types, their own loaders, their own trainers."""

import json
from importlib.util import find_spec
from pathlib import Path

import pytest
from click.testing import CliRunner

from agl_core.cli import agl

from ._exporting import REPEAT, TASKS, make_log, written

pytest.importorskip("agl_messages")
pytest.importorskip("agl_triplets")

WITH_TRL = pytest.mark.skipif(find_spec("trl") is None, reason="trl is not installed here")
THEIRS = pytest.mark.filterwarnings("ignore")
"""What a consumer warns of in its own code is its own."""
ROLLOUTS = len(TASKS) * REPEAT


@pytest.fixture(scope="module")
def log(tmp_path_factory):
    """A run of an agent that uses a tool."""
    return make_log(tmp_path_factory.mktemp("exporting") / "log.db")


@pytest.fixture
def export(log, tmp_path):
    """`agl export`, to a place of that name; the path."""

    def run(kind, name, *options):
        done = CliRunner().invoke(agl, ["export", kind, "--log", str(log), "--out", str(tmp_path / name), *options])
        assert done.exit_code == 0, done.output
        return tmp_path / name

    return run


# --- OpenAI


def test_openais_own_types_take_each_message_and_tool(export):
    """As parameters of a chat: what fine-tuning takes is a chat that was had."""
    pydantic, chat = pytest.importorskip("pydantic"), pytest.importorskip("openai.types.chat")
    messages = pydantic.TypeAdapter(list[chat.ChatCompletionMessageParam])
    tools = pydantic.TypeAdapter(list[chat.ChatCompletionToolParam])
    sft, dpo = written(export("openai-sft", "sft.jsonl")), written(export("openai-dpo", "dpo.jsonl"))

    # Dumped, for what is iterable in their types is looked at only then.
    for line in sft:
        assert len(messages.dump_python(messages.validate_python(line["messages"]))) == 5
        tools.dump_python(tools.validate_python(line["tools"]))
    for line in dpo:
        messages.dump_python(messages.validate_python(line["input"]["messages"]))
        messages.dump_python(messages.validate_python([*line["preferred_output"], *line["non_preferred_output"]]))

    assert len(sft) == ROLLOUTS
    assert len(dpo) == len(TASKS)


# --- Hugging Face


@THEIRS
@pytest.mark.parametrize("rows", ["messages", "preferences", "triplets"])
def test_datasets_opens_the_folder(export, rows):
    """With the types that the rows have, and a fingerprint of its own."""
    datasets = pytest.importorskip("datasets")

    found = datasets.load_from_disk(str(export("hf", "folder", "--rows", rows)))
    lines = written(export("jsonl", "rows.jsonl", "--rows", rows))

    assert len(found) == len(lines)
    for row, line in zip(found, lines, strict=True):
        for name, value in line.items():
            if name in {"messages", "prompt", "chosen", "rejected"}:
                assert [one["content"] for one in row[name]] == [one["content"] for one in value]
            elif name == "tools":
                assert json.loads(row[name]) == value
            else:
                assert row[name] == value


@THEIRS
@pytest.mark.parametrize("suffix", ["jsonl", "parquet"])
@pytest.mark.parametrize("shape", ["messages", "prompt-completion", "preference", "kto", "tokens"])
def test_datasets_loads_every_shape(export, tmp_path, shape, suffix):
    """From lines and from Parquet, with the same rows in it."""
    datasets = pytest.importorskip("datasets")
    path = export("trl", f"rows.{suffix}", "--shape", shape, "--arguments", "text")

    rows = datasets.load_dataset(
        {"jsonl": "json"}.get(suffix, suffix), data_files=str(path), split="train", cache_dir=str(tmp_path / "cache")
    )

    lines = written(export("trl", "again.jsonl", "--shape", shape, "--arguments", "text"))
    assert [_filled(row) for row in rows] == [_filled(line) for line in lines]


def _filled(value):
    """Without what is null: columns have a null where lines have nothing."""
    if isinstance(value, dict):
        return {name: _filled(inner) for name, inner in value.items() if inner is not None}
    return [_filled(inner) for inner in value] if isinstance(value, list) else value


# --- TRL


@pytest.fixture(scope="module")
def tokenizer():
    """A byte a token, with the chat template that TRL trains Qwen 2.5 with."""
    tokenizers, transformers = pytest.importorskip("tokenizers"), pytest.importorskip("transformers")
    trl = pytest.importorskip("trl")
    alphabet = sorted(tokenizers.pre_tokenizers.ByteLevel.alphabet())
    words = tokenizers.models.BPE(vocab={letter: at for at, letter in enumerate(alphabet)}, merges=[])
    made = tokenizers.Tokenizer(words)
    made.pre_tokenizer = tokenizers.pre_tokenizers.ByteLevel(add_prefix_space=False)
    made.decoder = tokenizers.decoders.ByteLevel()
    made.add_special_tokens(["<|im_start|>", "<|im_end|>", "<|pad|>"])
    template = Path(trl.__file__).parent / "chat_templates" / "qwen2_5_training.jinja"
    return transformers.PreTrainedTokenizerFast(
        tokenizer_object=made, eos_token="<|im_end|>", pad_token="<|pad|>", chat_template=template.read_text()
    )


@pytest.fixture
def model(tmp_path):
    """Random weights, a few thousand of them, from a folder: a trainer may load them once more, as its reference."""
    torch, transformers = pytest.importorskip("torch"), pytest.importorskip("transformers")
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        vocab_size=300, hidden_size=16, intermediate_size=32, num_hidden_layers=1, num_attention_heads=2,
        num_key_value_heads=2, max_position_embeddings=4096, bos_token_id=None, eos_token_id=257, pad_token_id=258,
    )  # fmt: skip
    transformers.LlamaForCausalLM(config).save_pretrained(tmp_path / "model")
    return transformers.LlamaForCausalLM.from_pretrained(tmp_path / "model")


@pytest.fixture
def trained(export, model, tokenizer, tmp_path):
    """A trainer of TRL's that prepared a shape, and went a step."""
    datasets, trl = pytest.importorskip("datasets"), pytest.importorskip("trl")

    def run(kind, shape, *, suffix="jsonl", **options):
        path = export("trl", f"rows.{suffix}", "--shape", shape)
        rows = datasets.load_dataset(
            {"jsonl": "json"}.get(suffix, suffix), data_files=str(path), split="train", cache_dir=str(tmp_path / "c")
        )
        config = getattr(trl, f"{kind}Config")(
            output_dir=str(tmp_path / "out"), max_steps=1, per_device_train_batch_size=2, report_to="none",
            save_strategy="no", use_cpu=True, max_length=None, bf16=False, **options,
        )  # fmt: skip
        trainer = getattr(trl, f"{kind}Trainer")(
            model=model, args=config, train_dataset=rows, processing_class=tokenizer
        )
        result = trainer.train()
        assert result.global_step == 1
        return trainer, path

    return run


def spans(labels, ids):
    """The runs of tokens that are learnt from."""
    found = [[]]
    for label, token in zip(labels, ids, strict=True):
        if label != -100:
            assert label == token
            found[-1].append(token)
        elif found[-1]:
            found.append([])
    return [run for run in found if run]


@WITH_TRL
@THEIRS
@pytest.mark.slow
def test_sft_learns_from_the_very_tokens_that_were_sampled(trained):
    """`--shape tokens`: what TRL labels are the tokens with a 1, and no other, in lines and in Parquet."""
    for suffix in ("jsonl", "parquet"):
        trainer, path = trained("SFT", "tokens", suffix=suffix)

        prepared = trainer.train_dataset
        assert len(prepared) == ROLLOUTS
        assert "assistant_masks" not in prepared.column_names
        if suffix == "jsonl":
            for row, line in zip(prepared, written(path), strict=True):
                mask = line["assistant_masks"]
                assert row["input_ids"] == line["input_ids"]
                assert row["labels"] == [
                    token if bit else -100 for token, bit in zip(row["input_ids"], mask, strict=True)
                ]
                said = [bytes(run[:-1]).decode() for run in spans(row["labels"], row["input_ids"])]
                assert said[0].startswith("<tool_call>")
                assert said[1].startswith(("It is ", "I do not know."))


@WITH_TRL
@THEIRS
@pytest.mark.slow
def test_sft_learns_from_what_the_assistant_said(trained, tokenizer):
    """`--shape messages` with `assistant_only_loss`: tool calls and answers, no question, no result, no system."""
    trainer, _ = trained("SFT", "messages", assistant_only_loss=True)

    first = trainer.train_dataset[0]
    said = [tokenizer.decode(run) for run in spans(first["labels"], first["input_ids"])]
    assert said[0].strip().startswith('<tool_call>\n{"name": "add", "arguments": {"a": 0, "b": 1}}')
    assert said[1].strip() in {"It is 1.<|im_end|>", "I do not know.<|im_end|>"}
    assert len(said) == 2
    assert "# Tools" in tokenizer.decode(first["input_ids"])


@WITH_TRL
@THEIRS
@pytest.mark.slow
def test_sft_learns_from_each_answer_alone(trained, tokenizer):
    """`--shape prompt-completion`: a row for each answer, and its tokens only."""
    trainer, _ = trained("SFT", "prompt-completion", suffix="parquet")

    prepared = trainer.train_dataset
    said = [[tokenizer.decode(run) for run in spans(row["labels"], row["input_ids"])] for row in prepared]
    assert len(said) == 2 * ROLLOUTS
    assert all(len(runs) == 1 for runs in said)
    assert sum("<tool_call>" in runs[0] for runs in said) == ROLLOUTS


@WITH_TRL
@THEIRS
@pytest.mark.slow
def test_dpo_compares_answers(trained, tokenizer):
    """`--shape preference`: the one that knew against the one that did not."""
    trainer, _ = trained("DPO", "preference")

    prepared = trainer.train_dataset
    assert len(prepared) == len(TASKS)
    for row in prepared:
        assert "It is" in tokenizer.decode(row["chosen_ids"])
        assert "I do not know." in tokenizer.decode(row["rejected_ids"])


@WITH_TRL
@THEIRS
@pytest.mark.slow
def test_kto_knows_good_from_bad(trained):
    """`--shape kto`: a label a row, of either kind."""
    trainer, path = trained("KTO", "kto")

    assert sorted({row["label"] for row in written(path)}) == [False, True]
    assert len(trainer.train_dataset) == 2 * ROLLOUTS


# --- LLaMA-Factory


def test_llama_factorys_rules_hold(export):
    """Asked and answered in turns, an even number; a function call is JSON; the info names the file."""
    folder = export("sharegpt", "folder")

    info = json.loads((folder / "dataset_info.json").read_text())["agl"]
    lines = written(folder / info["file_name"])
    assert info["formatting"] == "sharegpt"
    assert len(lines) == ROLLOUTS
    for line in lines:
        turns = line[info["columns"]["messages"]]
        assert len(turns) % 2 == 0
        assert {turn["from"] for turn in turns[::2]} <= {"human", "observation"}
        assert {turn["from"] for turn in turns[1::2]} <= {"gpt", "function_call"}
        assert [json.loads(turn["value"])["name"] for turn in turns if turn["from"] == "function_call"] == ["add"]
        assert json.loads(line["tools"])[0]["name"] == "add"
        assert line["system"] == "You add."


@THEIRS
def test_llama_factorys_own_code_reads_it(export):
    """Its parser finds the file, its converter takes every line, its formatter the calls."""
    # A release that has no torchaudio beside it raises ImportError, of another module than itself.
    converter = pytest.importorskip("llamafactory.data.converter", exc_type=ImportError)
    from llamafactory.data.formatter import FunctionFormatter
    from llamafactory.data.parser import get_dataset_list

    folder = export("sharegpt", "folder")

    (found,) = get_dataset_list(["agl"], str(folder))
    convert = converter.get_dataset_converter(found.formatting, found, None)
    for line in written(folder / found.dataset_name):
        taken = convert(line)
        assert [one["role"] for one in taken["_prompt"]] == ["user", "function", "observation"]
        assert taken["_response"]
        called = FunctionFormatter(slots=["{{content}}"], tool_format="qwen").apply(
            content=taken["_prompt"][1]["content"]
        )
        assert '"name": "add"' in called[0]
