"""The network in a replay: this machine, and no further, whatever code of the process asks."""

import asyncio
import itertools
import socket
import threading
import urllib.request
from concurrent.futures import ThreadPoolExecutor

import httpx
import pytest

from agl_core import testing
from agl_core.errors import NetworkDenied
from agl_core.replay.network import allowed, no_network

ELSEWHERE = "192.0.2.1"  # RFC 5737: nobody's, ever
NAMED = "model.invalid"  # RFC 2606: nobody's name


@pytest.fixture
def listener():
    """A port of this machine that answers."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        yield server.getsockname()[1]


def _connect(host, port=443):
    with socket.create_connection((host, port), timeout=1):
        pass


def _datagram(host):
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        one.sendto(b"hello", (host, 9))


def _connect_ex(host):
    with socket.socket() as one:
        one.connect_ex((host, 443))


def _awaited(host):
    async def connect():
        await asyncio.wait_for(asyncio.open_connection(host, 443), 1)

    asyncio.run(connect())


def _look_up(host):
    async def look_up():
        await asyncio.get_running_loop().getaddrinfo(host, 443)

    asyncio.run(look_up())


def _http(host):
    httpx.get(f"http://{host}/v1", trust_env=False, timeout=1)


def _urllib(host):
    urllib.request.build_opener(urllib.request.ProxyHandler({})).open(f"http://{host}/", timeout=1)


def _http_async(host):
    async def get():
        async with httpx.AsyncClient(trust_env=False, timeout=1) as client:
            await client.get(f"http://{host}/v1")

    asyncio.run(get())


WAYS = [
    _connect,
    _awaited,
    _http_async,
    _http,
    _urllib,
]


@pytest.mark.parametrize(
    ("way", "host"),
    [*itertools.product(WAYS, [ELSEWHERE, NAMED]), (_datagram, ELSEWHERE), (_connect_ex, ELSEWHERE), (_look_up, NAMED)],
)
def test_nothing_reaches_another_machine_in_whichever_way(way, host):
    """By number or by name, blocking or awaited: the name is not even looked up, and the error says where to."""
    with no_network() as denied, pytest.raises((NetworkDenied, ExceptionGroup)) as raised:
        way(host)

    assert isinstance(_cause(raised.value), NetworkDenied)
    assert denied.addresses[0].startswith(host)


def _cause(error):
    """The error, or the only one of its group: that is how anyio tells it."""
    return _cause(error.exceptions[0]) if isinstance(error, ExceptionGroup) else error


@pytest.mark.parametrize("look_up", [socket.gethostbyname, socket.gethostbyaddr])
def test_no_name_is_looked_up(look_up):
    """That goes out, too."""
    with no_network(), pytest.raises(NetworkDenied, match=NAMED):
        look_up(NAMED)


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", b"127.0.0.1", None], ids=repr)
def test_this_machine_stays_in_reach(listener, host):
    """The gateway of a replay is there."""
    with no_network() as denied:
        _connect(host, listener)

    assert denied.addresses == ()


def test_a_socket_of_a_file_stays_in_reach(tmp_path):
    """A tool may speak to a server on this machine through one."""
    with no_network(), socket.socket(socket.AF_UNIX) as server, socket.socket(socket.AF_UNIX) as client:
        server.bind(str(tmp_path / "s"))
        server.listen()
        client.connect(str(tmp_path / "s"))


def test_threads_are_held_too():
    """Those that began before, as well as those of a pool."""
    gate, raised = threading.Event(), []

    def go():
        gate.wait(30)
        try:
            _connect(ELSEWHERE)
        except NetworkDenied as error:
            raised.append(error)

    before = threading.Thread(target=go)
    before.start()
    with no_network(), ThreadPoolExecutor(1) as pool:
        pool.submit(go)
        gate.set()
        before.join()
    assert [error.address for error in raised] == [f"{ELSEWHERE}:443"] * 2


def test_it_ends_with_the_block():
    """A second one may be within the first, and ends with its own."""
    with no_network():
        with no_network():
            assert not _goes_out()
        assert not _goes_out()
    assert _goes_out()


def test_what_is_allowed_goes_out():
    """And only that: a fork's gateway asks a live model while the agent's code is held."""

    async def live():
        return _goes_out()

    async def story():
        with no_network():
            with allowed():
                inside = asyncio.create_task(live())
            return await asyncio.gather(inside, live())

    assert asyncio.run(story()) == [True, False]


def _goes_out():
    """Whether a datagram's socket may be given an address elsewhere; nothing is sent."""
    with socket.socket(type=socket.SOCK_DGRAM) as one:
        try:
            one.connect((ELSEWHERE, 9))
        except NetworkDenied:
            return False
        except OSError:
            return True  # it was let out, and there is no way
        return True


def test_what_was_denied_is_remembered_once_whatever_the_code_made_of_it():
    """A library may swallow the error, and a report can still name what it wanted."""
    with no_network() as denied:
        for _ in range(2):
            with pytest.raises(NetworkDenied):
                _connect(NAMED, 80)

    assert denied.addresses == (f"{NAMED}:80",)


def test_tests_of_others_can_deny_the_network_too():
    """It is among what tests stand on."""
    assert testing.no_network is no_network
