"""A line: one UDP socket and the endpoint that speaks through it, and finding addresses to open lines to.

It moves datagrams and keeps the timer; what is said on the connection is not its matter. A datagram that cannot be
sent is a lost datagram, which the transport expects. The socket is connected, so that the system tells when nobody
listens at the other end, and it can be replaced under a connection that lives on.
"""

import math
import os
import socket
import sys
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, replace
from itertools import chain, zip_longest
from typing import Final

import trio

from bisik.errors import Unreachable
from bisik.i18n import _
from bisik_protocol.randomness import RandomSource
from bisik_protocol.transport.addresses import Address
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.config import CLIENT_CONFIG
from bisik_protocol.wire.packets import MIN_DATAGRAM_BYTES

MAX_RECEIVE_BYTES: Final = 2048
MAX_DATAGRAMS_A_WAKE: Final = 64


@dataclass(frozen=True, slots=True)
class Target:
    """One address of a server."""

    family: socket.AddressFamily
    address: Address


async def resolve(host: str, port: int) -> list[Target]:
    """All addresses of a host, families taking turns (RFC 8305 section 4). Raises Unreachable."""
    try:
        found = await trio.socket.getaddrinfo(host, port, type=socket.SOCK_DGRAM)
    except (OSError, UnicodeError) as error:
        why = error.strerror if isinstance(error, OSError) and error.strerror else _("not a name")
        raise Unreachable(
            _("{host} cannot be found ({why}). Is it spelt right, and is there a network?").format(host=host, why=why)
        ) from None
    targets = list(dict.fromkeys(Target(family, address) for family, *_rest, address in found))
    first = [target for target in targets if target.family == targets[0].family]
    others = [target for target in targets if target.family != targets[0].family]
    return [target for target in chain(*zip_longest(first, others)) if target is not None]


class Line:
    """`on_events` is called whenever the endpoint or its connection may have events."""

    def __init__(
        self,
        target: Target,
        fingerprint: bytes | None,
        *,
        random: RandomSource = os.urandom,
    ) -> None:
        """Raises OSError where there is no way to the address at all."""
        self.target = target
        self.refusals = 0
        """How often the system said that nobody listens there."""
        self.unsendable = 0
        """How many datagrams in a row could not be sent."""
        self.on_events: Callable[[], None] = lambda: None
        self._socket = _open_socket(target)
        self._timer = trio.CancelScope()
        config = CLIENT_CONFIG
        if not _forbid_fragments(self._socket):
            config = replace(config, max_datagram_bytes=MIN_DATAGRAM_BYTES)
        now = trio.current_time()
        self.endpoint = ClientEndpoint(target.address, fingerprint, random=random, now=now, config=config)

    def close(self) -> None:
        """Close the socket. The connection is not told."""
        trio.lowlevel.notify_closing(self._socket)
        self._socket.close()

    def flush(self) -> None:
        """Send all that the endpoint wants sent now, and arm the timer."""
        for datagram, _address in self.endpoint.datagrams_to_send(trio.current_time()):
            try:
                self._socket.send(datagram)
                self.unsendable = 0
            except (ConnectionRefusedError, ConnectionResetError):
                self.refusals += 1
            except OSError:
                self.unsendable += 1
        deadline = self.endpoint.next_timeout()
        self._timer.deadline = math.inf if deadline is None else deadline

    async def run(self) -> None:
        """Move datagrams until cancelled, or until the endpoint has finished."""
        self.flush()
        while not self.endpoint.finished:
            deadline = self.endpoint.next_timeout()
            self._timer = trio.CancelScope(deadline=math.inf if deadline is None else deadline)
            with self._timer, suppress(trio.ClosedResourceError):  # `reopen` puts another socket in its place
                await trio.lowlevel.wait_readable(self._socket)
            await trio.lowlevel.checkpoint_if_cancelled()
            self._receive()
            now = trio.current_time()
            deadline = self.endpoint.next_timeout()
            if deadline is not None and deadline <= now:
                self.endpoint.handle_timeout(now)
            self.on_events()
            self.flush()

    def reopen(self) -> None:
        """The network is another one: speak through a new socket, and find out at once what the way is like."""
        with suppress(OSError):  # no way at all now: keep the old one until there is
            replacement = _open_socket(self.target)
            _forbid_fragments(replacement)
            self.close()
            self._socket = replacement
            self.unsendable = 0
        self.wake()

    def wake(self) -> None:
        """Time or place may have changed: do not wait for timers."""
        self.endpoint.network_changed(trio.current_time())
        self.flush()

    def moved(self) -> bool:
        """Whether the system would now send from another local address than this line does."""
        try:
            with _open_socket(self.target) as probe:
                return bool(probe.getsockname()[0] != self._socket.getsockname()[0])
        except OSError:
            return False  # no network: there is nothing to move to

    def _receive(self) -> None:
        now = trio.current_time()
        for _turn in range(MAX_DATAGRAMS_A_WAKE):
            try:
                datagram = self._socket.recv(MAX_RECEIVE_BYTES)
            except BlockingIOError:
                return
            except (ConnectionRefusedError, ConnectionResetError):
                self.refusals += 1
                return
            except OSError:
                return
            self.endpoint.receive_datagram(datagram, self.target.address, now)


def _open_socket(target: Target) -> socket.socket:
    sock = socket.socket(target.family, socket.SOCK_DGRAM)
    try:
        sock.setblocking(False)
        sock.connect(target.address)
    except BaseException:
        sock.close()
        raise
    return sock


def _forbid_fragments(sock: socket.socket) -> bool:
    """Let a datagram that is too large for the path be lost instead of cut; whether the system can do that."""
    if sys.platform != "linux":
        return False
    # linux/in.h and linux/in6.h: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, set to PMTUDISC_PROBE.
    level, option = (socket.IPPROTO_IPV6, 23) if sock.family == socket.AF_INET6 else (socket.IPPROTO_IP, 10)
    sock.setsockopt(level, option, 3)
    return True
