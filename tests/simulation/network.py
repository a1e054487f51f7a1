"""The internet between the members and the daemon, in Trio's virtual time: sockets, hosts behind NATs, bad links.

A client's host has a link up and a link down, with the conditions of `tests.support.simnet`. What a socket sends
leaves from the host's public address, which may change at any time; what is on its way to an old address is lost.
The server's host has no link of its own. Everything is decided by the seed.

It also holds the daemon to the law of amplification: to an address that has not shown it can receive, never more than
three times what came from there.
"""

import errno
import random
import socket
from collections import Counter, deque
from collections.abc import Callable
from contextvars import ContextVar
from dataclasses import dataclass, field
from functools import partial
from typing import Any, NamedTuple, Self

import trio
from outcome import Error

from tests.simulation.clock import VirtualTime
from tests.simulation.trace import Trace
from tests.support.simnet import Conditions, Link

Address = tuple[Any, ...]

SERVER_ADDRESS = ("192.0.2.1", 9999)
RECEIVE_BUFFER = 400  # datagrams that a socket holds for a program that is busy
AMPLIFICATION = 3
ENOUGH_DATAGRAMS = 8_000  # four times what a usual run needs: then the network heals
MAX_DATAGRAMS = 100_000


@dataclass(eq=False)
class Process:
    """A program that may be killed: then nothing of it reaches the network or a disk any more."""

    name: str
    host: "Host | None" = None  # None: the server's
    alive: bool = True

    @property
    def frozen(self) -> bool:
        return self.host is not None and self.host.asleep


current_process: ContextVar[Process] = ContextVar("current_process")


@dataclass(eq=False)
class Host:
    """A member's machine and its way to the internet."""

    name: str
    number: int
    up: Link
    down: Link
    asleep: bool = False
    offline: bool = False  # has no network at all
    moves: int = 0
    slept_s: float = 0.0
    wall_offset_s: float = 0.0
    ports: dict["VirtualSocket", int] = field(default_factory=dict)  # public ones
    next_port: int = 20_000
    public_moves: int = 0

    @property
    def local_ip(self) -> str:
        return f"10.{self.number}.0.{self.moves}"

    @property
    def public_ip(self) -> str:
        return f"198.51.{self.number}.{self.moves + self.public_moves}"

    def public_address(self, sock: "VirtualSocket") -> Address:
        """Where this socket's datagrams come from, as others see it."""
        if sock not in self.ports:
            self.next_port += 1
            self.ports[sock] = self.next_port
        return (self.public_ip, self.ports[sock])

    def rebind_ports(self) -> None:
        """The NAT forgets its mappings."""
        self.ports.clear()

    def rebind_address(self) -> None:
        """The provider gives the NAT another address."""
        self.public_moves += 1
        self.ports.clear()

    def roam(self) -> None:
        """Another network: what the old sockets were bound to is gone."""
        self.moves += 1
        self.ports.clear()


class Seen(NamedTuple):
    """A datagram as somebody on the way sees it. `proof`: addresses that its sender had been reached at before."""

    upward: bool
    source: Address
    target: Address
    data: bytes
    proof: tuple[Address, ...]


