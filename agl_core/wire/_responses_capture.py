"""Token ids and log-probabilities in OpenAI's Responses: where they are, and taken out for who did not ask."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

__all__ = ["IDS", "LOGPROBS", "PROMPT_IDS", "Hidden", "wants_ids", "wants_logprobs"]

IDS = "return_token_ids"
LOGPROBS = "message.output_text.logprobs"
PROMPT_IDS = "prompt_token_ids"
_IDS = (PROMPT_IDS, "token_ids")


def wants_ids(asked: Mapping[str, Any]) -> bool:
    """Whether the request asks for token ids."""
    return bool(asked.get(IDS))


def wants_logprobs(asked: Mapping[str, Any]) -> bool:
    """Whether the request asks for log-probabilities."""
    included = asked.get("include")
    return isinstance(included, list) and LOGPROBS in included


class Hidden:
    """What the request `asked` is not to see."""

    def __init__(self, asked: Mapping[str, Any]) -> None:
        self._ids = not wants_ids(asked)
        self._logprobs = not wants_logprobs(asked)

    def of_response(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """A response without it."""
        return _each(self._bare(raw), "output", self._of_item)

    def of_event(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        """An event without it: of a piece of text, a part, an item, or the response."""
        shown = self._bare(raw)
        for name, reduced in (("part", self._bare), ("item", self._of_item), ("response", self.of_response)):
            if isinstance(shown.get(name), dict):
                shown[name] = reduced(shown[name])
        return shown

    def _of_item(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        return _each(self._bare(raw), "content", self._bare)

    def _bare(self, raw: Mapping[str, Any]) -> dict[str, Any]:
        shown = {name: value for name, value in raw.items() if not (self._ids and name in _IDS)}
        if self._logprobs and shown.get("logprobs"):
            shown["logprobs"] = []  # as OpenAI answers who did not ask
        return shown


def _each(raw: dict[str, Any], name: str, reduced: Callable[[dict[str, Any]], dict[str, Any]]) -> dict[str, Any]:
    parts = raw.get(name)
    if isinstance(parts, list):
        raw[name] = [reduced(one) if isinstance(one, dict) else one for one in parts]
    return raw
