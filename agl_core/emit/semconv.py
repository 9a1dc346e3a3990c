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
    "ToolAttributes",
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


class ToolAttributes(StrEnum):
    """What says of a tool's span what OpenTelemetry has no name for, so that a replay can give back what came of it."""

    REPLAY = "agl.tool.replay"
    """What the tool does in a replay: `recorded`, `pure` or `live`."""
    RESULT = "agl.tool.result"
    """What its result is: `text`, `json`, the `items` that a generator yielded, or `untold`: it cannot come again."""
    UNTOLD = "agl.tool.untold"
    """Arguments that are no values; a replay does not look at them."""
    LEFT = "agl.tool.left"
    """Whether its consumer left a generator before it ended."""
    CALL = "agl.tool.call"
    """The model call that led to it, where one is certain."""
    PLACE = "agl.tool.place"
    """The branch of concurrent work that it was called in, where that is no matter of chance."""
    STRAND = "agl.tool.strand"
    """The task, or else the thread, that it was called in: two calls of one strand came one after the other."""
    REPLAY_OF = "agl.replay_of"
    """In a replay: the recorded span, of another log, that it is."""
