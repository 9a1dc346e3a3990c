"""The HTTP interface of Agent Lightning v0.3's store, as far as it reads."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import Any

import httpx

from agl_core.errors import ImportRefused

__all__ = ["V03", "Unanswered"]

_PREFIX = "/v1/agl"
_PAGE = 200
_TRIES = (0.2, 1.0, 3.0)
"""Seconds between tries."""


class Unanswered(Exception):
    """The store does not answer one question, though it answers others; the text says why."""


class V03:
    """A store, asked a page at a time."""

    def __init__(self, url: str, *, client: httpx.Client) -> None:
        root = url.rstrip("/")
        self._url, self._client = root.removesuffix(_PREFIX) + _PREFIX, client

    def check(self) -> None:
        """Ask it whether it is one; `ImportRefused` when nobody is there, or somebody else."""
        try:
            body = self._get("/statistics", {})
        except Unanswered as error:
            raise self._refused(str(error)) from None
        if not isinstance(body, dict) or "total_rollouts" not in body:
            raise self._refused("what answers there is no store of Agent Lightning v0.3")

    def resources(self) -> Iterator[Mapping[str, Any]]:
        """Every bundle, at its newest version."""
        return self._pages("/resources", {"sort_by": "create_time"})

    def rollouts(self) -> Iterator[Mapping[str, Any]]:
        """Every rollout, the oldest first."""
        return self._pages("/rollouts", {"sort_by": "start_time"})

    def attempts(self, rollout_id: str) -> Iterator[Mapping[str, Any]]:
        """The attempts of a rollout, the first first."""
        return self._pages(f"/rollouts/{rollout_id}/attempts", {"sort_by": "sequence_id"})

    def spans(self, rollout_id: str) -> Iterator[Mapping[str, Any]]:
        """The spans of all attempts of a rollout, by their numbers."""
        return self._pages("/spans", {"rollout_id": rollout_id, "sort_by": "sequence_id"})

    def _pages(self, path: str, query: Mapping[str, str]) -> Iterator[Mapping[str, Any]]:
        offset = 0
        while True:
            body = self._get(path, {**query, "limit": str(_PAGE), "offset": str(offset)})
            items = body.get("items") if isinstance(body, dict) else None
            total = body.get("total") if isinstance(body, dict) else None
            if not isinstance(items, list) or not isinstance(total, int):
                raise Unanswered(f"{path} answers with no page of items")
            yield from (item for item in items if isinstance(item, dict))
            offset += len(items)
            if not items or offset >= total:
                return

    def _get(self, path: str, query: Mapping[str, str]) -> Any:
        for pause in (*_TRIES, None):
            try:
                answer = self._client.get(self._url + path, params=dict(query))
            except httpx.TransportError as error:
                if pause is None:
                    raise self._refused(f"{type(error).__name__}: {error}") from None
            except (httpx.InvalidURL, ValueError) as error:
                raise self._refused(str(error)) from None
            else:
                if answer.status_code == 200:
                    return _body(answer, path)
                # A store says 500 where it means that it never will: spans that it threw out to save memory.
                if pause is None or answer.status_code not in {429, 502, 503, 504}:
                    raise Unanswered(f"{path} answers {answer.status_code}: {answer.text[:200].strip()}")
            time.sleep(pause)
        raise AssertionError

    def _refused(self, why: str) -> ImportRefused:
        cure = (
            "Check the address (http://host:4747), and that the store runs: `agl store` of Agent Lightning starts one"
        )
        return ImportRefused(self._url.removesuffix(_PREFIX), why=why, cure=cure)


def _body(answer: httpx.Response, path: str) -> Any:
    try:
        return answer.json()
    except ValueError:
        raise Unanswered(f"{path} answers with no JSON") from None
