"""Improve any AI agent, with almost no change to its code, out of one append-only log."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING, Any

__all__ = [
    "LLM",
    "Adapted",
    "Adapter",
    "AglError",
    "Algorithm",
    "Attempt",
    "AttemptStatus",
    "AttemptedRollout",
    "Baseline",
    "Checkpoint",
    "Dataset",
    "EndAttempt",
    "Endpoint",
    "Engine",
    "EnqueueRolloutRequest",
    "FastAlgorithm",
    "Hook",
    "LitAgent",
    "LitAgentRunner",
    "NamedResources",
    "Outcome",
    "PaginatedResult",
    "PromptTemplate",
    "ProxyLLM",
    "Resource",
    "ResourcesUpdate",
    "Rollout",
    "RolloutConfig",
    "RolloutMode",
    "RolloutRawResult",
    "RolloutStatus",
    "Run",
    "Runner",
    "Span",
    "SpanCoreFields",
    "Store",
    "Target",
    "TaskInput",
    "Trace",
    "TraceStatus",
    "Trainer",
    "Worker",
    "WorkerStatus",
    "__version__",
    "agent",
    "algo",
    "best_resources",
    "build_component",
    "emit_annotation",
    "emit_exception",
    "emit_message",
    "emit_object",
    "emit_reward",
    "environment",
    "find_final_reward",
    "find_reward_spans",
    "get_message_value",
    "get_object_value",
    "get_reward_value",
    "get_rewards_from_span",
    "hookimpl",
    "is_reward_span",
    "llm_rollout",
    "load_dataset",
    "open_log",
    "open_store",
    "operation",
    "prompt_rollout",
    "resume",
    "rollout",
    "setup_logging",
    "split_dataset",
    "tool",
]

if TYPE_CHECKING:
    from agl_core._opening import best_resources, open_log, open_store
    from agl_core._setup import setup_logging
    from agl_core.adapter import Adapted, Adapter, Trace
    from agl_core.agents import (
        Dataset,
        EndAttempt,
        LitAgent,
        RolloutMode,
        RolloutRawResult,
        TaskInput,
        llm_rollout,
        prompt_rollout,
        rollout,
    )
    from agl_core.algorithm import Algorithm, Baseline, FastAlgorithm, algo
    from agl_core.datasets import load_dataset, split_dataset
    from agl_core.emit import (
        SpanCoreFields,
        emit_annotation,
        emit_exception,
        emit_message,
        emit_object,
        emit_reward,
        environment,
        find_final_reward,
        find_reward_spans,
        get_message_value,
        get_object_value,
        get_reward_value,
        get_rewards_from_span,
        is_reward_span,
        operation,
        tool,
    )
    from agl_core.engine import Checkpoint, Endpoint, Engine
    from agl_core.errors import AglError
    from agl_core.events import RolloutConfig, Target
    from agl_core.hookspecs import hookimpl
    from agl_core.recorder import agent
    from agl_core.resources import (
        LLM,
        NamedResources,
        PromptTemplate,
        ProxyLLM,
        Resource,
        ResourcesUpdate,
    )
    from agl_core.run import Run
    from agl_core.runner import Hook, LitAgentRunner, Runner
    from agl_core.store import (
        Attempt,
        AttemptedRollout,
        AttemptStatus,
        EnqueueRolloutRequest,
        Outcome,
        PaginatedResult,
        Rollout,
        RolloutStatus,
        Span,
        Store,
        TraceStatus,
        Worker,
        WorkerStatus,
    )
    from agl_core.trainer import Trainer, build_component, resume

__version__ = "0.1.0"

_HOME = {
    "_opening": ("best_resources", "open_log", "open_store"),
    "_setup": ("setup_logging",),
    "adapter": ("Adapted", "Adapter", "Trace"),
    "agents": (
        "Dataset",
        "EndAttempt",
        "LitAgent",
        "RolloutMode",
        "RolloutRawResult",
        "TaskInput",
        "llm_rollout",
        "prompt_rollout",
        "rollout",
    ),
    "algorithm": ("Algorithm", "Baseline", "FastAlgorithm", "algo"),
    "datasets": ("load_dataset", "split_dataset"),
    "emit": (
        "SpanCoreFields",
        "emit_annotation",
        "emit_exception",
        "emit_message",
        "emit_object",
        "emit_reward",
        "environment",
        "find_final_reward",
        "find_reward_spans",
        "get_message_value",
        "get_object_value",
        "get_reward_value",
        "get_rewards_from_span",
        "is_reward_span",
        "operation",
        "tool",
    ),
    "engine": ("Checkpoint", "Endpoint", "Engine"),
    "errors": ("AglError",),
    "events": ("RolloutConfig", "Target"),
    "hookspecs": ("hookimpl",),
    "recorder": ("agent",),
    "resources": (
        "LLM",
        "NamedResources",
        "PromptTemplate",
        "ProxyLLM",
        "Resource",
        "ResourcesUpdate",
    ),
    "run": ("Run",),
    "runner": ("Hook", "LitAgentRunner", "Runner"),
    "store": (
        "Attempt",
        "AttemptStatus",
        "AttemptedRollout",
        "EnqueueRolloutRequest",
        "Outcome",
        "PaginatedResult",
        "Rollout",
        "RolloutStatus",
        "Span",
        "Store",
        "TraceStatus",
        "Worker",
        "WorkerStatus",
    ),
    "trainer": ("Trainer", "build_component", "resume"),
}
_MODULE = {name: module for module, names in _HOME.items() for name in names}
_PLUGIN = {
    "LlmProxyTraceToTriplet": "triplets",
    "RewardMatchPolicy": "triplets",
    "TraceToMessages": "messages",
    "TracerTraceToTriplet": "triplets",
    "Triplet": "triplets",
}
"""Names of Agent Lightning v0.3 that are in distributions of their own, by entry point."""


def __getattr__(name: str) -> Any:
    """Public names are imported when they are asked for: `import agl_core` costs next to nothing."""
    if name in _PLUGIN:
        return _of_plugin(_PLUGIN[name], name)
    if name not in _MODULE:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_MODULE[name]}"), name)


def _of_plugin(plugin: str, name: str) -> Any:
    from importlib.metadata import entry_points

    for entry in entry_points(group="agl", name=plugin):
        return getattr(entry.load(), name)
    raise AttributeError(f"{name} comes with agl-{plugin}: run `pip install agl-{plugin}`")


def __dir__() -> list[str]:
    return sorted({*globals(), *_MODULE})
