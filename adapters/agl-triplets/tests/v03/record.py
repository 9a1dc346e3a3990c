"""Records what Agent Lightning's own `TracerTraceToTriplet` makes of small trees, into trees.json beside it.

In an environment with `agentlightning==0.3.0`: `python record.py`. Trees are drawn by chance, of 2 to 24 spans, flat or
nested, with lost parents, and rewards, agents and judging among them. Spans lie in their parents in time, no two begin
or end at once, and they come as they began: where they do not, v0.3 loses some, or its answer depends on the order.
"""

from __future__ import annotations

import json
import random
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
TREES = 80


def tree(seed: int) -> dict[str, Any]:
    """Settings, and spans as [id, parent, kind, began, ended]."""
    chance = random.Random(seed)
    nesting = chance.choice([0.0, 0.5, 0.9])
    lost = chance.choice([0.0, 0.0, 0.3])
    spans: list[list[Any]] = []
    taken: set[int] = set()
    for number in range(chance.randrange(2, 25)):
        kind = chance.choice(["call", "call", "reward", "step", "writer", "critic", "judging"])
        parent, (first, last) = None, (0, 1_000_000)
        if spans and chance.random() < nesting:
            parent, _, _, first, last = chance.choice(spans)
        elif chance.random() < lost:
            parent = f"{900 + chance.randrange(2):016x}"
        if last - first < 10 * len(taken) + 10:
            continue  # a moment, or full
        began, ended = sorted(
            chance.sample([at for at in chance.sample(range(first + 1, last), 9) if at not in taken], 2)
        )
        ended = began if kind == "reward" else ended
        taken |= {began, ended}
        spans.append([f"{number + 1:016x}", parent, kind, began, ended])
    spans.sort(key=lambda span: span[3])
    settings = {
        "repair_hierarchy": chance.random() < 0.6,
        "agent_match": chance.choice([None, None, "writer"]),
        "exclude_llm_call_in_reward": chance.random() < 0.7,
        "reward_match": chance.choice(["first_occurrence", "first_sibling"]),
    }
    return {"settings": settings, "spans": spans}


def attributes(kind: str, number: int) -> tuple[str, dict[str, Any]]:
    """Name and attributes of a span of that kind."""
    match kind:
        case "call":
            ids = {"prompt_token_ids": [1], "response_token_ids": [number]}
            return "openai.chat.completion", {**ids, "gen_ai.response.id": f"chatcmpl-{number}"}
        case "reward":
            name = "agentlightning.reward.0"
            return "agentlightning.annotation", {f"{name}.name": "primary", f"{name}.value": float(number)}
        case "judging":
            return "agentlightning.operation", {"agentlightning.operation.name": "agentlightning.reward"}
        case "writer" | "critic":
            return "step", {"agent.name": kind}
    return "step", {}


def theirs(drawn: dict[str, Any]) -> list[list[Any]]:
    """What v0.3 makes of it: number of the call, reward, agent."""
    from agentlightning.adapter.triplet import RewardMatchPolicy, TracerTraceToTriplet
    from agentlightning.types import Span

    spans = []
    for place, (id_, parent, kind, began, ended) in enumerate(drawn["spans"], start=1):
        name, said = attributes(kind, int(id_, 16))
        spans.append(
            Span.from_attributes(
                attributes=said, rollout_id="ro-1", attempt_id="at-1", sequence_id=place, name=name,
                trace_id=f"{1:032x}", span_id=id_, parent_id=parent, start_time=float(began), end_time=float(ended),
            )
        )  # fmt: skip
    settings = {**drawn["settings"], "reward_match": RewardMatchPolicy(drawn["settings"]["reward_match"])}
    triplets = TracerTraceToTriplet(**settings).adapt(spans)
    return [[one.response["token_ids"][0], one.reward, one.metadata["agent_name"]] for one in triplets]


if __name__ == "__main__":
    recorded = [{**drawn, "triplets": theirs(drawn)} for drawn in map(tree, range(TREES))]
    lines = ",\n".join(json.dumps(one, separators=(",", ":")) for one in recorded)
    (HERE / "trees.json").write_text(f"[\n{lines}\n]\n")
