"""Where traces go: what each tool wants to be called by, and how it is told who sends."""

from __future__ import annotations

import base64
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from urllib.parse import unquote, urlsplit, urlunsplit

from agl_core.errors import BadValue

__all__ = ["PRESETS", "Place", "place"]

Headers = Mapping[str, str]


@dataclass(frozen=True, slots=True, kw_only=True)
class Place:
    """A receiver of OTLP over HTTP. Its headers may hold keys, so it is never printed whole."""

    url: str
    headers: Headers = field(default_factory=dict, repr=False)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Preset:
    path: str = "/v1/traces"
    headers: Callable[[Mapping[str, str]], Headers] = lambda _environment: {}


def _bearer(variable: str) -> Callable[[Mapping[str, str]], Headers]:
    return lambda given: {"authorization": f"Bearer {given[variable]}"} if given.get(variable) else {}


def _langfuse(given: Mapping[str, str]) -> Headers:
    public, secret = given.get("LANGFUSE_PUBLIC_KEY"), given.get("LANGFUSE_SECRET_KEY")
    # Without the version, what comes is shown minutes later.
    version = {"x-langfuse-ingestion-version": "4"}
    if not (public and secret):
        return version
    return version | {"authorization": f"Basic {base64.b64encode(f'{public}:{secret}'.encode()).decode()}"}


def _named(**headers: str) -> Callable[[Mapping[str, str]], Headers]:
    names = {name.replace("_", "-"): variable for name, variable in headers.items()}
    return lambda given: {name: given[variable] for name, variable in names.items() if given.get(variable)}


PRESETS: Mapping[str, _Preset] = {
    "otlp": _Preset(),
    "jaeger": _Preset(),
    "langfuse": _Preset(path="/api/public/otel/v1/traces", headers=_langfuse),
    "mlflow": _Preset(headers=_named(x_mlflow_experiment_id="MLFLOW_EXPERIMENT_ID")),
    "phoenix": _Preset(headers=_bearer("PHOENIX_API_KEY")),
    "weave": _Preset(path="/otel/v1/traces", headers=_named(wandb_api_key="WANDB_API_KEY")),
}
"""By name: the path that is put after a bare host, and the headers made of the variables each tool reads."""


def place(
    to: str | None, *, preset: str = "otlp", headers: Headers | None = None, environment: Mapping[str, str]
) -> Place:
    """Where to send. Without `to`, where OpenTelemetry's own variables point.

    Headers: those of the preset, over them those of `OTEL_EXPORTER_OTLP_HEADERS`, over them the given ones.
    Raises `BadValue` for what is no address.
    """
    wanted = PRESETS[preset]
    url = to or environment.get("OTEL_EXPORTER_OTLP_TRACES_ENDPOINT") or environment.get("OTEL_EXPORTER_OTLP_ENDPOINT")
    if not url:
        raise BadValue("to", url, why="say where to send: --to URL, or OTEL_EXPORTER_OTLP_ENDPOINT")
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.netloc:
        raise BadValue("to", url, why="it must begin with http:// or https://, and name a host")
    path = parts.path.rstrip("/")
    if not path.endswith("/v1/traces"):
        path = f"{path}/v1/traces" if path else wanted.path
    said = {**wanted.headers(environment), **_said(environment.get("OTEL_EXPORTER_OTLP_HEADERS", ""))}
    said |= {name.lower(): value for name, value in (headers or {}).items()}
    return Place(url=urlunsplit(parts._replace(path=path)), headers=said)


def _said(headers: str) -> Headers:
    pairs = (pair.partition("=") for pair in headers.split(",") if "=" in pair)
    return {name.strip().lower(): unquote(value.strip()) for name, _, value in pairs}
