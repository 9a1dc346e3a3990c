"""The numbers are verl's, on the same batch, by its own code; where verl's depend on the cut into rows, ours do not.

Advantages agree in double precision to 1e-12, and to 1e-8 where verl adds as much to its counts; losses in single
precision to 1e-6, and gradients to 1e-5 of the largest.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from agl_rewards._advantages import advantages

pytestmark = [pytest.mark.slow, pytest.mark.filterwarnings("ignore")]  # what verl warns of in its own code is its own

GROUPS = [[0.3, 0.9, 0.31, -2.0], [1.0, 0.0], [0.5, 0.5, 0.5], [1.0, 1.0, 0.0, 0.0, 0.0]]
MODES = {"per_rollout_mean": "seq-mean-token-mean", "token_mean": "token-mean", "constant": "seq-mean-token-sum-norm"}
CONSTANT = 7


@pytest.fixture(scope="module")
def core():
    """The module of its algorithms."""
    from verl.trainer.ppo import core_algos

    return core_algos


@pytest.fixture(scope="module")
def rows(make_row):
    """Four rollouts of one row each; two have the words of a tool between. Ratios lie on all sides of clips."""
    return [
        make_row("a", (2, 3), 4, 5, [6], [7], 8, earned=1.5, logprobs=(-2.5, -5.5, -3.0)),
        make_row("b", (2, 9, 10), 11, 3, earned=-0.5, logprobs=(-2.0, -9.0)),
        make_row("c", (3,), 4, [5], 6, 9, 9, earned=-1.0, logprobs=(-3.0, -3.5, -1.0, -2.8)),
        make_row("d", (5, 6, 7), 12, earned=0.7, logprobs=(-2.7,)),
    ]


@pytest.fixture
def ours(moved, total):
    """Loss and gradient of rows by our learner, in passes of its own."""
    return lambda rows, **options: total(moved, rows, tokens_per_pass=20, aggregation_constant=CONSTANT, **options)[:2]


@pytest.fixture
def theirs(core, moved, first, load):
    """The same by verl: matrices of responses, a row each, its policy loss, its penalty and its sum over them."""
    from verl.workers.config import FSDPActorConfig

    def compute(rows, *, mode, clips=None, kl=None, weights=False):
        config = FSDPActorConfig(
            ppo_micro_batch_size_per_gpu=1, ppo_mini_batch_size=1, rollout_n=1, loss_agg_mode=mode,
            loss_scale_factor=CONSTANT, **{"clip_ratio_c": 1e9, **(clips or {})},
        )  # fmt: skip
        config.global_batch_info["loss_scale_factor"] = CONSTANT if mode.endswith("norm") else None
        new, mask = _matrix(moved, rows)
        earned = torch.tensor([[row.credits[0]] for row in rows]) * mask
        rollout, said = torch.zeros_like(mask), mask.bool()
        rollout[said] = torch.tensor([one for row in rows for one in row.logprobs])
        old, correction = rollout, None
        if weights:
            from verl.trainer.ppo.rollout_corr_helper import compute_rollout_correction_weights

            old = new.detach()
            correction, _ = compute_rollout_correction_weights(old - rollout, mask, "token", weights)
        loss, _ = core.compute_policy_loss_vanilla(old, new, earned, mask, mode, config, rollout_is_weights=correction)
        if kl:
            beta, kind = kl
            with torch.no_grad():
                reference, _ = _matrix(load(first), rows)
            penalty = core.kl_penalty(new, reference, kind)
            loss = loss + beta * core.agg_loss(penalty, mask, mode, **config.global_batch_info)
        moved.zero_grad()
        loss.backward()
        return loss.item(), torch.cat([weight.grad.flatten() for weight in moved.parameters()])

    return compute


def _matrix(model, rows):
    """Log-probabilities of responses, one row of the matrix for each, and which of them were sampled."""
    width = max(len(row.mask) for row in rows)
    found, mask = [], torch.zeros(len(rows), width)
    for index, row in enumerate(rows):
        tokens = torch.tensor([row.token_ids])
        log_pi = model(input_ids=tokens).logits[0, :-1].float().log_softmax(-1)
        said = log_pi.gather(-1, tokens[0, 1:, None])[row.prompt_length - 1 :, 0]
        found.append(torch.nn.functional.pad(said, (0, width - len(said))))
        mask[index, : len(row.mask)] = torch.tensor(row.mask)
    return torch.stack(found) * mask, mask


# --- advantages


@pytest.mark.parametrize(
    ("name", "function", "options", "within"),
    [
        ("grpo", "compute_grpo_outcome_advantage", {"norm_adv_by_std_in_grpo": True}, 1e-12),
        ("dr_grpo", "compute_grpo_outcome_advantage", {"norm_adv_by_std_in_grpo": False}, 1e-12),
        ("rloo", "compute_rloo_outcome_advantage", {}, 1e-12),
        ("reinforce++_baseline", "compute_reinforce_plus_plus_baseline_outcome_advantage", {}, 1e-8),
    ],
)
def test_advantages_are_verls(core, name, function, options, within):
    """Of groups of several sizes, one of which agrees. Each answer is one token, so that verl weighs them alike."""
    rewards = torch.tensor([[reward] for group in GROUPS for reward in group], dtype=torch.float64)
    index = np.array([str(place) for place, group in enumerate(GROUPS) for _ in group])

    found, _ = getattr(core, function)(rewards, torch.ones_like(rewards), index, **options)

    ours = [one for group in advantages(name, GROUPS) for one in group]
    assert ours == pytest.approx(found[:, 0].tolist(), rel=within, abs=within)


def test_advantages_without_groups_are_verls(core):
    """REINFORCE++ has the batch for its measure."""
    from verl.trainer.config import AlgoConfig

    rewards = torch.tensor([[reward] for group in GROUPS for reward in group], dtype=torch.float64)

    found, _ = core.compute_reinforce_plus_plus_outcome_advantage(
        rewards, torch.ones_like(rewards), config=AlgoConfig(gamma=1.0)
    )

    ours = [one for group in advantages("reinforce++", GROUPS) for one in group]
    assert ours == pytest.approx(found[:, 0].tolist(), rel=1e-8, abs=1e-8)


def test_a_long_answer_moves_verls_deviation_and_not_ours(core):
    """The same rewards, one answer a hundred times as long: by verl all others earn another number for it."""
    rewards = torch.zeros(4, 100, dtype=torch.float64)
    rewards[:, 0] = torch.tensor([1.0, 0.0, 2.0, 0.0])
    short, long = torch.zeros_like(rewards), torch.zeros_like(rewards)
    short[:, 0] = long[:, 0] = long[0] = 1
    index = np.array(["a", "a", "b", "b"])

    one, other = (
        core.compute_reinforce_plus_plus_baseline_outcome_advantage(rewards, mask, index)[0][1:, 0]
        for mask in (short, long)
    )

    assert float((one - other).abs().min()) > 0.05
    assert advantages("reinforce++_baseline", [[1.0, 0.0], [2.0, 0.0]])[0][1:] == pytest.approx([float(one[0])])


# --- losses


@pytest.mark.parametrize("aggregation", MODES)
def test_the_loss_is_verls(rows, ours, theirs, agree, aggregation):
    """Over rollouts, over tokens, and over a constant; in passes of our cut, with the tool's words out of it."""
    agree(ours(rows, aggregation=aggregation), theirs(rows, mode=MODES[aggregation]))


