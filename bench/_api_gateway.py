"""Agent Lightning 1.0's server, in its own environment, before the model that `bench/proxy.py` measures with."""

import asyncio
import os
import socket
import sys

import httpx
import uvicorn
from agentlightning.server.app import create_app

MODES = {"model_name": "policy", "include_log_probs": True, "train": {"temperature": 1.0}, "val": {"temperature": 0.7}}


async def main(upstream: str) -> None:
    """Serve, say where, and end when nobody holds the other end of stdin."""
    told, sys.stdout = sys.stdout, sys.stderr  # it prints
    app = create_app({"key": "", "default_proxy": MODES})
    config = uvicorn.Config(app, workers=1, timeout_keep_alive=120, log_level="warning")
    # TCP by name: asyncio turns Nagle's algorithm off only then, and with it every answer would take 40 ms more.
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()  # who asks before it is served waits
    serving = asyncio.create_task(uvicorn.Server(config).serve(sockets=[listener]))
    base = f"http://127.0.0.1:{listener.getsockname()[1]}"
    async with httpx.AsyncClient(base_url=f"{base}/api") as client:
        await client.post("/models", json=[{"model": "policy", "endpoint": f"{upstream}/v1"}])
        (rollout,) = (await client.post("/rollouts", json=[{"input": {"question": "6*7"}}])).json()
    path = f"proxy/rollout/{rollout['rollout_id']}/attempt/0/mode/train/openai"
    told.write(f"{base}/{path} none\n")
    told.flush()
    await asyncio.to_thread(sys.stdin.read)
    serving.cancel()
    os._exit(0)  # its threads end with nobody


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1]))
