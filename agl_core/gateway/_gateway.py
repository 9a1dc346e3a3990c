"""The gateway as others hold it: a thread with its own event loop, so that an agent that blocks blocks only itself."""

from __future__ import annotations

import asyncio
import errno
import math
import socket
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import Future
from threading import Thread
from types import MappingProxyType
from typing import Any

import uvicorn

from agl_core.clock import Clock, System
from agl_core.engine import Endpoint, refuse_strange
from agl_core.errors import BadValue, EngineFailed, PortBusy
from agl_core.events import Role
from agl_core.gateway._app import App
from agl_core.gateway._calling import Calling
from agl_core.gateway._lanes import Lanes, Target
from agl_core.gateway._ledger import Ledger
from agl_core.gateway._ports import Admissions, Facts, Memory, Recording
from agl_core.gateway._providers import authorization
from agl_core.gateway._upstream import Upstream
from agl_core.wire import DIALECTS

__all__ = ["Gateway"]

_GRACE = 1
"""Seconds that calls under way have when the gateway stops; then they are cut off, and recorded as that."""


class Gateway:
    """Model calls of agents, attributed by URL, recorded before they are answered.

    An agent asks `{base}/rollout/{rollout_id}/attempt/{attempt_id}/v1`. Every method may be called from any thread
    and any event loop.
    """

    def __init__(
        self,
        recorder: Recording,
        admissions: Admissions,
        *,
        host: str = "127.0.0.1",
        port: int = 0,
        clock: Clock | None = None,
        timeout: float = 600.0,
        max_body: int = 32 << 20,
        backoff: Sequence[float] = (0.05, 0.1, 0.2, 0.4),
        overrides: Mapping[str, Mapping[str, Any]] = MappingProxyType({}),
        log: Facts | None = None,
        ledger: Ledger | None = None,
        memory: Memory | None = None,
    ) -> None:
        """`log` keeps the spans and events that agents send here; without one, only their calls are taken.

        `overrides`: mode (`train`, `val`, `test`) to sampling that its calls get, whatever the agent asks for. `ledger`
        says how much may be asked; without one, any amount. `memory` is asked before any model is.
        """
        self._host, self._port = host, port
        self._loop: asyncio.AbstractEventLoop | None = None
        self._stopping = asyncio.Event()
        self._finished: Future[None] | None = None
        self._url = ""
        clock = clock or System()
        self._lanes = Lanes(self._wake)
        self._upstream = Upstream(timeout=timeout, backoff=backoff)
        self._ledger = ledger or Ledger()
        calling = Calling(
            recorder.for_coroutines(),
            self._lanes,
            self._upstream,
            clock=clock,
            overrides=overrides,
            ledger=self._ledger,
            memory=memory,
        )
        self._app = App(calling, self._lanes, admissions, clock=clock, max_body=max_body, facts=log, memory=memory)

    async def start(self) -> str:
        """Listen, and give the base URL; `PortBusy` when somebody else has the port."""
        if self._finished is None:
            listener = self._bind()
            started: Future[str] = Future()
            self._finished = Future()
            Thread(target=self._live, args=(listener, started, self._finished), name="agl-gateway", daemon=True).start()
            self._url = await asyncio.wrap_future(started)
        return self._url

    def register(
        self,
        endpoint: Endpoint,
        *,
        role: Role = "policy",
        version: int = 0,
        weight: float = 1.0,
        beside: bool = False,
    ) -> None:
        """Send calls for `endpoint.model` there from now on; those on their way to an older place end there.

        With `beside`, it shares them with the places the model has: rollouts in proportion to their weights, each
        always to the same place while that is there.
        """
        refuse_strange(endpoint.url)
        if not endpoint.dialects or not DIALECTS.keys() >= set(endpoint.dialects):
            known = ", ".join(sorted(DIALECTS))
            raise BadValue("endpoint.dialects", endpoint.dialects, why=f"it speaks one or more of {known}")
        if not 0 < weight < math.inf:
            raise BadValue("weight", weight, why="it is a number above 0")
        self._ledger.serve(endpoint)
        headers = authorization(endpoint)
        target = Target(endpoint=endpoint, role=role, version=version, headers=headers, weight=weight)
        self._lanes.put(target, beside=beside)

    def remove(self, model: str) -> None:
        """Serve `model` no more; who waits for it is told so."""
        self._lanes.drop(model)

    async def pause(self, model: str, timeout: float | None) -> int:
        """Hold new calls back and wait for those under way, at most `timeout` seconds; how many still run."""
        if self._loop is None:
            return await self._lanes.close(model, timeout)
        closing = asyncio.run_coroutine_threadsafe(self._lanes.close(model, timeout), self._loop)
        return await asyncio.wrap_future(closing)

    def resume(self, model: str, version: int | None = None) -> None:
        """Let calls through again; `version` is what the endpoint speaks with from now on."""
        self._lanes.open(model, version)

    def in_flight(self, model: str) -> int:
        """Calls on their way to the model at this moment; those that wait are not among them."""
        return self._lanes.running(model)

    async def stop(self) -> None:
        """Hang up. Calls under way have a second to end; harmless when it is called twice."""
        if self._finished is not None:
            self._wake(self._stopping.set)
            await asyncio.wrap_future(self._finished)

    def _wake(self, what: Callable[[], None]) -> None:
        if self._loop is not None and not self._loop.is_closed():
            self._loop.call_soon_threadsafe(what)

    def _bind(self) -> socket.socket:
        family = socket.AF_INET6 if ":" in self._host else socket.AF_INET
        # TCP by name: asyncio turns Nagle's algorithm off only then, and with it every answer takes 40 ms more.
        listener = socket.socket(family, socket.SOCK_STREAM, socket.IPPROTO_TCP)
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind((self._host, self._port))
        except OSError as error:
            listener.close()
            if error.errno == errno.EADDRINUSE:
                raise PortBusy(self._host, self._port) from None
            raise EngineFailed(f"http://{self._host}:{self._port}", why=str(error)) from None
        return listener

    def _live(self, listener: socket.socket, started: Future[str], finished: Future[None]) -> None:
        try:
            asyncio.run(self._serve(listener, started))
        except BaseException as error:
            if not started.done():
                started.set_exception(error)
            finished.set_exception(error)
            raise
        finished.set_result(None)

    async def _serve(self, listener: socket.socket, started: Future[str]) -> None:
        self._loop = asyncio.get_running_loop()
        await self._upstream.open()
        config = uvicorn.Config(
            self._app,
            http="httptools",
            ws="none",
            lifespan="off",
            log_config=None,
            access_log=False,
            proxy_headers=False,
            server_header=False,
            date_header=False,
            timeout_keep_alive=75,  # longer than clients keep idle connections, so that they hang up, not we
            timeout_graceful_shutdown=_GRACE,
        )
        # Server.serve() would poll for its end ten times a second; here an event says when.
        config.load()
        server = uvicorn.Server(config)
        server.lifespan = config.lifespan_class(config)
        await server.startup(sockets=[listener])
        host, port = listener.getsockname()[:2]
        started.set_result(f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}")
        await self._stopping.wait()
        self._ledger.close()  # whoever waits for it would be waited for
        await server.shutdown(sockets=[listener])
        await asyncio.sleep(0)
        # Accepted while the listener closed, or not done in time: nobody else would hang up.
        for connection in tuple(server.server_state.connections):
            connection.transport.abort()
        await self._upstream.close()
