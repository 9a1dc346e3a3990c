"""TRL's trainer on rows of token ids: no text, nothing on disk, and nothing on the network or the screen."""

from __future__ import annotations

import copy
import math
import random
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import asdict, dataclass
from statistics import fmean
from typing import Any

import numpy as np
import torch
import trl
from datasets import Dataset  # type: ignore[import-untyped]  # it says nothing of its types
from packaging.version import Version
from tokenizers import Tokenizer
from tokenizers.models import WordLevel
from torch import Tensor
from transformers import PreTrainedTokenizerFast
from transformers.trainer_callback import PrinterCallback
from trl.trainer.sft_config import SFTConfig
from trl.trainer.sft_trainer import DataCollatorForLanguageModeling, SFTTrainer

from agl_core.errors import MissingExtra
from agl_sft._config import SftConfig
from agl_sft._quiet import quiet

__all__ = ["Example", "fit", "insist_on_trl", "trainer_of"]

_SINCE = "1.16"
"""TRL before it reads other columns, and would take a loss of every token."""
_SCHEDULES = {"constant": "constant_with_warmup"}
"""By transformers' names, where they are others: its `constant` knows no warm-up."""
_PAD = "<pad>"
_NOT_LEARNT = -100
"""What TRL, and PyTorch's cross-entropy below it, take no loss of."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Example:
    """A row as TRL sees it."""

    input_ids: list[int]
    labels: list[int]
    """The same where the policy sampled the token; -100 elsewhere."""
    weight: float = 1.0

    @classmethod
    def of(cls, token_ids: Sequence[int], mask: Sequence[int], *, prompt_length: int, weight: float = 1.0) -> Example:
        """`mask` is over what follows the first prompt."""
        sampled = [token if bit else _NOT_LEARNT for token, bit in zip(token_ids[prompt_length:], mask, strict=True)]
        return cls(input_ids=list(token_ids), labels=[_NOT_LEARNT] * prompt_length + sampled, weight=weight)


class Trainer(SFTTrainer):
    """TRL's, whose loss is weighed by row where rows have weights, and which tells nobody that it runs.

    The loss of an optimiser step is the mean over its sampled tokens of -log pi(token), each times its row's weight.
    """

    def compute_loss(
        self,
        model: Any,
        inputs: Any,
        return_outputs: Any = False,  # noqa: FBT002 - as TRL has it
        num_items_in_batch: Any = None,
    ) -> Any:
        """TRL's own loss, times the weight that the rows of a pass share."""
        weights: Tensor = inputs.pop("weights")
        theirs: Any = super()
        return weights[0] * theirs.compute_loss(model, inputs, return_outputs, num_items_in_batch)

    def _send_telemetry(self) -> None:
        """To nobody."""


@dataclass(slots=True)
class Collator:
    """TRL's, and the weight of each row."""

    pad: DataCollatorForLanguageModeling

    def __call__(self, examples: list[dict[str, Any]]) -> dict[str, Any]:
        """Padded on the right."""
        batch: dict[str, Any] = self.pad(examples)
        return {**batch, "weights": torch.tensor([example["weight"] for example in examples])}


def insist_on_trl() -> None:
    """Raise `MissingExtra` for a release that does not know what rows look like."""
    if Version(trl.__version__) < Version(_SINCE):
        raise MissingExtra(f"TRL {_SINCE} or later ({trl.__version__} is there)", install="pip install 'agl-sft[trl]'")