class VirtualSocket:
    """As much of a UDP socket as the programs use."""

    def __init__(self, network: "Network", process: Process, local: Address) -> None:
        self._network = network
        self.process = process
        self.host = process.host
        self.local = local
        self.closed = False
        self.reached: list[Address] = []  # addresses at which this socket received something from the daemon
        self._inbox: deque[tuple[bytes, Address]] = deque()
        self._refused = False
        self._reader: trio.lowlevel.Task | None = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    family = socket.AF_INET

    def setblocking(self, flag: bool) -> None:
        assert not flag

    def setsockopt(self, level: int, option: int, value: int) -> None:
        """This network never cuts a datagram into fragments."""

    def getsockname(self) -> Address:
        return self.local

    def close(self) -> None:
        self.closed = True
        if self.host is not None:
            self.host.ports.pop(self, None)
        self._network.forget(self)

    def send(self, data: bytes) -> int:
        """To the server: clients' sockets are connected."""
        self._raise_refusal()
        self._network.send_up(self, data)
        return len(data)

    def sendto(self, data: bytes, address: Address) -> int:
        self._network.send_down(self, data, address)
        return len(data)

    def recv(self, size: int) -> bytes:
        return self.recvfrom(size)[0]

    def recvfrom(self, size: int) -> tuple[bytes, Address]:
        self._raise_refusal()
        if not self._inbox:
            raise BlockingIOError
        data, source = self._inbox.popleft()
        return data[:size], source

    def _raise_refusal(self) -> None:
        if self._refused:
            self._refused = False
            raise ConnectionRefusedError(errno.ECONNREFUSED, "Connection refused")

    # The network's side

    def deliver(self, data: bytes, source: Address) -> bool:
        if self.closed or not self.process.alive or len(self._inbox) >= RECEIVE_BUFFER:
            return False
        self._inbox.append((data, source))
        self._wake()
        return True

    def refuse(self) -> None:
        """An ICMP message says that nobody listens at the other end."""
        self._refused = True
        self._wake()

    def _wake(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader)

    # Trio's side

    async def wait_readable(self) -> None:
        if self.closed:
            raise trio.ClosedResourceError
        if self._inbox or self._refused:
            await trio.lowlevel.checkpoint()
            return
        assert self._reader is None, "one task reads a socket"
        self._reader = trio.lowlevel.current_task()
        await trio.lowlevel.wait_task_rescheduled(self._abort)

    def _abort(self, _: object) -> trio.lowlevel.Abort:
        self._reader = None
        return trio.lowlevel.Abort.SUCCEEDED

    def notify_closing(self) -> None:
        if self._reader is not None:
            reader, self._reader = self._reader, None
            trio.lowlevel.reschedule(reader, Error(trio.ClosedResourceError()))


