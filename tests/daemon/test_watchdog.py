"""The watchdog is fed by datagrams that were taken, and by nothing else where they can be."""

import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import pytest
import trio
import trio.testing

from bisikd.config import ListenAddress
from bisikd.sockets import open_udp_socket
from bisikd.udp import UdpDriver
from bisikd.watchdog import Watchdog


class Quiet:
    """An endpoint that notes what it is given and wants nothing."""

    def __init__(self) -> None:
        self.received: list[bytes] = []

    def receive_datagram(self, data: bytes, address: Any, now: float) -> None:
        self.received.append(data)

    def handle_timeout(self, now: float) -> None: ...

    def next_timeout(self) -> float | None:
        return None

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        return []


class Manager:
    """Counts what a service manager would hear."""

    def __init__(self) -> None:
        self.fed = 0

    def watchdog(self) -> bool:
        self.fed += 1
        return True


class Deaf:
    """The socket, but what it sends goes nowhere."""

    def __init__(self, sock: socket.socket) -> None:
        self._socket = sock

    def __getattr__(self, name: str) -> Any:
        return getattr(self._socket, name)

    def sendto(self, data: bytes, address: Any) -> int:
        return len(data)


class Watched:
    """A driver on a socket, and a watchdog over it, which hears nothing of itself once `deaf`."""

    def __init__(self, sock: socket.socket) -> None:
        self.socket = sock
        self.endpoint = Quiet()
        self.manager = Manager()
        self.driver = UdpDriver(sock, self.endpoint, lambda: None)
        self.watchdog = Watchdog(sock, self.driver, self.manager)  # type: ignore[arg-type]
        self.driving = trio.CancelScope()

    async def drive(self) -> None:
        with self.driving:
            await self.driver.run()

    def make_deaf(self) -> None:
        self.watchdog._socket = Deaf(self.socket)  # type: ignore[assignment]


@asynccontextmanager
async def watched(host: str | None = "127.0.0.1") -> AsyncIterator[tuple[Watched, Callable[[], None]]]:
    with open_udp_socket(ListenAddress(host=host, port=0)) as sock:
        it = Watched(sock)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.drive)
            yield it, lambda: nursery.start_soon(it.watchdog.run, 2.0)
            nursery.cancel_scope.cancel()


@pytest.mark.parametrize("host", ["127.0.0.1", "0.0.0.0", None])  # noqa: S104
async def test_a_datagram_to_itself_comes_back_and_the_endpoint_never_sees_it(host: str | None) -> None:
    """On one address or on all, IPv6 or not, by the socket that is being served."""
    async with watched(host) as (it, _):
        assert await it.watchdog.find_way()
        assert it.endpoint.received == []
        assert it.driver.datagrams_taken == 1


async def test_it_is_fed_while_datagrams_are_taken(autojump_clock: trio.testing.MockClock) -> None:
    """Twice in each interval on a socket where nothing else happens."""
    async with watched() as (it, start):
        assert await it.watchdog.find_way()
        start()
        await trio.sleep(10.5)
        assert it.manager.fed == 11


async def test_it_starves_when_the_receive_loop_hangs_though_the_event_loop_turns(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """That is what the manager has to hear of."""
    async with watched() as (it, start):
        assert await it.watchdog.find_way()
        it.driving.cancel()
        await trio.testing.wait_all_tasks_blocked()
        start()
        await trio.sleep(60)
        assert it.manager.fed == 0


async def test_a_flood_that_drowns_the_probes_feeds_it(autojump_clock: trio.testing.MockClock) -> None:
    """The probe is lost in a full queue; that others were taken shows as much."""
    async with watched() as (it, start):
        assert await it.watchdog.find_way()
        it.make_deaf()
        start()
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as stranger:
            for number in range(10):
                stranger.sendto(b"flood %d" % number, it.socket.getsockname())
                await trio.sleep(2.0)
        fed = it.manager.fed
        assert fed >= 4
        await trio.sleep(60)
        assert it.manager.fed <= fed + 1  # and when the flood is over, nothing does


async def test_where_nothing_comes_back_from_the_start_the_event_loop_feeds_it(
    autojump_clock: trio.testing.MockClock,
) -> None:
    """A firewall on the loopback interface must not make the daemon restart for ever."""
    async with watched() as (it, start):
        it.make_deaf()
        assert not await it.watchdog.find_way()
        start()
        await trio.sleep(10.5)
        assert it.manager.fed == 11
