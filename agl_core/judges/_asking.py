"""How judges ask their models: through the gateway, so that each call is in the log, and what is there is not asked."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import count
from types import MappingProxyType
from typing import TYPE_CHECKING, Any

from agl_core.errors import JudgeUnanswered
from agl_core.events import CallRecorded
from agl_core.ids import canonical, digest
from agl_core.judges._judge import Said, identity
from agl_core.judges._scene import text_of
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
        self.store, self.client = store, client
        self._gateway, self._models = gateway, models

    def __call__(self, seat: Seat, trace: Trace, key: str) -> _Judgement:
        """For the judgement of that key: asked again by the same key, a model's words are read from the log."""
        model = str(getattr(seat.judge, "model", ""))
        return _Judgement(
            self,
            model=self._models.get(model, model),
            url=f"{self._gateway}/rollout/{trace.rollout_id}/attempt/{trace.attempt_id}/v1/chat/completions",
            token=self.store.ask.judge_key(trace.attempt_id),
            who=identity(seat.judge),
            key=key,
        )


class _Judgement:
    def __init__(self, asking: Asking, *, model: str, url: str, token: str, who: str, key: str) -> None:
        self._asking, self._model, self._url, self._token = asking, model, url, token
        self._who, self._key = who, key
        self._asked = 0

    async def __call__(self, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any] = _PLAIN) -> Said:
        number, self._asked = self._asked, self._asked + 1
        body = {**sampling, "model": self._model, "messages": [dict(message) for message in messages]}
        for again in count():
            words = digest(canonical([self._key, number, again, body]))
            call_id = f"ca-{words[:26]}"
            recorded = self._recorded(call_id)
            if recorded is None:
                break
            if recorded.status == "ok":
                return self._said(recorded)
        await self._ask(body, call_id)
        recorded = self._recorded(call_id)
        if recorded is None or recorded.status != "ok":
            raise JudgeUnanswered(self._model, why="its answer was not kept")
        return self._said(recorded)

    async def _ask(self, body: Mapping[str, Any], call_id: str) -> None:
        import aiohttp

        headers = {"authorization": f"Bearer {self._token}", "agl-call-id": call_id, "agl-agent": self._who}
        try:
            async with self._asking.client.post(self._url, json=body, headers=headers) as reply:
                told = await reply.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise JudgeUnanswered(self._model, why=f"the gateway is not there ({error})") from None
        if reply.status != 200:
            raise JudgeUnanswered(self._model, why=f"{reply.status} {_message(told)}".strip())

    def _recorded(self, call_id: str) -> CallRecorded | None:
        record = self._asking.store.log.get(f"call/{call_id}")
        return record.event if record is not None and isinstance(record.event, CallRecorded) else None

    def _said(self, recorded: CallRecorded) -> Said:
        choices = recorded.call.choices
        text = text_of(choices[0].message.content) if choices else None
        return Said(text=text or "", call_id=recorded.call_id)


def _message(told: Any) -> str:
    """Of an error in OpenAI's shape."""
    match told:
        case {"error": {"message": str(message)}}:
            return message
    return ""
