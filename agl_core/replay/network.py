"""In a replay, code of this process reaches this machine only: what wants further out is refused, and remembered."""

from __future__ import annotations

import ipaddress
import socket
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

from agl_core.errors import NetworkDenied

__all__ = ["Denied", "allowed", "no_network"]

_LOCAL = {getattr(socket, name) for name in ("AF_UNIX", "AF_NETLINK", "AF_ALG") if hasattr(socket, name)}
"""Families of sockets that reach this machine only."""
_INTERNET = {socket.AF_INET, socket.AF_INET6}
_allowed: ContextVar[bool] = ContextVar("agl_network_allowed", default=False)


class Denied:
    """What wanted out, in the order it did."""

    def __init__(self) -> None:
        self._addresses: dict[str, None] = {}

    @property
    def addresses(self) -> tuple[str, ...]:
        """Each `host:port`, or name that was looked up, once."""
        return tuple(self._addresses)

    def add(self, address: str) -> None:
        """One more."""
        self._addresses[address] = None


@contextmanager
def no_network() -> Iterator[Denied]:
    """While it is entered, `NetworkDenied` for all that wants to reach another machine, or to look up its name.

    For the whole process: every thread, every loop. Loopback and sockets of files are open, and so stays a connection
    that was made before. It cannot see a program that this one starts, nor a library that speaks to the network
    without Python's own sockets (uvloop, gRPC, a database's client in C).
    """
    denied = Denied()
    _GATE.shut(denied)
    try:
        yield denied
    finally:
        _GATE.open(denied)


@contextmanager
def allowed() -> Iterator[None]:
    """Code inside may go out, and what it starts: the gateway of a fork asks a model that is live."""
    token = _allowed.set(True)
    try:
        yield
    finally:
        _allowed.reset(token)


class _Gate:
    """Python takes no audit hook back: one is installed when it is first needed, and looks away when none is."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._is_installed = False
        self._shut: tuple[Denied, ...] = ()

    def shut(self, denied: Denied) -> None:
        with self._lock:
            self._shut = (*self._shut, denied)
            if not self._is_installed:
                sys.addaudithook(self._look)
                self._is_installed = True

    def open(self, denied: Denied) -> None:
        with self._lock:
            self._shut = tuple(one for one in self._shut if one is not denied)

    def _look(self, event: str, arguments: tuple[Any, ...]) -> None:
        # First what is cheap: it is asked of every import, every file and every call of a C function's.
        if not self._shut or not event.startswith("socket.") or _allowed.get():
            return
        address = _outside(event, arguments)
        if address is None:
            return
        for denied in self._shut:
            denied.add(address)
        if event == "socket.connect":
            # Who connects clears up after errors of the system only, and this one is none, so that it is not retried.
            arguments[0].close()
        raise NetworkDenied(address)


_GATE = _Gate()


def _outside(event: str, arguments: tuple[Any, ...]) -> str | None:
    """The address on another machine that is to be reached; None where it is none."""
    match event, arguments:
        case "socket.connect" | "socket.sendto" | "socket.sendmsg", (opened, address):
            return _reached(opened.family, address)
        case "socket.getaddrinfo", (host, port, *_):
            return None if _is_here(host) or _is_number(host) else _written(host, port)
        case "socket.gethostbyname" | "socket.gethostbyaddr", (host,):
            return None if _is_here(host) else _written(host)
        case "socket.getnameinfo", ((host, *_),):
            return None if _is_here(host) else _written(host)
    return None


def _reached(family: int, address: Any) -> str | None:
    # No address: the socket was connected, and that was looked at.
    if address is None or family in _LOCAL:
        return None
    if family in _INTERNET and isinstance(address, tuple) and len(address) > 1:
        return None if _is_here(address[0]) else _written(*address[:2])
    return str(address)


def _is_here(host: Any) -> bool:
    name = _text(host)
    if name in {"", "localhost"} or name.endswith(".localhost") or name == socket.gethostname().lower():
        return True
    try:
        number = ipaddress.ip_address(name)
    except ValueError:
        return False
    mapped = getattr(number, "ipv4_mapped", None) or number
    return mapped.is_loopback or mapped.is_unspecified


def _is_number(host: Any) -> bool:
    """Whether nothing has to be looked up."""
    try:
        ipaddress.ip_address(_text(host))
    except ValueError:
        return False
    return True


def _written(host: Any, port: Any = None) -> str:
    return _text(host) if port is None else f"{_text(host)}:{_text(port)}"


def _text(value: Any) -> str:
    if value is None:
        return ""
    text = value.decode(errors="replace") if isinstance(value, bytes | bytearray) else str(value)
    return text.rstrip(".").lower()
