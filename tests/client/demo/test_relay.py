"""The relay between the demo's clients and its daemon: bad weather both ways, many clients, a server that dies."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio
import trio.testing

from bisik.demo.relay import MAX_UNDER_WAY, Relay, Way
from bisik.demo.weather import Conditions

FINE = Conditions(delay_s=0.0, jitter_s=0.0, loss=0.0, duplicate=0.0, corrupt=0.0, hold_back=0.0)
PATIENCE_S = 20.0


class Far:
    """The far end of one way, in place of a socket: what arrived there."""

    def __init__(self) -> None:
        self.arrived: list[tuple[bytes, Any]] = []
        self.gone = False

    async def send(self, datagram: bytes) -> None:
        await self.sendto(datagram, None)

    async def sendto(self, datagram: bytes, address: Any) -> None:
        if self.gone:
            raise ConnectionRefusedError
        self.arrived.append((datagram, address))


async def carry(way: Way, far: Far, count: int, target: Any = None) -> None:
    """Let `count` datagrams go that way at once, and wait until the weather has done with them."""
    async with trio.open_nursery() as nursery:
        for n in range(count):
            way.carry(b"%d" % n, far, target, nursery)  # type: ignore[arg-type]


async def test_what_is_not_lost_arrives(autojump_clock: trio.testing.MockClock) -> None:
    """Every datagram is lost or delivered, and the counts say which."""
    way, far = Way(Conditions(duplicate=0.0), "seed"), Far()
    await carry(way, far, 1000)
    assert way.counts["offered"] == 1000
    assert way.counts["delivered"] == len(far.arrived) == 1000 - way.counts["lost"]
    assert 250 < way.counts["lost"] < 350


async def test_overtaking_is_counted_where_it_happened(autojump_clock: trio.testing.MockClock) -> None:
    """The count of overtaken datagrams is of arrivals behind a later one, not of intentions."""
    way, far = Way(Conditions(loss=0.0, duplicate=0.0, corrupt=0.0), "seed"), Far()
    await carry(way, far, 200)
    numbers = [int(datagram) for datagram, _ in far.arrived]
    assert sorted(numbers) == list(range(200))
    assert (
        way.counts["overtaken"] == sum(number < max(numbers[:n], default=0) for n, number in enumerate(numbers)) > 0
    )


async def test_on_the_way_down_the_client_is_named(autojump_clock: trio.testing.MockClock) -> None:
    """The front socket serves all clients, so each datagram goes to its client's address."""
    way, far = Way(FINE, "seed"), Far()
    await carry(way, far, 1, target=("127.0.0.1", 5))
    assert far.arrived == [(b"0", ("127.0.0.1", 5))]


async def test_a_server_that_is_gone_swallows_datagrams(autojump_clock: trio.testing.MockClock) -> None:
    """A refused datagram is counted and ends nothing."""
    way, far = Way(FINE, "seed"), Far()
    far.gone = True
    await carry(way, far, 3)
    far.gone = False
    await carry(way, far, 1)
    assert far.arrived == [(b"0", None)]
    assert way.counts["refused"] == 3


async def test_datagrams_under_way_are_bounded(autojump_clock: trio.testing.MockClock) -> None:
    """A flood is lost above the bound and does not fill the memory."""
    way, far = Way(FINE, "seed"), Far()
    await carry(way, far, MAX_UNDER_WAY + 10)
    assert len(far.arrived) == MAX_UNDER_WAY
    assert way.counts["lost"] == 10


class Echo:
    """A server that echoes, on loopback."""

    def __init__(self, port: int = 0) -> None:
        self.socket = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._port = port
        self.clients: set[Any] = set()

    async def run(self, *, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
        with self.socket:
            await self.socket.bind(("127.0.0.1", self._port))
            task_status.started(self.socket.getsockname())
            while True:
                datagram, client = await self.socket.recvfrom(65_535)
                self.clients.add(client)
                await self.socket.sendto(b"echo " + datagram, client)


@asynccontextmanager
async def client_of(address: Any) -> AsyncIterator[trio.socket.SocketType]:
    with trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        await sock.connect(address)
        yield sock


async def ask(sock: trio.socket.SocketType, question: bytes) -> bytes:
    """Ask until there is an answer."""
    with trio.fail_after(PATIENCE_S):
        while True:
            await sock.send(question)
            with trio.move_on_after(0.5):
                return await sock.recv(65_535)


@asynccontextmanager
async def relayed() -> AsyncIterator[tuple[Echo, Any, trio.Nursery, Callable[[], None]]]:
    """An echoing server behind a relay; the last of the four stops the server."""
    async with trio.open_nursery() as nursery:
        echo = Echo()
        stopping = trio.CancelScope()

        async def serve(*, task_status: trio.TaskStatus[Any] = trio.TASK_STATUS_IGNORED) -> None:
            with stopping:
                await echo.run(task_status=task_status)

        server = await nursery.start(serve)
        address = await nursery.start(Relay(server, conditions=FINE).run)
        yield echo, address, nursery, stopping.cancel
        nursery.cancel_scope.cancel()


async def test_a_relay_carries_both_ways() -> None:
    """What a client sends to the relay reaches the server, and the answer reaches the client."""
    async with relayed() as (_, address, _, _), client_of(address) as client:
        assert await ask(client, b"halo") == b"echo halo"


async def test_each_client_is_an_address_of_its_own_to_the_server() -> None:
    """Two clients are two peers, and neither hears the other's answers."""
    async with relayed() as (echo, address, _, _), client_of(address) as one, client_of(address) as two:
        assert await ask(one, b"1") == b"echo 1"
        assert await ask(two, b"2") == b"echo 2"
        assert await ask(one, b"3") == b"echo 3"
        assert len(echo.clients) == 2


async def test_a_server_that_comes_back_on_its_port_is_served_again() -> None:
    """The relay outlives a server that is killed and started again, on the same sockets."""
    async with relayed() as (echo, address, nursery, stop), client_of(address) as client:
        assert await ask(client, b"before") == b"echo before"
        port = echo.socket.getsockname()[1]
        stop()
        await trio.testing.wait_all_tasks_blocked()
        await client.send(b"into the void")
        await nursery.start(Echo(port).run)
        assert await ask(client, b"after") in (b"echo after", b"echo into the void")
