"""The endpoint's task: one non-blocking UDP socket, one timer, and nothing of the chat.

Datagrams go to the endpoint where they arrive, in a bounded loop, without a task switch each (measured: 1.7 us
against 7.2 through trio's own recvfrom). Everything runs in one thread, so any task may call the endpoint and its
connections directly and then `flush()`, which sends what is due and re-arms the timer.
"""

import errno
import math
import socket
from collections import Counter
from collections.abc import Callable
from typing import Any, Final, Protocol

import trio

Address = tuple[Any, ...]

MAX_RECEIVE_BYTES: Final = 2048  # above any datagram of this protocol; what is longer is cut, and fails to open
MAX_DATAGRAMS_A_WAKE: Final = 256  # then the other tasks have a turn

# A room of a hundred answers each message with a hundred acknowledgements within a few milliseconds. Waking up costs
# more than taking one, so where they come singly they are left to gather; the first after a rest never waits.
# What this saves most of is what strangers cost who knock steadily, too slowly to fill a wake (make soak-flood).
GATHER_S: Final = 0.003
GATHERED_DATAGRAMS: Final = 16


class Endpoint(Protocol):
    """The sans-IO side: `bisik_protocol.transport.ServerEndpoint`, or a test's fake."""

    def receive_datagram(self, data: bytes, address: Address, now: float) -> None: ...
    def handle_timeout(self, now: float) -> None: ...
    def next_timeout(self) -> float | None: ...
    def datagrams_to_send(self, now: float) -> list[tuple[bytes, Address]]: ...


class UdpDriver:
    """Moves datagrams between a socket and an endpoint. `on_events` is called whenever the endpoint may have events.

    `datagrams_taken` counts those that went all the way: handed in, their events told, what was due sent.
    `counters` says what went wrong on the socket, by errno: `send-ENETUNREACH`, `receive-ECONNREFUSED`, ... A UDP
    datagram that cannot be sent is a lost datagram, which the protocol above expects; nothing here is fatal.
    """

    def __init__(self, sock: socket.socket, endpoint: Endpoint, on_events: Callable[[], None]) -> None:
        sock.setblocking(False)
        self.counters: Counter[str] = Counter()
        self.datagrams_taken = 0
        self._socket = sock
        self._endpoint = endpoint
        self._on_events = on_events
        self._timer = trio.CancelScope()
        self._probe: bytes | None = None
        self._probe_seen = False
        self._probe_done = trio.Event()

    def expect(self, probe: bytes) -> trio.Event:
        """Keep datagrams that are `probe` from the endpoint; the event says that one went the way that all go."""
        self._probe, self._probe_done = probe, trio.Event()
        return self._probe_done

    def flush(self) -> None:
        """Send all that the endpoint wants sent now, and arm the timer for when it wants to be called again."""
        send = self._socket.sendto
        for data, address in self._endpoint.datagrams_to_send(trio.current_time()):
            try:
                send(data, address)
            except OSError as error:
                self._count("send", error)
        self._arm()

    async def run(self) -> None:
        """Serve until cancelled. The socket stays open: who opened it closes it."""
        while True:
            with trio.CancelScope() as self._timer:
                self._arm()
                await trio.lowlevel.wait_readable(self._socket)
            woken_at = now = trio.current_time()
            taken = self._receive()
            deadline = self._endpoint.next_timeout()
            if deadline is not None and deadline <= now:
                self._endpoint.handle_timeout(now)
            self._on_events()
            self.flush()
            self.datagrams_taken += taken
            if self._probe_seen:
                self._probe_seen = False
                self._probe_done.set()
            if taken < GATHERED_DATAGRAMS:
                await trio.sleep_until(woken_at + GATHER_S)

    def _arm(self) -> None:
        deadline = self._endpoint.next_timeout()
        if deadline is None:
            deadline = math.inf
        if deadline != self._timer.deadline:
            self._timer.deadline = deadline

    def _receive(self) -> int:
        """How many datagrams there were."""
        receive, deliver = self._socket.recvfrom, self._endpoint.receive_datagram
        now = trio.current_time()
        for taken in range(MAX_DATAGRAMS_A_WAKE):
            try:
                data, address = receive(MAX_RECEIVE_BYTES)
            except BlockingIOError:
                return taken
            except OSError as error:
                self._count("receive", error)
                return taken
            if data == self._probe:
                self._probe_seen = True
            else:
                deliver(data, address, now)
        return MAX_DATAGRAMS_A_WAKE

    def _count(self, direction: str, error: OSError) -> None:
        self.counters[f"{direction}-{errno.errorcode.get(error.errno or 0, 'OSError')}"] += 1
