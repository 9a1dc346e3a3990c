"""Records what a real store of Agent Lightning v0.3 answers to `agl import agl-v0.3`, into answers.json beside it.

Four programs, because no two of them share an environment. In one with `agentlightning==0.3.0`, `openai==2.54.0`, and
OpenTelemetry 1.39.1 (with a later one its exporters find no `_endpoint`):

    python record.py store     # the store, and an agent under the default tracer; it starts `record.py proxy` itself

and in one of ours, `python record.py model` before it (the model writes its address to model.url), and
`python record.py answers` when the store has said that it is ready; `python record.py triplets` in theirs, when the
answers are there, keeps what their adapters make of the spans. LiteLLM wants
LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY=true for a proxy without a key.
"""

from __future__ import annotations

import asyncio
import json
import sys
from pathlib import Path
from typing import Any

HERE = Path(__file__).parent
PORT, PROXY_PORT = 14747, 14801
TOOL = {
    "type": "function",
    "function": {
        "name": "add",
        "description": "The sum of two numbers.",
        "parameters": {
            "type": "object",
            "properties": {"a": {"type": "integer"}, "b": {"type": "integer"}},
            "required": ["a", "b"],
        },
    },
}


def model() -> None:
    """Wishes for the tool, then says what it said; with token ids and log-probabilities, as vLLM has them."""
    from agl_core.events import ToolCall
    from agl_core.testing import Answer, ScriptedModel

    def answer(asked: Any) -> Answer:
        if any(message["role"] == "tool" for message in asked.body["messages"]):
            return Answer(text="It is 42.")
        return Answer(tool_calls=(ToolCall(id="call_1", name="add", arguments='{"a": 40, "b": 2}'),))

    with ScriptedModel(answer, owner="vllm") as served:
        Path("model.url").write_text(served.url)
        input("enter ends it")


def address() -> str:
    """Of the model."""
    return Path("model.url").read_text()


def solve(task: Any, llm: Any, rollout: Any) -> float:
    """The agent: two calls with a tool between them; through the proxy it does not ask for tokens itself."""
    import openai

    if task.get("bad"):
        raise RuntimeError("the agent fell over")
    is_proxied = task.get("proxy", False)
    client = openai.OpenAI(
        base_url=llm.get_base_url(rollout.rollout_id, rollout.attempt.attempt_id), api_key="sk-none", max_retries=0
    )
    more: dict[str, Any] = {} if is_proxied else {"extra_body": {"return_token_ids": True}, "logprobs": True}
    said: list[Any] = [
        {"role": "system", "content": "You add numbers."},
        {"role": "user", "content": task["q"]},
    ]
    tools: Any = [TOOL]
    asked = client.chat.completions.create(model=llm.model, messages=said, tools=tools, temperature=1.0, **more)
    said.append(asked.choices[0].message.model_dump(exclude_none=True))
    said.append({"role": "tool", "tool_call_id": "call_1", "content": "42"})
    client.chat.completions.create(model=llm.model, messages=said, tools=tools, temperature=1.0, **more)
    return 0.75 if is_proxied else 1.0


async def store() -> None:
    """A store that has seen every way a rollout can go."""
    import agentlightning as al
    from agentlightning.store.client_server import LightningStoreServer

    memory = al.InMemoryLightningStore(thread_safe=True)
    server = LightningStoreServer(memory, host="127.0.0.1", port=PORT)
    await server.start()
    await memory.add_resources(
        {
            "main_llm": al.LLM(endpoint=address(), model="policy", sampling_parameters={"temperature": 1.0}),
            "prompt": al.PromptTemplate(template="Add {a}", engine="f-string"),
        }
    )
    runner = al.LitAgentRunner(al.AgentOpsTracer())
    with runner.run_context(agent=al.rollout(solve), store=memory):
        await runner.step({"q": "How much is 40 + 2?"}, mode="train")
        try:
            await runner.step({"q": "?", "bad": True}, mode="train")
        except RuntimeError as error:
            print("raised:", error)
    await (await asyncio.create_subprocess_exec(sys.executable, __file__, "proxy")).wait()
    await memory.enqueue_rollout({"q": "waiting"}, mode="val")
    called_off = await memory.enqueue_rollout({"q": "called off"}, mode="val")
    await memory.update_rollout(called_off.rollout_id, status="cancelled")
    config = al.RolloutConfig(max_attempts=2, retry_condition=["failed"])
    twice = await memory.start_rollout({"q": "twice"}, mode="train", config=config, metadata={"who": "me"})
    await memory.update_attempt(twice.rollout_id, twice.attempt.attempt_id, status="failed")
    again = await memory.start_attempt(twice.rollout_id)
    await memory.update_attempt(twice.rollout_id, again.attempt.attempt_id, status="succeeded")
    print("ready:", await memory.statistics())
    await asyncio.to_thread(input, "enter ends it")
    await server.stop()


