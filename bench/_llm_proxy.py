"""Agent Lightning's proxy, in its own environment, before the model that `bench/proxy.py` measures with."""

import asyncio
import os
import socket
import sys

os.environ["LITELLM_DANGEROUSLY_PERMIT_WEAK_OR_UNSET_MASTER_KEY"] = (
    "true"  # its newest litellm starts without a key only so
)

from agentlightning.llm_proxy import LLMProxy
from agentlightning.store.memory import InMemoryLightningStore


async def main(upstream: str) -> None:
    """Serve, say where, and end when nobody holds the other end of stdin."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    store = InMemoryLightningStore(thread_safe=True)
    rollout = await store.start_rollout(input={"question": "6*7"})
    parameters = {"model": "hosted_vllm/policy", "api_base": f"{upstream}/v1", "api_key": "none"}
    proxy = LLMProxy(
        port=port,
        model_list=[{"model_name": "policy", "litellm_params": parameters}],
        store=store,
        launch_mode="thread",
    )
    told, sys.stdout = sys.stdout, sys.stderr  # it prints
    await proxy.start()
    told.write(f"http://127.0.0.1:{port}/rollout/{rollout.rollout_id}/attempt/{rollout.attempt.attempt_id} none\n")
    told.flush()
    await asyncio.to_thread(sys.stdin.read)
    os._exit(0)  # its threads end with nobody


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
