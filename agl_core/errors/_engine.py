"""What goes wrong with a model, or with what serves it."""

from __future__ import annotations

from collections.abc import Iterable

from agl_core.errors._base import AglError

__all__ = [
    "DrainTimedOut",
    "EngineError",
    "EngineFailed",
    "ModelNotFound",
    "ModelUnanswered",
    "PolicyNotLoaded",
    "PortBusy",
    "PromptTooLong",
    "TokenIdsMissing",
]


class EngineError(AglError):
    """A model cannot be served as asked."""

    code = "ENGINE_ERROR"


class ModelNotFound(EngineError):
    """No endpoint or folder has that model."""

    code = "MODEL_NOT_FOUND"

    def __init__(self, model: str, *, known: Iterable[str] = (), why: str = "") -> None:
        names = sorted(known)
        detail = why or f"registered: {', '.join(names) or 'none'}"
        super().__init__(f"no model {model!r}: {detail}", model=model, known=names)


class PromptTooLong(EngineError):
    """The prompt does not fit the model's context."""

    code = "PROMPT_TOO_LONG"

    def __init__(self, tokens: int, *, limit: int) -> None:
        super().__init__(
            f"the prompt has {tokens} tokens and this model takes {limit}: shorten the history",
            tokens=tokens,
            limit=limit,
        )


class DrainTimedOut(EngineError):
    """New weights were to be loaded, and calls on the old ones did not end."""

    code = "DRAIN_TIMED_OUT"

    def __init__(self, policy: str, *, calls: int, seconds: float) -> None:
        super().__init__(
            f"{calls} call(s) to {policy!r} did not end within {seconds:g} s, so that its new weights could not be "
            "loaded: the run stops here and can be resumed. Bound what an answer may take (`max_tokens`), or the "
            "agent's own time-out",
            policy=policy,
            calls=calls,
            seconds=seconds,
        )


class PolicyNotLoaded(EngineError):
    """The weights that were asked for are not the ones that are served."""

    code = "POLICY_NOT_LOADED"

    def __init__(self, policy: str, *, version: int, served: int) -> None:
        super().__init__(
            f"policy {policy!r} serves version {served}, not {version}", policy=policy, version=version, served=served
        )


class PortBusy(EngineError):
    """Somebody else listens there."""

    code = "PORT_BUSY"

    def __init__(self, host: str, port: int) -> None:
        super().__init__(
            f"port {port} on {host} is taken: stop what listens there, or use port 0 for any free one",
            host=host,
            port=port,
        )


class EngineFailed(EngineError):
    """An engine did not start, or died."""

    code = "ENGINE_FAILED"

    def __init__(self, url: str, *, why: str) -> None:
        super().__init__(f"engine {url} failed: {why}", url=url, why=why)


class TokenIdsMissing(EngineError):
    """A model was asked for the ids of what it sampled, and answers without them."""

    code = "TOKEN_IDS_MISSING"

    def __init__(self, model: str, *, url: str = "") -> None:
        place = f" at {url}" if url else ""
        super().__init__(
            f"{model!r}{place} answers without the token ids it was asked for (`return_token_ids`): its calls are "
            "kept, and no weights can be trained on them. Serve it by vLLM 0.10.2 or later, or `transformers:/path`; "
            "register the endpoint with `token_ids=False` if it is not to be trained",
            model=model,
            url=url,
        )


class ModelUnanswered(EngineError):
    """A model that the engine itself asks gave no answer."""

    code = "MODEL_UNANSWERED"

    def __init__(self, model: str, *, why: str) -> None:
        super().__init__(
            f"{model} gave no answer: {why}. When it is there, go on with `agl resume`: what was answered is not asked "
            "again",
            model=model,
            why=why,
        )
