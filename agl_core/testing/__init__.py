"""What tests of plugins stand on: contracts to inherit, doubles to talk to, strategies to draw from.

The contracts want pytest, the strategies want Hypothesis; neither is imported before it is asked for.
"""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from agl_core.testing import strategies
    from agl_core.testing._adapter_contract import AdapterContract
    from agl_core.testing._algorithm_contract import AlgorithmContract
    from agl_core.testing._algorithm_kills import AlgorithmKillContract
    from agl_core.testing._attempts import Attempts
    from agl_core.testing._dialect_contract import DialectContract
    from agl_core.testing._engine_contract import EngineContract
    from agl_core.testing._executor_contract import ExecutorContract
    from agl_core.testing._exporter_contract import ExporterContract
    from agl_core.testing._judge_contract import JudgeContract
    from agl_core.testing._log_contract import LogContract, LogReadingContract
    from agl_core.testing._reaction_contract import ReactionContract, story
    from agl_core.testing._replayed import Recorded, no_network, replayed
    from agl_core.testing._scripted_engine import ScriptedEngine
    from agl_core.testing._scripted_faults import Broken, Failing, Malformed, Stalled, Unfinished, in_turn
    from agl_core.testing._scripted_model import ScriptedModel
    from agl_core.testing._scripted_values import Answer, Asked, Refusal
    from agl_core.testing._selected import Ran, selected
    from agl_core.testing._tracer_contract import TracerContract

__all__ = [
    "AdapterContract",
    "AlgorithmContract",
    "AlgorithmKillContract",
    "Answer",
    "Asked",
    "Attempts",
    "Broken",
    "DialectContract",
    "EngineContract",
    "ExecutorContract",
    "ExporterContract",
    "Failing",
    "JudgeContract",
    "LogContract",
    "LogReadingContract",
    "Malformed",
    "Ran",
    "ReactionContract",
    "Recorded",
    "Refusal",
    "ScriptedEngine",
    "ScriptedModel",
    "Stalled",
    "TracerContract",
    "Unfinished",
    "in_turn",
    "no_network",
    "replayed",
    "selected",
    "story",
    "strategies",
]

_HOMES = {
    "AdapterContract": "_adapter_contract",
    "AlgorithmContract": "_algorithm_contract",
    "AlgorithmKillContract": "_algorithm_kills",
    "Answer": "_scripted_values",
    "Asked": "_scripted_values",
    "Attempts": "_attempts",
    "Broken": "_scripted_faults",
    "DialectContract": "_dialect_contract",
    "EngineContract": "_engine_contract",
    "ExecutorContract": "_executor_contract",
    "ExporterContract": "_exporter_contract",
    "Failing": "_scripted_faults",
    "JudgeContract": "_judge_contract",
    "LogContract": "_log_contract",
    "LogReadingContract": "_log_contract",
    "Malformed": "_scripted_faults",
    "Ran": "_selected",
    "ReactionContract": "_reaction_contract",
    "Recorded": "_replayed",
    "Refusal": "_scripted_values",
    "ScriptedEngine": "_scripted_engine",
    "ScriptedModel": "_scripted_model",
    "Stalled": "_scripted_faults",
    "TracerContract": "_tracer_contract",
    "Unfinished": "_scripted_faults",
    "in_turn": "_scripted_faults",
    "no_network": "_replayed",
    "replayed": "_replayed",
    "selected": "_selected",
    "story": "_reaction_contract",
}


def __getattr__(name: str) -> Any:
    if name in _HOMES:
        return getattr(import_module(f"agl_core.testing.{_HOMES[name]}"), name)
    if name == "strategies":
        return import_module("agl_core.testing.strategies")
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
