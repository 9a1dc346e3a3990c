"""Every dialect that an agent may ask in answers from the log as the model did: in one piece, and in a stream."""

import hashlib
import json

import httpx

import agl_core as agl
from agl_core.events import ToolCall
from agl_core.testing import Answer, Refusal
from agl_core.wire import DIALECTS
from agl_core.wire.sse import Events

CHAT = [{"role": "user", "content": "what now?"}]
ASKED = {
    "openai.chat": {"messages": CHAT, "n": 2},
    "openai.completions": {"prompt": "what now?", "max_tokens": 40},
    "openai.responses": {"input": "what now?"},
    "anthropic.messages": {"messages": CHAT, "max_tokens": 40},
}


@agl.rollout
async def polyglot(task, llm):
    """Asks in each; the rewards are hashes of what it heard."""
    heard = {}
    async with httpx.AsyncClient(headers={"authorization": f"Bearer {llm.api_key}"}) as client:
        for name, said in ASKED.items():
            for stream in (False, True):
                body = {"model": llm.model, **said, **({"stream": True} if stream else {})}
                reply = await client.post(f"{llm.endpoint}/{DIALECTS[name].ROUTE}", json=body)
                whole = assembled(DIALECTS[name], body, reply.content) if stream else reply.json()
                heard[f"{name} {stream}"] = number({"status": reply.status_code, "body": whole})
            body = {"model": llm.model, "max_tokens": 40, "messages": [{"role": "user", "content": f"fail in {name}"}]}
            reply = await client.post(f"{llm.endpoint}/{DIALECTS[name].ROUTE}", json={**said, **body})
            heard[f"{name} failed"] = number({"status": reply.status_code, "body": reply.json()})
        reply = await client.post(f"{llm.endpoint}/embeddings", json={"model": llm.model, "input": ["a", "b"]})
        heard["embeddings"] = number(reply.json())
    return {"primary": 1.0, **heard}


def assembled(dialect, asked, content):
    """A stream as the answer that it is."""
    assembly = dialect.assembly(asked)
    for event in Events().feed(content):
        assembly.add(event)
    assert assembly.is_whole
    return {name: value for name, value in assembly.body().items() if value is not None}


def number(value):
    """What it says, as a number."""
    return float(int(hashlib.blake2b(json.dumps(value, sort_keys=True).encode(), digest_size=6).hexdigest(), 16))


def test_an_answer_is_the_same_in_every_dialect(record):
    """To the last field that the agent can see."""
    wish = ToolCall(id="call_1", name="look", arguments='{"at": "it"}')
    spoken = Answer(text="I look, and see: ÄÖÜ", tool_calls=(wish,), reasoning="hm")
    refusal = Refusal(status=500, code="tired", message="not today")

    def script(asked):
        if "fail" in str(asked.body):
            return refusal
        return spoken if "messages" in asked.body or "input" in asked.body else "words"

    recorded = record(polyglot, script)

    again = recorded.replay()

    assert again.departed is None
    assert again.is_same, sorted(set(again.then.rewards) ^ set(again.now.rewards))
    assert again.answered == 13
