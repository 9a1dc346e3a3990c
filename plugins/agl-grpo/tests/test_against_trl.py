"""The loss is TRL's, on the same batch, by its own trainer's code: to 1e-6, and its gradient to 1e-5 of the largest."""

from __future__ import annotations

from copy import deepcopy

import pytest
import torch

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what TRL warns of in its own code is its own

LONGEST = 5
TYPES = {"per_rollout_mean": "grpo", "token_mean": "bnpo", "constant": "dr_grpo"}


@pytest.fixture(scope="module")
def rows(make_row):
    """Four rollouts at a temperature of 0.7; two of them with the words of a tool between."""
    cold = {"temperature": 0.7}
    return [
        make_row("a", (2, 3), 4, 5, [6], [7], 8, earned=1.5, logprobs=(-2.5, -5.5, -3.0), **cold),
        make_row("b", (2, 9, 10), 11, 3, earned=-0.5, logprobs=(-2.0, -9.0), **cold),
        make_row("c", (3,), 4, [5], 6, 9, 9, earned=-1.0, logprobs=(-3.0, -3.5, -1.0, -2.8), **cold),
        make_row("d", (5, 6, 7), 12, earned=0.7, logprobs=(-2.7,), **cold),
    ]


@pytest.fixture
def trainer(moved, tmp_path):
    """A real one, made for a model and a loss; it is asked for the loss alone."""
    from datasets import Dataset
    from tokenizers import Tokenizer, models
    from transformers import PreTrainedTokenizerFast
    from trl import GRPOConfig, GRPOTrainer

    words = Tokenizer(models.WordLevel({f"t{place}": place for place in range(16)}, unk_token="t0"))
    tokenizer = PreTrainedTokenizerFast(tokenizer_object=words, eos_token="t1", pad_token="t0")

    def make(loss_type, **options):
        args = GRPOConfig(
            output_dir=str(tmp_path), use_cpu=True, report_to=[], loss_type=loss_type, temperature=0.7,
            max_completion_length=LONGEST, num_generations=2, per_device_train_batch_size=2, bf16=False,
            gradient_checkpointing=False, **options,
        )  # fmt: skip
        made = GRPOTrainer(
            model=deepcopy(moved),  # it puts a head of its own on it
            reward_funcs=lambda **_: [0.0],
            args=args,
            train_dataset=Dataset.from_dict({"prompt": ["t2"]}),
            processing_class=tokenizer,
        )
        made.model.eval()
        return made

    return make


def asked(rows, reference):
    """A batch as TRL has it: prompts padded on the left, completions on the right, what a tool said masked out."""
    prompts = [row.token_ids[: row.prompt_length] for row in rows]
    answers = [row.token_ids[row.prompt_length :] for row in rows]
    old = torch.zeros(len(rows), LONGEST)
    for index, row in enumerate(rows):
        old[index, [place for place, bit in enumerate(row.mask) if bit]] = torch.tensor(row.logprobs)
    return {
        "prompt_ids": torch.tensor([[0] * (3 - len(one)) + list(one) for one in prompts]),
        "prompt_mask": torch.tensor([[0] * (3 - len(one)) + [1] * len(one) for one in prompts]),
        "completion_ids": torch.tensor([list(one) + [0] * (LONGEST - len(one)) for one in answers]),
        "completion_mask": torch.tensor([[1] * len(one) + [0] * (LONGEST - len(one)) for one in answers]),
        "tool_mask": torch.tensor([list(row.mask) + [0] * (LONGEST - len(row.mask)) for row in rows]),
        "advantages": torch.tensor([row.credits[0] for row in rows]),
        "old_per_token_logps": old,
        "ref_per_token_logps": reference,
    }


@pytest.fixture
def same(rows, moved, trainer, first, load, total, agree):
    """Whether our learner's loss and its gradient are those of its trainer."""

    def compare(options, loss_type, told):
        made = trainer(loss_type, **told)
        theirs = made._compute_loss(made.model, asked(rows, _log_pi(load(first), rows)))
        theirs.backward()
        gradient = torch.cat([weight.grad.flatten() for weight in made.model.parameters()])

        cut = {"tokens_per_pass": 12, "sampled_per_pass": 9}
        agree(total(moved, rows, aggregation_constant=LONGEST, **cut, **options)[:2], (theirs.item(), gradient))

    return compare


@torch.no_grad()
def _log_pi(model, rows):
    """Of what was said, a row of the matrix for each."""
    found = torch.zeros(len(rows), LONGEST)
    for index, row in enumerate(rows):
        tokens = torch.tensor([row.token_ids])
        log_pi = (model(input_ids=tokens).logits[0, :-1] / row.temperature).log_softmax(-1)
        found[index, : len(row.mask)] = log_pi.gather(-1, tokens[0, 1:, None])[row.prompt_length - 1 :, 0]
    return found


@pytest.mark.parametrize("aggregation", TYPES)
def test_the_loss_is_trls(same, aggregation):
    """`grpo` over answers, `bnpo` over tokens, `dr_grpo` over a constant."""
    same({"aggregation": aggregation}, TYPES[aggregation], {})


def test_clip_higher_is_trls(same):
    """Epsilon above another than epsilon below."""
    same({"clip": 0.2, "clip_high": 0.28}, "grpo", {"epsilon": 0.2, "epsilon_high": 0.28})


def test_a_bound_of_the_ratio_is_trls(same):
    """What it calls delta, INTELLECT-2's two-sided clip, is the dual clip: it bites where an advantage is below 0."""
    same({"dual_clip": 3.0}, "grpo", {"delta": 3.0})


@pytest.mark.parametrize("by_ratio", [False, True])
def test_the_divergence_is_trls(same, by_ratio):
    """k3 from the first checkpoint: as the paper has it, and weighed by the ratio as TRL does unless it is told."""
    same({"kl": 0.3, "kl_by_ratio": by_ratio}, "grpo", {"beta": 0.3, "use_bias_correction_kl": by_ratio})