async def proxy() -> None:
    """A rollout whose calls go through the LLM proxy, in a process without the default tracer."""
    import agentlightning as al
    from agentlightning.llm_proxy import LLMProxy

    client = al.LightningStoreClient(f"http://127.0.0.1:{PORT}")
    behind = {"model": "hosted_vllm/policy", "api_base": address(), "api_key": "none"}
    served = LLMProxy(
        host="127.0.0.1", port=PROXY_PORT, model_list=[{"model_name": "policy", "litellm_params": behind}],
        store=client, launch_mode="thread", callbacks=["return_token_ids", "opentelemetry", "logprobs"],
    )  # fmt: skip
    await served.start()
    await client.add_resources({"main_llm": served.as_resource(model="policy")})
    runner = al.LitAgentRunner(al.OtelTracer())
    with runner.run_context(agent=al.rollout(solve), store=client):
        await runner.step({"q": "How much is 40 + 2?", "proxy": True}, mode="train")
    await asyncio.sleep(8)  # LiteLLM tells of its calls when it gets round to it
    await served.stop()
    await client.close()


def answers() -> None:
    """Import it, and keep what was answered."""
    import httpx

    from agl_core.importing import _v03_client, import_rows
    from agl_core.log import SqliteLog
    from agl_core.projections import CORE

    heard: dict[str, Any] = {}

    class Heard(httpx.HTTPTransport):
        def handle_request(self, request: httpx.Request) -> httpx.Response:
            answer = super().handle_request(request)
            answer.read()
            heard[request.url.raw_path.decode()] = {"status": answer.status_code, "body": answer.json()}
            return answer

    httpx.HTTPTransport = Heard  # type: ignore[misc]  # what clients are made with from here on
    httpx._client.HTTPTransport = Heard
    _v03_client._PAGE = 3
    with SqliteLog(":memory:", projections=CORE) as log:
        print(import_rows(log, "agl-v0.3", f"http://127.0.0.1:{PORT}"))
    (HERE / "answers.json").write_text(json.dumps(heard, indent=0, sort_keys=True))


def triplets() -> None:
    """What v0.3's own adapters make of those spans: token ids, reward and log-probabilities of each call."""
    from agentlightning.adapter.triplet import LlmProxyTraceToTriplet, TracerTraceToTriplet
    from agentlightning.types import Span

    spans: dict[str, list[Any]] = {}
    for path, answer in json.loads((HERE / "answers.json").read_text()).items():
        for said in answer["body"]["items"] if path.startswith("/v1/agl/spans") else ():
            spans.setdefault(said["rollout_id"], []).append(Span.model_validate(said))
    made = {}
    for rollout_id, some in spans.items():
        some.sort(key=lambda span: span.sequence_id)
        rows = TracerTraceToTriplet().adapt(some) or LlmProxyTraceToTriplet().adapt(some)
        made[rollout_id] = [
            {
                "prompt": row.prompt["token_ids"],
                "response": row.response["token_ids"],
                "reward": row.reward,
                "logprobs": [one["logprob"] for one in row.response.get("logprobs", ())],
            }
            for row in rows
        ]
    (HERE / "triplets.json").write_text(json.dumps(made))


if __name__ == "__main__":
    done = {"model": model, "store": store, "proxy": proxy, "answers": answers, "triplets": triplets}[sys.argv[1]]()
    if done is not None:
        asyncio.run(done)
