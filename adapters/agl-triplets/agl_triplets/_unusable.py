"""Which calls cannot train, and why."""

from __future__ import annotations

from dataclasses import dataclass
from math import isfinite

from agl_core.events import CallRecorded, Choice, Message, ModelCall
from agl_triplets._segment import temperature

__all__ = ["Unusable"]

# What else bends a distribution, by the names engines have for it, and the value that does not.
_RESHAPING = {"min_p": 0, "typical_p": 1, "presence_penalty": 0, "frequency_penalty": 0, "repetition_penalty": 1}

_ABOVE_ONE = 1e-3
"""A log-probability so little above 0 is 0, rounded."""

_MEDIA = ("image", "audio", "video", "file", "document")
_MEDIA_KEYS = frozenset({"image", "image_url", "audio", "audio_url", "input_audio", "video", "video_url", "file"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Unusable:
    """Why a call cannot train, the first of these that holds.

    `call_failed` · `no_token_ids` · `retokenised` (ids made again from text are not what was sampled) · `multimodal`
    (a prompt with an image, a sound or a file: its ids have placeholders where the model saw something else) · `empty`
    (nothing was sampled) · `no_logprobs` · `logprobs_length` (more or fewer than tokens) · `bad_logprobs` (not a
    number, infinite, or of a probability above one) · `greedy` (temperature 0 samples from no distribution) ·
    `raw_logprobs` (of another distribution than the one sampled) · `truncated_sampling` (top-p, top-k, min-p, a penalty
    or a bias was at work, and the learner's distribution knows none of them).
    """

    allow_multimodal: bool = False
    allow_retokenised: bool = False
    allow_truncated_sampling: bool = False

    def why(self, recorded: CallRecorded) -> str | None:
        """None of a call that can."""
        call = recorded.call
        if recorded.status != "ok":
            return "call_failed"
        if call.provenance == "absent" or not call.prompt_token_ids:
            return "no_token_ids"
        if call.provenance == "retokenised" and not self.allow_retokenised:
            return "retokenised"
        if any(_has_media(message) for message in call.messages) and not self.allow_multimodal:
            return "multimodal"
        if any(not choice.token_ids and _spoke(choice.message) for choice in call.choices):
            return "no_token_ids"
        if not any(choice.token_ids for choice in call.choices):
            return "empty"
        if wrong := next(filter(None, map(_wrong_logprobs, call.choices)), None):
            return wrong
        if temperature(recorded) <= 0:
            return "greedy"
        # At temperature 1 the two modes are one.
        if call.logprobs_mode != "processed" and temperature(recorded) != 1:
            return "raw_logprobs"
        return None if self.allow_truncated_sampling or _is_plain(call) else "truncated_sampling"


def _spoke(message: Message) -> bool:
    return bool(message.content or message.tool_calls)


def _has_media(message: Message) -> bool:
    parts = message.content
    return isinstance(parts, (list, tuple)) and any(_is_media(part) for part in parts)


def _is_media(part: object) -> bool:
    if not isinstance(part, dict):
        return False
    kind = str(part.get("type"))
    return not _MEDIA_KEYS.isdisjoint(part) or any(medium in kind for medium in _MEDIA)


def _wrong_logprobs(choice: Choice) -> str | None:
    if len(choice.logprobs) != len(choice.token_ids):
        return "logprobs_length" if choice.logprobs else "no_logprobs"
    return None if all(isfinite(one) and one <= _ABOVE_ONE for one in choice.logprobs) else "bad_logprobs"


def _is_plain(call: ModelCall) -> bool:
    top_p, top_k = call.sampling.top_p, call.sampling.top_k
    is_whole = (top_p is None or top_p >= 1) and (top_k is None or top_k <= 0)
    bends = (call.extra.get(name) not in {None, neutral} for name, neutral in _RESHAPING.items())
    return is_whole and not call.extra.get("logit_bias") and not any(bends)
