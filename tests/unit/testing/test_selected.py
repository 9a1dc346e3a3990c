"""What a run keeps for one agent, and what its log has of the others."""

from __future__ import annotations

import httpx
import pytest

import agl_core as agl
from agl_core.emit import operation
from agl_core.testing import selected

pytest.importorskip("agl_triplets", reason="another distribution makes rows of calls")


@agl.rollout
def team(task: dict, llm: agl.LLM) -> float:
    """Two agents: one asks twice, the other once."""
    with httpx.Client(base_url=llm.endpoint, headers={"authorization": f"Bearer {llm.api_key}"}) as client:
        for name in ("writer", "critic", "writer"):
            with operation(name="outer"), operation(name="inner"), agl.agent(name):
                asked = {"model": llm.model, "messages": [{"role": "user", "content": "Go"}]}
                client.post("chat/completions", json=asked).raise_for_status()
    return 1.0


@pytest.mark.parametrize(("agent", "kept"), [("writer", {"writer"}), ("critic", {"critic"}), ("nobody", set())])
def test_one_agent_is_selected(tmp_path, agent, kept):
    """Of two rollouts; all calls and all spans are in the log, whoever is."""
    batch, ran = selected(team, "It is 42.", agent=agent, store=tmp_path / "log.db")

    assert ran.kept_of(batch) == kept
    assert ran.made_by() == {"writer": 4, "critic": 2}
    assert batch.captured == len(ran.calls()) == 6
    name = "agentlightning.operation"
    assert ran.ways() == [sorted([name, f"{name} > {name}"] * 3)] * 2
    assert ran.ways(lambda span: span.parent_id is None) == [[name] * 3] * 2
