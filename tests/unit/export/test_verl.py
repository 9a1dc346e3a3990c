"""verl's data: what a row becomes, what is skipped, and that verl's own data sets read the files."""

from types import SimpleNamespace

import pytest

from agl_core.adapter import Trace
from agl_core.errors import BadValue
from agl_core.events import CallRecorded, Choice, Message, ModelCall, Tool, ToolCall
from agl_core.export import Skipped
from agl_core.export.rows import VerlRl, VerlSft

SYSTEM, ASKED = Message(role="developer", content="Add."), Message(role="user", content="40 + 2?")
WISH = Message(role="assistant", tool_calls=(ToolCall(id="c1", name="add", arguments='{"a": 40}'),))
RESULT, SAID = Message(role="tool", content="42", tool_call_id="c1"), Message(role="assistant", content="It is 42.")
ADD = Tool(
    name="add", description="Adds.", parameters={"type": "object", "properties": {"a": {"type": "integer"}}}
)  # fmt: skip
SEARCH = Tool(
    name="search", description="Finds.", parameters={"type": "object", "properties": {"query": {"type": "string"}}}
)  # fmt: skip

TEMPLATE = (
    "{% for message in messages %}<{{ message.role }}>{{ message.content }}"
    "{% if message.tool_calls %}{% for call in message.tool_calls %}[{{ call.function.name }}"
    " {{ call.function.arguments }}]{% endfor %}{% endif %}</s>{% endfor %}"
    "{% if add_generation_prompt %}<assistant>{% endif %}"
)


def attempt(task, *messages, number=1, mode="train"):
    """A rollout whose policy was asked that."""
    call = CallRecorded(
        call_id=f"ca-{number}", rollout_id=f"ro-{number}", attempt_id="at-1", started_at=0, latency=0.0,
        call=ModelCall(model="policy", messages=messages, choices=(Choice(message=SAID),)),
    )  # fmt: skip
    return Trace(
        rollout_id=f"ro-{number}", attempt_id="at-1", task_id=f"ta-{task}", input=task, mode=mode, status="succeeded",
        calls=(call,) if messages else (),
    )  # fmt: skip


def transcript(*messages, untrained=(), tools=()):
    """A row in which the assistant's messages are the policy's, but for those places."""
    trained = tuple(one.role == "assistant" and at not in untrained for at, one in enumerate(messages))
    return SimpleNamespace(rollout_id="ro-1", messages=messages, trained=trained, tools=tools)


def test_a_task_is_a_row_with_the_answer_to_look_for():
    """The prompt is what was asked first, in roles that every template knows; the task is there whole, as text."""
    task = {"q": "40 + 2?", "answer": 42}

    (row,) = VerlRl(data_source="sums", agent_name="tool_agent").records([attempt(task, SYSTEM, ASKED)])

    assert row == {
        "data_source": "sums",
        "prompt": [{"role": "system", "content": "Add."}, {"role": "user", "content": "40 + 2?"}],
        "ability": "agent",
        "reward_model": {"style": "rule", "ground_truth": "42"},
        "extra_info": {
            "split": "train", "index": 0, "task_id": f"ta-{task}", "rollout_id": "ro-1",
            "task": '{"q":"40 + 2?","answer":42}',
        },
        "agent_name": "tool_agent",
    }  # fmt: skip


def test_samples_of_one_task_are_one_row():
    """It samples as often as it is told; rows count on from what was written."""
    one, other = {"answer": "a"}, {"answer": "b"}
    rows = VerlRl().records([attempt(one, ASKED), attempt(one, ASKED, number=2), attempt(other, ASKED, number=3)])

    assert [(row["reward_model"]["ground_truth"], row["extra_info"]["index"]) for row in rows] == [("a", 0), ("b", 1)]


@pytest.mark.parametrize(
    ("trace", "reason"),
    [
        (attempt({"answer": "a"}), "no_prompt"),
        (attempt({"q": "a"}, ASKED), "no_ground_truth"),
        (attempt("a", ASKED), "no_ground_truth"),
        (attempt({"answer": "a"}, ASKED, WISH, RESULT), "tools_in_prompt"),
        (attempt({"answer": "a"}, Message(role="user", content=[{"type": "image_url"}])), "multimodal"),
    ],
)
def test_what_is_no_task_for_verl_is_skipped(trace, reason):
    """With its reason; a missing answer is not an empty one."""
    assert list(VerlRl().records([trace])) == [Skipped(reason=reason)]


def test_the_field_with_the_answer_can_be_named():
    """Whatever the tasks call it."""
    (row,) = VerlRl(ground_truth="right").records([attempt({"right": [1, 2], "answer": "no"}, ASKED)])

    assert row["reward_model"]["ground_truth"] == "[1,2]"


def test_a_conversation_is_a_row_without_nulls_in_its_words():
    """Templates print a null content as `None`."""
    (row,) = VerlSft(enable_thinking=False).records([transcript(SYSTEM, ASKED, WISH, RESULT, SAID, tools=(ADD,))])

    assert [message["content"] for message in row["messages"]] == ["Add.", "40 + 2?", "", "42", "It is 42."]
    assert row["messages"][2]["tool_calls"][0]["function"] == {"name": "add", "arguments": '{"a": 40}'}
    assert row["tools"][0]["function"]["name"] == "add"
    assert row["enable_thinking"] is False


