"""The codes that pre-flight and the doctor say, and the page that has the cure of each."""

from __future__ import annotations

from collections.abc import Mapping
from types import MappingProxyType

from agl_core.errors import PreflightError

__all__ = ["DOCTOR", "page_of"]

DOCTOR: Mapping[str, str] = MappingProxyType(
    {
        "BASE_URLS_DISAGREE": "Two variables that mean the same say different things.",
        "BASE_URL_SUFFIX": "A base URL has an end that its library puts there itself, or lacks one that it does not.",
        "CHECK_FAILED": "A check raised: what it looks at is not known.",
        "DEPENDENCY_CONFLICT": "An installed package wants another version of a package, or one that is missing.",
        "DISK_SPACE_LOW": "There is little room left where the log lies.",
        "GPU_MEMORY_LOW": "A GPU has little memory left for a model.",
        "LOGPROBS_MISSING": "A model answers without the log-probabilities it was asked for.",
        "LOG_EXPOSED": "Others on this machine may read the log.",
        "MCP_FAILED": "An MCP server does not start, or does not say which tools it has.",
        "PROXY_IN_THE_WAY": "An agent's calls to the gateway would be sent to a proxy.",
        "RAY_UNREACHABLE": "Ray is installed, and no cluster answers.",
        "TASKS_REPEATED": "A data set has the same task more than once.",
        "TOOL_CALLS_MISSING": "A model that was offered a tool did not call it.",
        "UNTESTED_VERSION": "A framework has a version that its plugin was not tested with.",
    }
)
"""Codes of the doctor's own, and what each says; it also says those of errors."""

_OF_ERRORS = frozenset(
    {
        "CAPTURE_NONE", "ENGINE_FAILED", "LOG_UNSUPPORTED", "MISSING_EXTRA", "MODEL_NOT_FOUND", "NOT_IMPORTABLE",
        "NO_TRAINING_DATA", "PLUGIN_BROKEN", "PORT_BUSY", "REWARD_MISSING", "TOKEN_IDS_MISSING", "TRACER_FAILED",
    }
)  # fmt: skip
"""Codes of errors that are found here too."""
_ELSEWHERE = {
    "LOG_CORRUPT": "docs/how-to/mend-a-log.md",
    **dict.fromkeys(("BUDGET_SPENT", "BUDGET_TOO_SMALL", "PRICE_UNKNOWN"), "docs/how-to/budgets.md"),
    **dict.fromkeys(("NOT_OFFLINE", "ROLLOUTS_FORBIDDEN"), "docs/how-to/learn-from-a-log.md"),
}


def page_of(code: str) -> str | None:
    """The page with the cure, from the root of the repository; None where the message says all there is."""
    if code in _ELSEWHERE:
        return _ELSEWHERE[code]
    ours = {error.code for error in PreflightError.__subclasses__()}
    if code in DOCTOR or code in _OF_ERRORS or code in ours:
        return f"docs/how-to/cures/{code.lower().replace('_', '-')}.md"
    return None
