"""Names that Agent Lightning gives to spans and to what stands on them."""

from __future__ import annotations

from enum import StrEnum

__all__ = [
    "AGL_ANNOTATION",
    "AGL_EXCEPTION",
    "AGL_MESSAGE",
    "AGL_OBJECT",
    "AGL_OPERATION",
    "AGL_REWARD",
    "AGL_VIRTUAL",
    "LightningResourceAttributes",
    "LightningSpanAttributes",
    "LinkAttributes",
    "RewardAttributes",
]

AGL_ANNOTATION = "agentlightning.annotation"
AGL_EXCEPTION = "agentlightning.exception"
AGL_MESSAGE = "agentlightning.message"
AGL_OBJECT = "agentlightning.object"
AGL_OPERATION = "agentlightning.operation"
AGL_REWARD = "agentlightning.reward"
AGL_VIRTUAL = "agentlightning.virtual"


class LightningResourceAttributes(StrEnum):
    """What says whose a span is."""

    ROLLOUT_ID = "agentlightning.rollout_id"
    ATTEMPT_ID = "agentlightning.attempt_id"
    SPAN_SEQUENCE_ID = "agentlightning.span_sequence_id"
    TRACER_NAME = "agentlightning.tracer.name"


class LightningSpanAttributes(StrEnum):
    """What a span says."""

    REWARD = "agentlightning.reward"
    """Followed by a number and one of `RewardAttributes`; the reward of number 0 is the one that trains."""
    LINK = "agentlightning.link"
    """Followed by a number and one of `LinkAttributes`."""
    TAG = "agentlightning.tag"
    """Followed by a number."""
    MESSAGE_BODY = "agentlightning.message.body"
    OBJECT_TYPE = "agentlightning.object.type"
    OBJECT_LITERAL = "agentlightning.object.literal"
    OBJECT_JSON = "agentlightning.object.json"
    OPERATION_NAME = "agentlightning.operation.name"
    OPERATION_INPUT = "agentlightning.operation.input"
    OPERATION_OUTPUT = "agentlightning.operation.output"


class RewardAttributes(StrEnum):
    """Of one reward."""

    REWARD_NAME = "name"
    REWARD_VALUE = "value"


class LinkAttributes(StrEnum):
    """Of one link."""

    KEY_MATCH = "key_match"
    VALUE_MATCH = "value_match"
