"""How the engine itself asks models: through the gateway, where calls are kept; what is kept is not asked again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import count
from typing import TYPE_CHECKING, Any

from agl_core.errors import ModelUnanswered
from agl_core.events import CallRecorded
from agl_core.ids import canonical, digest
from agl_core.log import SqliteLog

if TYPE_CHECKING:
    import aiohttp

__all__ = ["Question", "Said", "text_of"]

_BUSY = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_FIRST_PAUSE, _LONGEST_PAUSE = 1.0, 30.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Said:
    """What a model answered."""

    text: str
    call_id: str
    """Of the call, as it is recorded."""
    prompt_tokens: int = 0
    completion_tokens: int = 0
    finish_reason: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Question:
    """One place to ask from, in the name of somebody who has a key there."""

    log: SqliteLog
    client: aiohttp.ClientSession
    url: str
    """Of the gateway, up to and with `/v1`."""
    token: str
    who: str
    """Name that the calls bear."""
    patience: float = 0.0
    """Seconds for which a server that says it is busy is asked again."""

    async def ask(
        self, model: str, messages: Sequence[Mapping[str, Any]], *, sampling: Mapping[str, Any], key: Sequence[Any]
    ) -> Said:
        """The answer; of a question that was answered by that key before, the answer it got.

        Raises `ModelUnanswered`, when what could be waited out did not end in time.
        """
        body = {**sampling, "model": model, "messages": [dict(message) for message in messages]}
        began, pause = time.monotonic(), _FIRST_PAUSE
        for again in count():
            call_id = f"ca-{digest(canonical([*key, again, body]))[:26]}"
            recorded = self._recorded(call_id)
            if recorded is None:
                refused = await self._sent(body, call_id)
                recorded = self._recorded(call_id)
                if refused is not None:
                    left = self.patience - (time.monotonic() - began)
                    wait = pause if refused.after is None else refused.after
                    if refused.status not in _BUSY or wait > left:
                        raise ModelUnanswered(model, why=refused.why)
                    await asyncio.sleep(wait)
                    pause = min(2 * pause, _LONGEST_PAUSE)
                    continue
                if recorded is None or recorded.status != "ok":
                    raise ModelUnanswered(model, why="its answer was not kept")
            if recorded.status == "ok":
                return _said(recorded)
        raise AssertionError

    async def _sent(self, body: Mapping[str, Any], call_id: str) -> _Refusal | None:
        """Send it; why there is no answer, if there is none."""
        import aiohttp

        headers = {"authorization": f"Bearer {self.token}", "agl-call-id": call_id, "agl-agent": self.who}
        try:
            async with self.client.post(f"{self.url}/chat/completions", json=body, headers=headers) as reply:
                told = await reply.json(content_type=None)
        except (aiohttp.ClientError, OSError, ValueError) as error:
            raise ModelUnanswered(str(body["model"]), why=f"the gateway is not there ({error})") from None
        if reply.status == 200:
            return None
        after = reply.headers.get("retry-after", "")
        return _Refusal(
            status=reply.status,
            why=f"{reply.status} {_message(told)}".strip(),
            after=float(after) if after.replace(".", "", 1).isdecimal() else None,
        )

    def _recorded(self, call_id: str) -> CallRecorded | None:
        record = self.log.get(f"call/{call_id}")
        return record.event if record is not None and isinstance(record.event, CallRecorded) else None


@dataclass(frozen=True, slots=True, kw_only=True)
class _Refusal:
    status: int
    why: str
    after: float | None
    """Seconds after which the server wants to be asked again."""


def text_of(content: Any) -> str | None:
    """The text of a message's content: as it is, or of its parts; None when it has none."""
    if content is None or isinstance(content, str):
        return content
    if not isinstance(content, list | tuple):
        return str(content)
    parts = [part.get("text") for part in content if isinstance(part, Mapping)]
    texts = [text for text in parts if isinstance(text, str)]
    return "".join(texts) if texts else None


def _said(recorded: CallRecorded) -> Said:
    call, choices = recorded.call, recorded.call.choices
    return Said(
        text=(text_of(choices[0].message.content) if choices else None) or "",
        call_id=recorded.call_id,
        prompt_tokens=call.usage.prompt_tokens,
        completion_tokens=call.usage.completion_tokens,
        finish_reason=choices[0].finish_reason if choices else None,
    )


def _message(told: Any) -> str:
    """Of an error in OpenAI's shape."""
    match told:
        case {"error": {"message": str(message)}}:
            return message
    return ""
