"""The loss of GRPO, token by token: pure functions of tensors."""

from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["clipped", "entropy", "k3", "logprobs", "surrogate"]


def logprobs(logits: Tensor, tokens: Tensor) -> Tensor:
    """The log pi(o_t | q, o_<t) of each of `tokens`, from the logits it was drawn from, temperature applied."""
    return logits.gather(-1, tokens[:, None]).squeeze(-1) - logits.logsumexp(-1)


@torch.no_grad()
def entropy(logits: Tensor) -> Tensor:
    """H(pi) at each position, in nats."""
    log_pi = logits.log_softmax(-1)
    return -(log_pi.exp() * log_pi).sum(-1)


def surrogate(new: Tensor, old: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """-min(rho A, clip(rho, 1 - eps, 1 + eps) A) where rho = pi_new / pi_old (1707.06347, eq. 7; 2402.03300, eq. 3)."""
    ratio = (new - old).exp()
    return -torch.minimum(ratio * advantage, ratio.clamp(1 - clip, 1 + clip) * advantage)


@torch.no_grad()
def clipped(new: Tensor, old: Tensor, advantage: Tensor, *, clip: float) -> Tensor:
    """1 where the clip stands in the way of the gradient."""
    ratio = (new - old).exp()
    return torch.where(advantage > 0, ratio > 1 + clip, (ratio < 1 - clip) & (advantage < 0)).float()


def k3(new: Tensor, other: Tensor) -> Tensor:
    """KL(new, other) as pi_other / pi_new - log(pi_other / pi_new) - 1, for tokens drawn from `new`.

    Unbiased, and never negative (2402.03300, eq. 4; joschu.net/blog/kl-approx.html).
    """
    log_ratio = other - new
    return log_ratio.expm1() - log_ratio