def test_words_of_others_are_skipped():
    """Every message of an assistant is learnt from there."""
    assert list(VerlSft().records([transcript(ASKED, SAID, untrained={1})])) == [Skipped(reason="others_words")]


def test_tools_that_parquet_would_change_are_skipped():
    """Unless they may be: one type a column gives `add` the arguments of `search`."""
    rows = [transcript(ASKED, SAID, tools=(ADD,)), transcript(ASKED, SAID, tools=(ADD, SEARCH))]
    bare = transcript(ASKED, SAID, tools=(Tool(name="now"),))

    exact, merged = list(VerlSft().records(rows)), list(VerlSft(tools="merged").records(rows))

    assert exact[1] == Skipped(reason="tools_of_other_shapes")
    assert not any(isinstance(one, Skipped) for one in (exact[0], *merged))
    assert list(VerlSft().records([bare])) == [Skipped(reason="tools_of_other_shapes")]


def test_options_are_checked_when_they_are_told():
    """Before a log is read."""
    with pytest.raises(BadValue, match="'rule' or 'model'"):
        VerlRl(style="king")
    with pytest.raises(BadValue, match="'exact' or 'merged'"):
        VerlSft(tools="some")


def test_columns_come_back_as_they_went(tmp_path):
    """Parquet of both, read by pyarrow."""
    pq = pytest.importorskip("pyarrow.parquet")
    task, path = {"answer": "42"}, tmp_path / "rl.parquet"
    VerlRl().write([attempt(task, SYSTEM, ASKED)], path)
    VerlSft().write([transcript(ASKED, SAID, tools=(ADD,))], tmp_path / "sft.parquet")

    (rl,), (sft,) = pq.read_table(path).to_pylist(), pq.read_table(tmp_path / "sft.parquet").to_pylist()

    assert rl == next(VerlRl().records([attempt(task, SYSTEM, ASKED)]))
    assert sft["tools"][0]["function"]["parameters"] == ADD.parameters
    assert sft["messages"] == [{"role": one.role, "content": one.content} for one in (ASKED, SAID)]


# --- verl itself


@pytest.fixture
def tokenizer():
    """One that knows each byte, with a template that has tools in it."""
    pytest.importorskip("verl")
    from tokenizers import Tokenizer, decoders, models, pre_tokenizers
    from transformers import PreTrainedTokenizerFast

    letters = sorted(pre_tokenizers.ByteLevel.alphabet())
    model = models.BPE(vocab={letter: number for number, letter in enumerate(letters)}, merges=[])
    made = Tokenizer(model)
    made.pre_tokenizer, made.decoder = pre_tokenizers.ByteLevel(add_prefix_space=False), decoders.ByteLevel()
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=made, pad_token=letters[0], eos_token=letters[1])
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_verls_rl_data_set_reads_the_file(tmp_path, tokenizer):
    """`RLHFDataset`: the prompt as messages, the answer, and the index it counts by."""
    from omegaconf import OmegaConf
    from verl.utils.dataset.rl_dataset import RLHFDataset

    path = tmp_path / "rl.parquet"
    tasks = [attempt({"q": q, "answer": q + 1}, SYSTEM, ASKED, number=q) for q in range(3)]
    VerlRl(agent_name="tool_agent").write(tasks, path)
    config = OmegaConf.create({"cache_dir": str(tmp_path / "cache"), "max_prompt_length": 256})

    read = RLHFDataset([str(path)], tokenizer, config)

    assert len(read) == 3
    assert read[2]["raw_prompt"] == [
        {"content": "Add.", "role": "system"},
        {"content": "40 + 2?", "role": "user"},
    ]
    assert (read[2]["reward_model"]["ground_truth"], read[2]["index"], read[2]["data_source"]) == ("3", 2, "agl")
    assert read[2]["agent_name"] == "tool_agent"


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_verls_sft_data_set_reads_the_file(tmp_path, tokenizer):
    """`MultiTurnSFTDataset`: what is learnt from is what the policy said, and nothing else."""
    from omegaconf import OmegaConf
    from verl.utils.dataset.multiturn_sft_dataset import MultiTurnSFTDataset

    path = tmp_path / "sft.parquet"
    rows = [transcript(SYSTEM, ASKED, WISH, RESULT, SAID, tools=(ADD,)), transcript(ASKED, SAID)]
    VerlSft(enable_thinking=True).write(rows, path)

    read = MultiTurnSFTDataset([str(path)], tokenizer, OmegaConf.create({"max_length": 256, "truncation": "error"}))

    said = [
        tokenizer.decode(
            [id_ for id_, bit in zip(one["input_ids"].tolist(), one["loss_mask"].tolist(), strict=True) if bit]
        )
        for one in (read[0], read[1])
    ]
    assert said == ['[add {"a": 40}]</s>It is 42.</s>', "It is 42.</s>"]
    assert read.tools[0][0]["function"]["parameters"] == ADD.parameters
