"""How judges ask their models: in the name of the attempt that they judge, with a key of their own."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agl_core.asking import Question, Said
from agl_core.errors import JudgeUnanswered, ModelUnanswered
from agl_core.judges._judge import identity
from agl_core.judges._sitting import Seat
from agl_core.projections import Trace
from agl_core.store import Store

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Asking"]

_PLAIN: Mapping[str, Any] = MappingProxyType({})


class Asking:
    """Makes what a judge asks with, for one judgement at a time. `models` is what the gateway calls each model."""

    def __init__(self, store: Store, gateway: str, client: aiohttp.ClientSession, models: Mapping[str, str]) -> None:
        self._store, self._client = store, client
        self._gateway, self._models = gateway, models

    def __call__(self, seat: Seat, trace: Trace, key: str) -> _Judgement:
        """For the judgement of that key: asked again by the same key, a model's words are read from the log."""
        model = str(getattr(seat.judge, "model", ""))
        question = Question(
            log=self._store.log,
            client=self._client,
            url=f"{self._gateway}/rollout/{trace.rollout_id}/attempt/{trace.attempt_id}/v1",
            token=self._store.ask.judge_key(trace.attempt_id),
            who=identity(seat.judge),
        )
        return _Judgement(question, model=self._models.get(model, model), key=key)


class _Judgement:
    def __init__(self, question: Question, *, model: str, key: str) -> None:
        self._question, self._model, self._key = question, model, key
        self._asked = 0

    async def __call__(self, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any] = _PLAIN) -> Said:
        number, self._asked = self._asked, self._asked + 1
        try:
            return await self._question.ask(self._model, messages, sampling=sampling, key=[self._key, number])
        except ModelUnanswered as error:
            raise JudgeUnanswered(self._model, why=error.why) from None
