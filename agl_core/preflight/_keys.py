"""Keys and addresses of providers in the environment; of a key, its end and no more."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from urllib.parse import urlsplit

from agl_core.preflight._check import Check, Finding, Given

__all__ = ["CHECKS"]

_LONG = 12
"""Of a shorter key, four letters would be too much of it."""


def _keys(given: Given) -> Iterator[Finding]:
    found = {name: key for name, key in sorted(given.environment.items()) if name.endswith("_API_KEY") and key}
    if found:
        yield Finding(status="ok", what=", ".join(f"{name} {_masked(key)}" for name, key in found.items()))
    else:
        yield Finding(status="ok", what="no ..._API_KEY is set; models served without one, and the gateway, need none")


def _base_urls(given: Given) -> Iterator[Finding]:
    findings = [*_openai(given.environment), *_anthropic(given.environment), *_proxy(given.environment)]
    yield from findings
    names = [name for name in ("OPENAI_BASE_URL", "ANTHROPIC_BASE_URL") if given.environment.get(name)]
    if not findings:
        said = ", ".join(f"{name} {_without_secrets(given.environment[name])}" for name in names)
        yield Finding(status="ok", what=said or "no base URL is set: libraries ask their own providers")


def _openai(environment: Mapping[str, str]) -> Iterator[Finding]:
    new, old = environment.get("OPENAI_BASE_URL", ""), environment.get("OPENAI_API_BASE", "")
    if new and old and new.rstrip("/") != old.rstrip("/"):
        shown = f"OPENAI_BASE_URL is {_without_secrets(new)}, OPENAI_API_BASE is {_without_secrets(old)}"
        yield Finding(
            status="warn", code="BASE_URLS_DISAGREE", what=f"{shown}: which one counts depends on the library",
            cure="unset one of them, or set both to the same address",
        )  # fmt: skip
    if new and not urlsplit(new).path.strip("/"):
        yield Finding(
            status="warn", code="BASE_URL_SUFFIX",
            what=f"OPENAI_BASE_URL is {_without_secrets(new)}: OpenAI's library puts no /v1 behind it",
            cure=f"export OPENAI_BASE_URL={_without_secrets(new).rstrip('/')}/v1",
        )  # fmt: skip


def _anthropic(environment: Mapping[str, str]) -> Iterator[Finding]:
    given = environment.get("ANTHROPIC_BASE_URL", "").rstrip("/")
    if given.endswith("/v1"):
        yield Finding(
            status="fail", code="BASE_URL_SUFFIX",
            what=f"ANTHROPIC_BASE_URL is {_without_secrets(given)}: Anthropic's library puts /v1 behind it by itself",
            cure=f"export ANTHROPIC_BASE_URL={_without_secrets(given).removesuffix('/v1')}",
        )  # fmt: skip


def _proxy(environment: Mapping[str, str]) -> Iterator[Finding]:
    """The gateway is at 127.0.0.1, over HTTP: most clients send that to a proxy too, unless they are told not to."""
    lower = {name.lower(): value for name, value in environment.items() if value}
    proxy = lower.get("http_proxy") or lower.get("all_proxy")
    spared = {name.strip() for name in lower.get("no_proxy", "").split(",")}
    if proxy and not spared & {"*", "127.0.0.1"}:
        yield Finding(
            status="warn", code="PROXY_IN_THE_WAY",
            what=f"requests to 127.0.0.1 go to the proxy {_without_secrets(proxy)}: the gateway is not behind it",
            cure="export NO_PROXY=127.0.0.1,localhost",
        )  # fmt: skip


def _masked(key: str) -> str:
    return f"...{key[-4:]}" if len(key) >= _LONG else "is set"


def _without_secrets(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2], query="").geturl()


CHECKS = (Check(name="keys", look=_keys), Check(name="base URLs", look=_base_urls))
