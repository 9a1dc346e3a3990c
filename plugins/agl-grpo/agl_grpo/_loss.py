"""The loss of GRPO, token by token: pure functions of tensors."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping

import torch
from torch import Tensor

__all__ = ["DIVERGENCES", "clipped", "entropy", "k1", "k2", "k3", "logprobs", "surrogate", "truncated"]


def logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """The log pi(o_t | q, o_<t) of each of `tokens`, from the logits it was drawn from, temperature applied."""
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)


@torch.no_grad()
def entropy(logits: Tensor) -> Tensor:
    """H(pi) at each position, in nats."""
    log_pi = logits.log_softmax(-1)
    return -(log_pi.exp() * log_pi).sum(-1)


def surrogate(new: Tensor, old: Tensor, advantage: Tensor, *, low: float, high: float, dual: float = 0.0) -> Tensor:
    """-min(rho A, clip(rho, 1 - low, 1 + high) A) where rho = pi_new / pi_old (1707.06347, eq. 7; 2402.03300, eq. 3).

    `high` above `low` is the clip-higher of DAPO (2503.14476). With `dual` above 0 nothing with A < 0 costs more than
    -dual A (1912.09729, eq. 5): past that ratio its gradient is 0, where else it grows without end.
    """
    # What a clip holds is held before the exponential: behind it, a gradient of 0 times no finite number would be none.
    # The loss is the same, as there the clipped side is the smaller one.
    bound = torch.where(advantage < 0, math.log(dual) if dual else math.inf, math.log1p(high) + 1)
    ratio = (new - old).clamp(max=bound).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - low, 1 + high) * advantage)


@torch.no_grad()
def clipped(new: Tensor, old: Tensor, advantage: Tensor, *, low: float, high: float, dual: float = 0.0) -> Tensor:
    """1 where a clip stands in the way of the gradient."""
    ratio = (new - old).exp()
    lost = (ratio < 1 - low) | (ratio > (dual or math.inf))
    return torch.where(advantage > 0, ratio > 1 + high, lost & (advantage < 0)).float()


@torch.no_grad()
def truncated(old: Tensor, rollout: Tensor, *, cap: float) -> Tensor:
    """min(pi_old / pi_rollout, C): what a token weighs that other weights drew, or the same in another program.

    Truncated importance sampling, as of IMPALA (1802.01561, 4.1); it is a number, and has no gradient.
    """
    return (old - rollout).exp().clamp(max=cap)


def k1(new: Tensor, other: Tensor) -> Tensor:
    """log(pi_new / pi_other): unbiased, of either sign. Its gradient is 0 on average: it measures, and holds nobody."""
    return new - other


def k2(new: Tensor, other: Tensor) -> Tensor:
    """(log pi_new - log pi_other)^2 / 2: biased, and never negative. Its gradient is that of KL(new, other)."""
    return (new - other).square() / 2


def k3(new: Tensor, other: Tensor) -> Tensor:
    """KL(new, other) as pi_other / pi_new - log(pi_other / pi_new) - 1, for tokens drawn from `new`.

    Unbiased, and never negative (2402.03300, eq. 4; joschu.net/blog/kl-approx.html).
    """
    log_ratio = other - new
    return log_ratio.expm1() - log_ratio


DIVERGENCES: Mapping[str, Callable[[Tensor, Tensor], Tensor]] = {"k1": k1, "k2": k2, "k3": k3}
