"""The store of Agent Lightning v0.3, asked over HTTP while it runs: rollouts, attempts, spans, resources."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any

import msgspec

from agl_core.errors import AglError, ImportRefused, ImportStillOpen
from agl_core.events import ExitStatus, ResourcesPublished, RolloutCancelled, RolloutConfig, SpanRecorded
from agl_core.importing._attempt import facts
from agl_core.importing._lines import bad
from agl_core.importing._story import ACTOR, Making, Reading, Refused, Story, derived, mode
from agl_core.importing._v03_client import V03, Unanswered
from agl_core.record import Draft
from agl_core.resources import dump, load

__all__ = ["FORMAT", "read"]

FORMAT = "agl-v0.3"
_EXITS: Mapping[str, ExitStatus] = {
    "succeeded": "completed",
    "failed": "agent_raised",
    "timeout": "timeout",
    "unresponsive": "unresponsive",
}
"""How an attempt ended, by its status there. Of any other it is not over."""
_EXPIRED = frozenset({"timeout", "unresponsive"})
"""Its watchdog ended them."""
_OVER = frozenset({"succeeded", "failed", "cancelled"})


def read(source: str, *, run_id: str) -> Reading:
    """A story a bundle of resources, then one a rollout that has come to its end."""
    import httpx

    with httpx.Client(timeout=30.0, headers={"accept": "application/json"}) as client:
        store = V03(source, client=client)
        store.check()
        bundles: dict[str, tuple[str, int]] = {}
        try:
            for bundle in store.resources():
                yield _published(bundle, bundles, run_id)
            for rollout in store.rollouts():
                yield _rollout(store, rollout, bundles, run_id)
        except Unanswered as error:
            cure = "Look at the store, and import again: what was imported is known"
            raise ImportRefused(source, why=str(error), cure=cure) from None


def _published(bundle: Mapping[str, Any], bundles: dict[str, tuple[str, int]], run_id: str) -> Story | Refused:
    """Each version is a bundle of its own here: of earlier ones that store knows nothing any more."""
    where = f"resources {bundle.get('resources_id')}"
    try:
        name, version = str(bundle["resources_id"]), int(bundle.get("version") or 1)
        resources = {str(key): dump(load(_resource(value))) for key, value in bundle["resources"].items()}
        event = ResourcesPublished(
            resources_id=derived("rs", FORMAT, name, str(version)),
            version=1,
            resources=resources,
            why=f"version {version} of {name}, imported",
            run_id=run_id,
        )
        key = f"import/{event.resources_id}"
        at = _nanoseconds(bundle.get("update_time") or bundle.get("create_time"))
    except (AglError, KeyError, TypeError, ValueError, AttributeError) as error:
        return bad(where, f"it is no bundle of resources ({error!r})")
    bundles[name] = event.resources_id, 1
    draft = Draft(
        stream=f"resources/{event.resources_id}",
        event=event,
        key=key,
        correlation_id=run_id,
        actor=ACTOR,
        occurred_at=at,
    )
    return Story(where=where, drafts=(draft,))


def _resource(value: Mapping[str, Any]) -> dict[str, Any]:
    """Without what only its client needs; a key is never written to a log."""
    names = {"resource_type", "endpoint", "model", "sampling_parameters", "template", "engine"}
    return {name: inner for name, inner in value.items() if name in names}


def _rollout(
    store: V03, rollout: Mapping[str, Any], bundles: Mapping[str, tuple[str, int]], run_id: str
) -> Story | Refused:
    rollout_id, status = str(rollout.get("rollout_id")), str(rollout.get("status"))
    where = f"rollout {rollout_id}"
    if status not in _OVER:
        return Refused.of(where, ImportStillOpen(where, status=status))
    try:
        attempts, spans = list(store.attempts(rollout_id)), list(store.spans(rollout_id))
        drafts = tuple(_told(rollout, attempts, spans, bundles, run_id))
    except Unanswered as error:
        return bad(where, f"the store does not tell of it: {error}")
    except (AglError, KeyError, TypeError, ValueError, AttributeError, msgspec.ValidationError) as error:
        return bad(where, f"it is not as v0.3 has rollouts ({error!r})")
    return Story(where=where, drafts=drafts)


def _told(
    rollout: Mapping[str, Any],
    attempts: Sequence[Mapping[str, Any]],
    spans: Sequence[Mapping[str, Any]],
    bundles: Mapping[str, tuple[str, int]],
    run_id: str,
) -> Iterator[Draft]:
    making = Making(FORMAT, str(rollout["rollout_id"]), run_id=run_id)
    ended = _nanoseconds(rollout.get("end_time"))
    metadata = dict(rollout.get("metadata") or {})
    if rollout.get("resources_id"):
        metadata["resources_id"] = rollout["resources_id"]
    yield making.enqueued(
        rollout["input"],
        at=_nanoseconds(rollout.get("start_time")),
        mode=mode(rollout.get("mode")),
        resources=bundles.get(str(rollout.get("resources_id"))),
        config=_config(rollout.get("config") or {}),
        metadata=metadata,
    )
    last: tuple[str, ExitStatus] | None = None
    for attempt in attempts:
        attempt_id, sequence = making.attempt_id(str(attempt["attempt_id"])), int(attempt["sequence_id"])
        at = _nanoseconds(attempt.get("start_time"))
        worker = str(attempt.get("worker_id") or "import")
        yield making.started(attempt_id, sequence=sequence, worker_id=worker, at=at)
        own = [span for span in spans if span.get("attempt_id") == attempt["attempt_id"]]
        yield from facts(making, [_span(making, attempt_id, span) for span in own])
        exit_status = _EXITS.get(str(attempt.get("status")))
        over = _nanoseconds(attempt.get("end_time")) or ended
        if exit_status is None:
            if rollout["status"] == "cancelled":
                continue  # it ends with the rollout
            why = f"it was {attempt.get('status')} there when the rollout was over"
            yield making.expired(attempt_id, "worker_lost", why, at=over)
            last = attempt_id, "worker_lost"
        elif attempt["status"] in _EXPIRED:
            yield making.expired(attempt_id, exit_status, f"{attempt['status']} there", at=over)
            last = attempt_id, exit_status
        else:
            yield making.ended(attempt_id, exit_status, at=over)
            last = attempt_id, exit_status
    yield _end(making, str(rollout["status"]), last, ended)


def _end(making: Making, status: str, last: tuple[str, ExitStatus] | None, at: int | None) -> Draft:
    if status == "cancelled" or last is None:
        why = "cancelled there" if status == "cancelled" else f"it was {status} there without an attempt"
        return making.draft(RolloutCancelled(rollout_id=making.rollout_id, why=why), "cancelled", at=at)
    attempt_id, exit_status = last
    if (status == "succeeded") != (exit_status == "completed"):
        # Somebody set it by hand: the rollout is what it says it is.
        exit_status = "completed" if status == "succeeded" else "agent_raised"
    return making.finished(attempt_id, exit_status, at=at)


def _config(said: Mapping[str, Any]) -> RolloutConfig:
    return RolloutConfig(
        timeout_seconds=said.get("timeout_seconds"),
        unresponsive_seconds=said.get("unresponsive_seconds"),
        max_attempts=said.get("max_attempts") or 1,
        retry_condition=tuple(said.get("retry_condition") or ()),
    )


def _span(making: Making, attempt_id: str, said: Mapping[str, Any]) -> SpanRecorded:
    status = said.get("status") or {}
    resource = said.get("resource") or {}
    began = _nanoseconds(said.get("start_time")) or 0
    return SpanRecorded(
        rollout_id=making.rollout_id,
        attempt_id=attempt_id,
        span_id=str(said["span_id"]),
        trace_id=said.get("trace_id"),
        parent_id=said.get("parent_id"),
        name=str(said["name"]),
        kind=str(said.get("kind") or "internal").lower(),
        attributes=dict(said.get("attributes") or {}),
        events=tuple(_event(event) for event in said.get("events") or ()),
        status=str(status.get("status_code") or "UNSET").lower(),
        status_message=status.get("description"),
        sequence_id=int(said["sequence_id"]),
        started_at=began,
        ended_at=_nanoseconds(said.get("end_time")) or began,
        links=tuple(_link(link) for link in said.get("links") or ()),
        resource=dict(resource.get("attributes") or {}),
    )


def _event(said: Mapping[str, Any]) -> dict[str, Any]:
    return {
        "name": str(said.get("name") or ""),
        "timestamp": _nanoseconds(said.get("timestamp")) or 0,
        "attributes": dict(said.get("attributes") or {}),
    }


def _link(said: Mapping[str, Any]) -> dict[str, Any]:
    context = said.get("context") or {}
    return {
        "trace_id": str(context.get("trace_id") or ""),
        "span_id": str(context.get("span_id") or ""),
        "attributes": dict(said.get("attributes") or {}),
    }


def _nanoseconds(seconds: Any) -> int | None:
    """Of seconds since the epoch, as floats have them: to the microsecond."""
    return None if seconds is None else round(float(seconds) * 1e6) * 1000