class Network:
    """Carries datagrams. `tap` sees each of them as it is sent; `divert` may take one that goes up away."""

    max_datagrams: float = MAX_DATAGRAMS

    def __init__(self, rng: random.Random, trace: Trace, time: VirtualTime) -> None:
        self.rng = rng
        self.at = time.at
        self.counts: Counter[str] = Counter()
        self.enough = trio.Event()
        """So much was said that a seed has had its share of computing."""
        self._carried = 0
        self.tap: Callable[[Seen], None] | None = None
        self.divert: Callable[[Seen], bool] | None = None
        self.hosts: list[Host] = []
        self._trace = trace
        self._server: VirtualSocket | None = None
        self._owners: dict[Address, VirtualSocket] = {}
        self._sockets = 0
        self._received: Counter[Address] = Counter()  # by the daemon, from addresses that have proved nothing
        self._sent: Counter[Address] = Counter()
        self._proved: set[Address] = set()

    # Hosts and sockets ---------------------------------------------------------------------------------------------

    def add_host(self, name: str) -> Host:
        """A machine with perfect links; put conditions into them."""
        up, down = (Link(Conditions(delay=0.02), random.Random(self.rng.random())) for _ in range(2))
        host = Host(name, len(self.hosts) + 1, up, down)
        self.hosts.append(host)
        return host

    def open_socket(self) -> VirtualSocket:
        """A connected socket of the process that asks. Raises OSError while its machine has no network."""
        process = current_process.get()
        host = process.host
        assert host is not None
        if host.offline:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        self._sockets += 1
        return VirtualSocket(self, process, (host.local_ip, 40_000 + self._sockets))

    def bind_server(self, process: Process) -> VirtualSocket:
        self._server = VirtualSocket(self, process, SERVER_ADDRESS)
        return self._server

    def forget(self, sock: VirtualSocket) -> None:
        if self._server is sock:
            self._server = None

    # Carrying ------------------------------------------------------------------------------------------------------

    def send_up(self, sock: VirtualSocket, data: bytes) -> None:
        host = sock.host
        assert host is not None
        if not sock.process.alive or sock.closed:
            return
        if host.offline or sock.local[0] != host.local_ip:
            raise OSError(errno.ENETUNREACH, "Network is unreachable")
        source = host.public_address(sock)
        self._owners[source] = sock
        seen = Seen(True, source, SERVER_ADDRESS, data, tuple(sock.reached))
        if self.tap is not None:
            self.tap(seen)
        if self.divert is not None and self.divert(seen):
            self._trace.note("up", host.name, len(data), "diverted")
            return
        self._carry(host.up, "up", host.name, data, lambda arriving: self.arrive_up(seen._replace(data=arriving)))

    def send_down(self, sock: VirtualSocket, data: bytes, target: Address) -> None:
        if not sock.process.alive or sock.closed:
            return
        self._check_amplification(target, len(data))
        if self.tap is not None:
            self.tap(Seen(False, SERVER_ADDRESS, target, data, ()))
        owner = self._owners.get(target)
        if owner is None or owner.host is None:
            self._trace.note("down", target, len(data), "to nobody")
            return
        self._carry(
            owner.host.down, "down", owner.host.name, data, lambda arriving: self._arrive_down(target, arriving)
        )

    def _carry(self, link: Link, direction: str, name: str, data: bytes, arrive: Callable[[bytes], None]) -> None:
        now = trio.current_time()
        copies = link.carry(data, now)
        self.counts[direction] += 1
        self._carried += 1
        if self._carried == ENOUGH_DATAGRAMS:
            self.enough.set()
        elif self._carried > self.max_datagrams:
            raise self._trace.violation(f"{self.max_datagrams} datagrams, and no end")
        if not copies:
            self.counts["lost"] += 1
        self._trace.note(direction, name, len(data), *(round(at - now, 4) for at, _ in copies))
        for at, arriving in copies:
            self.at(at, partial(arrive, arriving))

    def arrive_up(self, seen: Seen) -> None:
        """A datagram comes to the daemon's host, from whomever."""
        sock = self._server
        if sock is None or not sock.process.alive:
            self._answer_for_nobody(seen.source)
            return
        if sock.deliver(seen.data, seen.source):
            self._proved.update(seen.proof)
            if seen.source not in self._proved:
                self._received[seen.source] += len(seen.data)
        else:
            self._trace.note("up", "dropped: the daemon's socket is full")

    def _arrive_down(self, target: Address, data: bytes) -> None:
        sock = self._owners.get(target)
        if sock is None or sock.host is None or sock.host.asleep or sock.host.offline:
            return
        if sock.host.ports.get(sock) != target[1] or sock.host.public_ip != target[0]:
            return  # the mapping is gone
        if sock.deliver(data, SERVER_ADDRESS) and target not in sock.reached:
            sock.reached.append(target)

    def deliver_down(self, target: Address, data: bytes) -> None:
        """A datagram that claims to be the daemon's comes to a member."""
        self._arrive_down(target, data)

    def _answer_for_nobody(self, source: Address) -> None:
        sock = self._owners.get(source)
        if sock is None or sock.host is None or self.rng.random() < 0.5:
            return  # many networks say nothing

        def refuse() -> None:
            if not sock.closed and sock.process.alive and not sock.process.frozen:
                sock.refuse()

        self.at(trio.current_time() + sock.host.down.conditions.delay, refuse)

    def _check_amplification(self, target: Address, size: int) -> None:
        if target in self._proved:
            return
        self._sent[target] += size
        if self._sent[target] > AMPLIFICATION * self._received[target]:
            raise self._trace.violation(
                f"amplification: {self._sent[target]} bytes to {target}, which sent {self._received[target]} and has"
                " not shown that it receives anything"
            )