def fit(model: Any, examples: Sequence[Example], config: SftConfig, *, seed: int, on_gpu: bool) -> dict[str, float]:
    """Change the model's weights by what it can learn from the rows; the metrics of doing so.

    The same weights and arguments give the same bits, on one machine with one number of threads.
    """
    facts = copy.deepcopy(model.config)
    with tempfile.TemporaryDirectory(prefix="agl-sft-") as folder, _chance_kept(on_gpu=on_gpu):
        trainer = trainer_of(model, examples, config, seed=seed, folder=folder, on_gpu=on_gpu)
        with quiet():
            trainer.train()
    model.config = facts  # TRL notes there what it does with it
    steps = [entry for entry in trainer.state.log_history if "loss" in entry]
    if not all(math.isfinite(entry["loss"]) and math.isfinite(entry["grad_norm"]) for entry in steps):
        raise ArithmeticError("non-finite loss or gradient: a lower learning rate may help")
    return {
        "train/loss": fmean(entry["loss"] for entry in steps),
        "train/loss_first": steps[0]["loss"],
        "train/loss_last": steps[-1]["loss"],
        "train/entropy": fmean(entry["entropy"] for entry in steps),
        "train/accuracy": fmean(entry["mean_token_accuracy"] for entry in steps),
        "train/grad_norm": fmean(entry["grad_norm"] for entry in steps),
        "train/steps": len(steps),
    }


def trainer_of(
    model: Any, examples: Sequence[Example], config: SftConfig, *, seed: int, folder: str, on_gpu: bool
) -> Trainer:
    """TRL's trainer for those rows. `folder` is its own, and nothing is left there."""
    is_weighted = len({example.weight for example in examples}) > 1
    together = 1 if is_weighted else _part(config.batch_size, most=config.rows_per_pass)
    with quiet():
        arguments = SFTConfig(
            output_dir=folder,
            report_to="none",
            save_strategy="no",
            logging_steps=1,
            disable_tqdm=True,
            seed=seed,
            data_seed=seed,
            use_cpu=not on_gpu,
            dataloader_pin_memory=on_gpu,
            remove_unused_columns=False,
            max_length=None,  # what is too long never comes here, and nothing is to be cut
            num_train_epochs=config.epochs,
            per_device_train_batch_size=together,
            gradient_accumulation_steps=config.batch_size // together,
            learning_rate=config.learning_rate,
            lr_scheduler_type=_SCHEDULES.get(config.schedule, config.schedule),
            warmup_steps=config.warmup,
            weight_decay=config.weight_decay,
            max_grad_norm=config.grad_clip,
            optim="adamw_torch",
            bf16=config.precision == "bfloat16",
            gradient_checkpointing=config.gradient_checkpointing,
        )
        arguments._n_gpu = min(arguments.n_gpu, 1)  # noqa: SLF001 - else every GPU would take a part of each pass
        pad = model.config.pad_token_id or 0
        trainer = Trainer(
            model=model,
            args=arguments,
            train_dataset=Dataset.from_list([asdict(example) for example in examples]),
            data_collator=Collator(DataCollatorForLanguageModeling(pad_token_id=pad)),
            processing_class=_knows_padding_alone(pad),
        )
    trainer.processing_class = None  # or the model's special tokens would become those of this one
    trainer.remove_callback(PrinterCallback)  # stdout is for data
    return trainer


def _part(whole: int, *, most: int) -> int:
    """The largest divisor: passes of one size make up an optimiser step."""
    return next(size for size in range(min(whole, most), 0, -1) if whole % size == 0)


def _knows_padding_alone(pad: int) -> PreTrainedTokenizerFast:
    """A tokenizer, since TRL wants one: there is no text here that it could see."""
    return PreTrainedTokenizerFast(
        tokenizer_object=Tokenizer(WordLevel({_PAD: pad}, unk_token=_PAD)),
        pad_token=_PAD,
    )


@contextmanager
def _chance_kept(*, on_gpu: bool) -> Iterator[None]:
    """What others draw is not touched by the seeds that are set here."""
    of_python, of_numpy = random.getstate(), np.random.get_state()  # noqa: NPY002 - the one that is seeded here
    try:
        with torch.random.fork_rng(devices=[torch.cuda.current_device()] if on_gpu else []):
            yield
    finally:
        random.setstate(of_python)
        np.random.set_state(of_numpy)  # noqa: NPY002
