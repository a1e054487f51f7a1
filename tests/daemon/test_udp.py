"""The endpoint's task: datagrams in, datagrams out, a timer, and errors of the socket that end nothing."""

import socket
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager, contextmanager
from typing import Any

import trio
import trio.testing

from bisikd.config import ListenAddress
from bisikd.sockets import open_udp_socket
from bisikd.udp import GATHER_S, MAX_DATAGRAMS_A_WAKE, UdpDriver


class FakeEndpoint:
    """Echoes each datagram, and wants to be called at `deadline`."""

    def __init__(self) -> None:
        self.received: list[bytes] = []
        self.to_send: list[tuple[bytes, Any]] = []
        self.deadline: float | None = None
        self.timeouts: list[float] = []

    def receive_datagram(self, data: bytes, address: Any, now: float) -> None:
        self.received.append(data)
        self.to_send.append((b"echo " + data, address))

    def handle_timeout(self, now: float) -> None:
        self.timeouts.append(now)
        self.deadline = None

    def next_timeout(self) -> float | None:
        return self.deadline

    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Any]]:
        datagrams, self.to_send = self.to_send, []
        return datagrams


class Driven:
    """A driver that runs on a socket of its own, a client to talk to it, and how often it told of events."""

    def __init__(self, sock: socket.socket, client: trio.socket.SocketType) -> None:
        self.socket = sock
        self.client = client
        self.endpoint = FakeEndpoint()
        self.turns = 0
        self.on_turn: Callable[[], None] = lambda: None
        self.driver = UdpDriver(sock, self.endpoint, self._on_events)

    def _on_events(self) -> None:
        self.turns += 1
        self.on_turn()

    async def send(self, data: bytes) -> None:
        await self.client.sendto(data, self.socket.getsockname())

    async def receive(self) -> bytes:
        with trio.fail_after(10):
            return await self.client.recv(4096)


@contextmanager
def sockets() -> Iterator[tuple[socket.socket, trio.socket.SocketType]]:
    with open_udp_socket(ListenAddress(host="127.0.0.1", port=0)) as sock:
        client = trio.socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        with client:
            yield sock, client


@asynccontextmanager
async def driven() -> AsyncIterator[Driven]:
    with sockets() as (sock, client):
        it = Driven(sock, client)
        await client.bind(("127.0.0.1", 0))
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.driver.run)
            yield it
            nursery.cancel_scope.cancel()


async def test_a_datagram_is_handed_in_and_its_answer_sent() -> None:
    """One turn: what arrived goes in, events are told, what is due goes out."""
    async with driven() as it:
        await it.send(b"one")
        assert await it.receive() == b"echo one"
        assert it.turns >= 1


async def test_many_datagrams_are_taken_in_bounded_turns() -> None:
    """More than one turn's bound arrives whole; the other tasks have their turn in between."""
    with sockets() as (sock, client):
        it = Driven(sock, client)
        await client.bind(("127.0.0.1", 0))
        for number in range(MAX_DATAGRAMS_A_WAKE + 50):
            await it.send(b"%d" % number)
        finished = trio.Event()
        it.on_turn = lambda: finished.set() if len(it.endpoint.received) > MAX_DATAGRAMS_A_WAKE else None
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.driver.run)
            with trio.fail_after(10):
                await finished.wait()
            nursery.cancel_scope.cancel()
        assert it.endpoint.received[:2] == [b"0", b"1"]
        assert it.turns >= 2


async def test_datagrams_that_come_singly_are_left_to_gather(mock_clock: trio.testing.MockClock) -> None:
    """The first after a rest is taken at once; those right behind it are taken together, in one turn."""
    async with driven() as it:
        await it.send(b"first")
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (it.endpoint.received, it.turns) == ([b"first"], 1)
        for number in range(5):
            await it.send(b"%d" % number)
            await trio.testing.wait_all_tasks_blocked(0.01)
        assert it.turns == 1
        mock_clock.jump(GATHER_S)
        await trio.testing.wait_all_tasks_blocked(0.01)
        assert (len(it.endpoint.received), it.turns) == (6, 2)


async def test_the_timer_fires_when_the_endpoint_wants_it(autojump_clock: trio.testing.MockClock) -> None:
    """A deadline that another task caused is armed by its flush, and met."""
    async with driven() as it:
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        it.endpoint.deadline = start + 5.0
        it.driver.flush()
        await trio.sleep(6.0)
        assert it.endpoint.timeouts == [start + 5.0]


async def test_a_deadline_may_move_either_way(autojump_clock: trio.testing.MockClock) -> None:
    """A flush re-arms: earlier, later, or not at all."""
    async with driven() as it:
        await trio.testing.wait_all_tasks_blocked()
        start = trio.current_time()
        for deadline in (start + 5.0, start + 9.0, None, start + 2.0):
            it.endpoint.deadline = deadline
            it.driver.flush()
        await trio.sleep(20.0)
        assert it.endpoint.timeouts == [start + 2.0]


async def test_another_task_sends_by_flushing() -> None:
    """What a task queued goes out in its own call, without waking the endpoint's task."""
    async with driven() as it:
        await trio.testing.wait_all_tasks_blocked()
        it.endpoint.to_send.append((b"news", it.client.getsockname()))
        it.driver.flush()
        assert await it.receive() == b"news"


async def test_what_cannot_be_sent_is_counted_and_the_rest_goes_out() -> None:
    """An unreachable network, a bad address, a full buffer: one lost datagram each, for UDP loses datagrams."""
    async with driven() as it:
        await trio.testing.wait_all_tasks_blocked()
        it.endpoint.to_send += [
            (b"x" * 70_000, it.client.getsockname()),
            (b"nowhere", ("255.255.255.255", 9)),
            (b"fine", it.client.getsockname()),
        ]
        it.driver.flush()
        assert await it.receive() == b"fine"
        assert it.driver.counters["send-EMSGSIZE"] == 1
        assert sum(it.driver.counters.values()) == 2


async def test_an_error_on_receiving_is_counted_and_the_next_datagram_taken() -> None:
    """Some systems report a peer's closed port on the next receive; it concerns nobody else."""
    with sockets() as (sock, client):
        await client.bind(("127.0.0.1", 0))
        it = Driven(sock, client)
        errors = [ConnectionRefusedError(111, "Connection refused")]
        real = sock.recvfrom

        class Flaky:
            """The socket, whose first receive fails."""

            def __getattr__(self, name: str) -> Any:
                return getattr(sock, name)

            def recvfrom(self, size: int) -> Any:
                if errors:
                    raise errors.pop()
                return real(size)

        it.driver = UdpDriver(Flaky(), it.endpoint, it._on_events)  # type: ignore[arg-type]
        await it.send(b"one")
        async with trio.open_nursery() as nursery:
            nursery.start_soon(it.driver.run)
            assert await it.receive() == b"echo one"
            nursery.cancel_scope.cancel()
        assert it.driver.counters == {"receive-ECONNREFUSED": 1}
