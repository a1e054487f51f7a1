"""Drives many sans-IO clients from one Trio task: a UDP socket each, one epoll, one heap of deadlines.

The same loop moves aioquic's connections and ours, so that what differs in a table is not the load generator.
"""

import math
import select
import socket
from collections.abc import Iterable
from typing import Any, Final, Protocol

import trio

from bisik_protocol.transport.deadlines import Deadlines

Address = tuple[Any, ...]

MAX_RECEIVE_BYTES: Final = 2048
DATAGRAMS_A_WAKE: Final = 64
SOCKETS_A_WAKE: Final = 256
BUFFER_BYTES: Final = 256 * 1024


class Core(Protocol):
    """A client's connection without its I/O. Compared by identity."""

    def __hash__(self) -> int: ...

    def receive_datagram(self, datagram: bytes, now: float) -> None: ...
    def datagrams_to_send(self, now: float) -> Iterable[bytes]: ...
    def next_timeout(self) -> float | None: ...
    def handle_timeout(self, now: float) -> None: ...


class Fleet:
    """Add cores; `run` in a task. After calling a core's own methods, `flush` it."""

    def __init__(self) -> None:
        self._epoll = select.epoll()
        self._sockets: dict[Core, socket.socket] = {}
        self._cores: dict[int, Core] = {}
        self._deadlines: Deadlines[Core] = Deadlines()
        self._timer = trio.CancelScope()
        self._turn = trio.Event()

    def add(self, core: Core, address: Address) -> None:
        """Give the core a socket that is connected to `address`, and let it speak."""
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, BUFFER_BYTES)
        sock.connect(address)
        self._sockets[core] = sock
        self._cores[sock.fileno()] = core
        self._epoll.register(sock, select.EPOLLIN)
        self.flush(core)

    def remove(self, core: Core) -> None:
        """Close the core's socket; it hears and says nothing any more."""
        sock = self._sockets.pop(core, None)
        if sock is not None:
            self._epoll.unregister(sock)
            del self._cores[sock.fileno()]
            sock.close()
            self._deadlines.forget(core)

    def close(self) -> None:
        for core in list(self._sockets):
            self.remove(core)
        self._epoll.close()

    def flush(self, core: Core) -> None:
        """Send what the core wants sent now, and keep its deadline."""
        sock = self._sockets.get(core)
        if sock is None:
            return
        for datagram in core.datagrams_to_send(trio.current_time()):
            try:
                sock.send(datagram)
            except OSError:
                continue  # a lost datagram
        self._deadlines.arm(core, core.next_timeout())
        deadline = self._deadlines.next()
        self._timer.deadline = math.inf if deadline is None else deadline

    async def turn(self) -> None:
        """Return when something has happened."""
        await self._turn.wait()

    async def run(self) -> None:
        """Move datagrams until cancelled."""
        while True:
            deadline = self._deadlines.next()
            with trio.CancelScope(deadline=math.inf if deadline is None else deadline) as self._timer:
                await trio.lowlevel.wait_readable(self._epoll.fileno())
            for descriptor, _ in self._epoll.poll(0, SOCKETS_A_WAKE):
                core = self._cores.get(descriptor)
                if core is not None:
                    self._receive(core)
            now = trio.current_time()
            for core in self._deadlines.due(now):
                due = core.next_timeout()
                if due is not None and due <= now:
                    core.handle_timeout(now)
                self.flush(core)
            self._turn.set()
            self._turn = trio.Event()

    def _receive(self, core: Core) -> None:
        sock = self._sockets[core]
        now = trio.current_time()
        for _ in range(DATAGRAMS_A_WAKE):
            try:
                datagram = sock.recv(MAX_RECEIVE_BYTES)
            except OSError:  # nothing more, or nobody listens there
                break
            core.receive_datagram(datagram, now)
        self.flush(core)