@pytest.mark.parametrize(
    ("options", "clips"),
    [
        ({"clip": 0.2, "clip_high": 0.28}, {"clip_ratio_low": 0.2, "clip_ratio_high": 0.28}),
        ({"clip": 0.1, "clip_high": 4.0}, {"clip_ratio_low": 0.1, "clip_ratio_high": 4.0}),
        ({"clip": 0.2, "dual_clip": 3.0}, {"clip_ratio_c": 3.0}),
        ({"clip": 0.9, "dual_clip": 1.5}, {"clip_ratio_low": 0.9, "clip_ratio_high": 0.9, "clip_ratio_c": 1.5}),
    ],
)
def test_clips_are_verls(rows, ours, theirs, agree, options, clips):
    """Clip-higher, and the dual clip, on ratios far and near."""
    agree(ours(rows, **options), theirs(rows, mode="seq-mean-token-mean", clips=clips))


@pytest.mark.parametrize(("estimator", "kind"), [("k1", "kl"), ("k2", "mse"), ("k3", "low_var_kl")])
def test_divergences_are_verls(rows, ours, theirs, agree, estimator, kind):
    """From the first checkpoint, weighed, and summed as the loss is."""
    agree(ours(rows, kl=0.3, kl_estimator=estimator), theirs(rows, mode="seq-mean-token-mean", kl=(0.3, kind)))


def test_truncated_importance_sampling_is_verls(rows, ours, theirs, agree):
    """Ratios to what the learner computes, and the cap on those to what the engine said."""
    found = ours(rows, recompute_old=True, is_truncation=2.0, aggregation="token_mean")

    agree(found, theirs(rows, mode="token-mean", weights=2.0))


# --- where theirs depends on the cut, and ours does not


@pytest.fixture
def cut(rows, make_row):
    """The same rollouts; of the first one, the second call is a row of its own."""
    first = make_row("a", (2, 3), 4, 5, earned=1.5, logprobs=(-2.5, -5.5), rollout_tokens=3)
    second = make_row("a", (2, 3, 4, 5, 6, 7), 8, earned=1.5, logprobs=(-3.0,), rollout_tokens=3)
    return [first, second, *rows[1:]]


@pytest.mark.parametrize("aggregation", MODES)
def test_a_cut_into_rows_moves_verls_mean_and_not_ours(rows, cut, ours, theirs, agree, aggregation):
    """Its sequences are rows: a rollout in two of them weighs twice. Only a mean over tokens has nothing to confuse."""
    agree(ours(cut, aggregation=aggregation), ours(rows, aggregation=aggregation))

    whole, parts = (theirs(some, mode=MODES[aggregation])[0] for some in (rows, cut))
    assert math.isclose(whole, parts, rel_tol=1e-6) == (aggregation == "token_mean")
