"""Models to ask: a name and an address, with a key that is never written down."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, ClassVar, Protocol

from agl_core.errors import BadValue

__all__ = ["LLM", "ProxyLLM", "Resource"]


class Resource:
    """Something with a name in a bundle."""

    __slots__ = ()
    resource_type: ClassVar[str]


class Attempted(Protocol):
    """What carries the ids of an attempt: an `AttemptedRollout`."""

    @property
    def rollout_id(self) -> str: ...

    @property
    def attempt_id(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LLM(Resource):
    """A model behind an OpenAI-compatible endpoint."""

    resource_type: ClassVar[str] = "llm"
    endpoint: str
    """Base URL; ends in `/v1` when the gateway made it."""
    model: str
    api_key: str | None = field(default=None, repr=False)
    """Never written to the log."""
    sampling_parameters: Mapping[str, Any] = field(default_factory=dict)

    def get_base_url(self, rollout_id: str | None = None, attempt_id: str | None = None) -> str:
        """The endpoint; a plain LLM has the same one for every attempt."""
        return self.endpoint


@dataclass(frozen=True, slots=True)
class ProxyLLM(LLM):
    """A model behind a gateway that tells attempts apart by their URL."""

    resource_type: ClassVar[str] = "proxy_llm"

    def get_base_url(self, rollout_id: str | None = None, attempt_id: str | None = None) -> str:
        """`{gateway}/rollout/{rollout_id}/attempt/{attempt_id}/v1`; without ids, the plain endpoint."""
        if rollout_id is None and attempt_id is None:
            return self.endpoint
        if rollout_id is None or attempt_id is None:
            raise BadValue("attempt", (rollout_id, attempt_id), why="give both ids, or none")
        root, v1 = self.endpoint.rstrip("/"), ""
        if root.endswith("/v1"):
            root, v1 = root[: -len("/v1")], "/v1"
        return f"{root}/rollout/{rollout_id}/attempt/{attempt_id}{v1}"

    def with_attempted_rollout(self, rollout: Attempted) -> LLM:
        """A plain LLM that only this attempt uses."""
        return LLM(
            endpoint=self.get_base_url(rollout.rollout_id, rollout.attempt_id),
            model=self.model,
            api_key=self.api_key,
            sampling_parameters=self.sampling_parameters,
        )
