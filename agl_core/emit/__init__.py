"""What agent code may call: rewards, messages, objects, annotations, operations. Agent Lightning's names."""

from __future__ import annotations

from agl_core.emit._attributes import (
    Link,
    check_attributes_sanity,
    extract_links_from_attributes,
    extract_tags_from_attributes,
    filter_and_unflatten_attributes,
    filter_attributes,
    flatten_attributes,
    make_link_attributes,
    make_tag_attributes,
    query_linked_spans,
    sanitize_attribute_value,
    sanitize_attributes,
    unflatten_attributes,
)
from agl_core.emit._core_fields import SpanCoreFields
from agl_core.emit._emitters import (
    annotation_span,
    emit_annotation,
    emit_exception,
    emit_message,
    emit_object,
    exception_span,
    message_span,
    object_span,
)
from agl_core.emit._environment import environment
from agl_core.emit._exceptions import exception_attributes, format_exception_attributes
from agl_core.emit._operation import OperationContext, operation
from agl_core.emit._readers import (
    find_final_reward,
    find_reward_spans,
    get_message_value,
    get_object_value,
    get_reward_value,
    get_rewards_from_span,
    is_reward_span,
)
from agl_core.emit._returned import returned
from agl_core.emit._rewards import emit_reward, rewards_of
from agl_core.emit._tool import tool

__all__ = [
    "Link",
    "OperationContext",
    "SpanCoreFields",
    "annotation_span",
    "check_attributes_sanity",
    "emit_annotation",
    "emit_exception",
    "emit_message",
    "emit_object",
    "emit_reward",
    "environment",
    "exception_attributes",
    "exception_span",
    "extract_links_from_attributes",
    "extract_tags_from_attributes",
    "filter_and_unflatten_attributes",
    "filter_attributes",
    "find_final_reward",
    "find_reward_spans",
    "flatten_attributes",
    "format_exception_attributes",
    "get_message_value",
    "get_object_value",
    "get_reward_value",
    "get_rewards_from_span",
    "is_reward_span",
    "make_link_attributes",
    "make_tag_attributes",
    "message_span",
    "object_span",
    "operation",
    "query_linked_spans",
    "returned",
    "rewards_of",
    "sanitize_attribute_value",
    "sanitize_attributes",
    "tool",
    "unflatten_attributes",
]
