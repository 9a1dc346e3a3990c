"""The codes of batches, rows and rewards, in words that people understand."""

from __future__ import annotations

from collections.abc import Mapping

__all__ = ["BEGAN", "DROPPED", "UNMATCHED", "in_words"]

DROPPED: Mapping[str, str] = {
    "other_agent": "another agent made it, and not that of this batch",
    "other_model": "it was to another model, and not to that of this batch",
    "not_selected": "the run's --select leaves it out",
    "no_reward": "nobody gave a reward that counts for it, and a missing reward is no zero",
    "no_credit": "the credit adapter has none for it",
    "group_too_small": "too few rollouts tried this task, were not masked, and have a reward: none to compare with",
    "call_failed": "it was not answered, or broke off",
    "no_token_ids": "the endpoint kept its token ids to itself",
    "retokenised": "its token ids were made again from text, and are not those that were sampled",
    "multimodal": "its prompt has an image, a sound or a file: what the model saw is not in the tokens",
    "empty": "the model said nothing",
    "no_logprobs": "its tokens have no log-probabilities",
    "logprobs_length": "it has more or fewer log-probabilities than tokens",
    "bad_logprobs": "its log-probabilities are no numbers, or of probabilities above one",
    "greedy": "at temperature 0 nothing is sampled",
    "raw_logprobs": "its log-probabilities are of another distribution than the one that was sampled",
    "truncated_sampling": "its sampling was cut or bent (top-p, top-k, a penalty), and a learner knows nothing of that",
    "too_stale": "the weights that spoke are more versions behind than the batch takes",
    "too_long": "its row has more tokens than the batch takes",
    "not_succeeded": "its rollout did not succeed",
    "no_chat": "it is no chat: a completion, or an embedding",
    "history_elsewhere": "the provider kept what was said before, and it is not in the log",
    "below_threshold": "it earned less than the batch asks for",
    "not_best": "another rollout of its task earned more",
    "no_opponent": "nobody else was asked the same",
    "same_words": "all who were asked the same said the same",
    "tie": "no other that was asked the same earned less, or more, by enough",
    "not_paired": "others are the pairs of this batch",
    "other_name": "its name is not one of those that the batch is made of",
    "in_reward": "it was made while judging",
    "duplicate": "another one tells of the same answer",
}
"""Why a call became no row."""

UNMATCHED: Mapping[str, str] = {
    "unknown_target": "what it is for is not in the rollout, or not among the calls of this batch",
    "call_failed": "the call it is for failed",
    "not_policy": "it is for a call that is not the policy's: a judge's or a tool's",
    "no_call": "no call of the policy is in what it is for",
    "call_dropped": "the call it is for became no row",
}
"""Why a reward reached no call."""

BEGAN: Mapping[str, str] = {
    "start": "nothing was said before",
    "call": "each call is a row",
    "choice": "another answer of the same call",
    "branched": "that history was continued once already",
    "other_temperature": "it was sampled at another temperature",
    "other_agent": "another agent speaks",
    "other_tools": "other tools were offered",
    "retokenised": "the same words came back as other tokens, where the model had spoken",
    "template": "the same words have other tokens around them",
    "truncated": "the agent took something out of what was said before",
    "edited_history": "what was said before was changed",
}
"""Why a row begins where it does."""

_OPEN = "its rollout has not ended yet"
_ENDED: Mapping[str, str] = {
    **dict.fromkeys(("queuing", "preparing", "running", "requeuing"), _OPEN),
    "cancelled": "its rollout was called off",
    "no_reward": "nobody scored its rollout, and the run masks those",
}


def in_words(reason: str) -> str | None:
    """Why a call became no row; None of a reason that is a plugin's own."""
    kind, masked, ended = reason.partition(":")
    if masked and kind == "masked":
        return _ENDED.get(ended, f"its rollout ended as {ended}, which the run does not learn from")
    return DROPPED.get(reason)
