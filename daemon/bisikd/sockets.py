"""Opening the daemon's UDP socket, or saying in a sentence why it cannot be opened. Knows no protocol."""

import errno
import os
import socket
import sys
from collections.abc import Mapping
from typing import Any, Final

from bisikd.config import ListenAddress
from bisikd.errors import BisikdError

BUFFER_BYTES: Final = 4 * 1024 * 1024  # rides out a moment of a busy loop; the kernel cuts it to what it allows
FIRST_PASSED_DESCRIPTOR: Final = 3  # sd_listen_fds(3)

_NO_IPV6 = (errno.EAFNOSUPPORT, errno.EADDRNOTAVAIL, errno.EPROTONOSUPPORT)


class ListenError(BisikdError):
    """The socket cannot be opened; says why."""


def open_udp_socket(listen: ListenAddress) -> socket.socket:
    """A bound, non-blocking socket: dual-stack where `listen` names no host and the machine has IPv6.

    Raises ListenError.
    """
    if listen.host is None:
        try:
            return _bind(socket.AF_INET6, ("::", listen.port), listen, v6_only=False)
        except OSError as error:
            if error.errno not in _NO_IPV6:
                raise ListenError(_sentence(error, listen)) from None
            family, address = socket.AF_INET, ("0.0.0.0", listen.port)  # noqa: S104 # all addresses is the wish here
    else:
        family, address = _resolve(listen)
    try:
        return _bind(family, address, listen, v6_only=listen.host != "::")
    except OSError as error:
        raise ListenError(_sentence(error, listen)) from None


def passed_socket(environment: Mapping[str, str] = os.environ) -> socket.socket | None:
    """The UDP socket that systemd's bisikd.socket passed to this process, or None (sd_listen_fds(3))."""
    if environment.get("LISTEN_PID") != str(os.getpid()):
        return None
    if environment.get("LISTEN_FDS") != "1":
        raise ListenError("bisikd.socket has to pass exactly one socket: one ListenDatagram line.")
    sock = socket.socket(fileno=FIRST_PASSED_DESCRIPTOR)
    if sock.type != socket.SOCK_DGRAM:
        sock.close()
        raise ListenError("The socket that was passed in is not a UDP socket: use ListenDatagram, not ListenStream.")
    os.set_inheritable(FIRST_PASSED_DESCRIPTOR, False)
    return _prepared(sock)


def own_addresses(sock: socket.socket) -> list[tuple[Any, ...]]:
    """Where a datagram for this bound socket can be sent to from the socket itself, the likeliest first."""
    host, port = sock.getsockname()[:2]
    if sock.family == socket.AF_INET6:
        if host != "::":
            return [sock.getsockname()]
        return [("::1", port), ("::ffff:127.0.0.1", port)]
    return [("127.0.0.1" if host == "0.0.0.0" else host, port)]  # noqa: S104 # compared with, not listened on


def shown_address(address: tuple[Any, ...]) -> str:
    """HOST:PORT as people and programs write it: brackets around IPv6, IPv4 without its mapping into IPv6."""
    host, port = str(address[0]), address[1]
    if host.startswith("::ffff:") and "." in host:
        host = host[len("::ffff:") :]
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"


def primary_address() -> str:
    """The address this machine uses towards the world, for invites; `127.0.0.1` when it has none. Sends nothing."""
    for family, far in ((socket.AF_INET, "192.0.2.1"), (socket.AF_INET6, "2001:db8::1")):
        try:
            with socket.socket(family, socket.SOCK_DGRAM) as sock:
                sock.connect((far, 9))  # for UDP this only asks the routing table
                return str(sock.getsockname()[0])
        except OSError:
            continue
    return "127.0.0.1"


def _resolve(listen: ListenAddress) -> tuple[socket.AddressFamily, tuple[Any, ...]]:
    try:
        found = socket.getaddrinfo(listen.host, listen.port, type=socket.SOCK_DGRAM, flags=socket.AI_PASSIVE)
    except (OSError, UnicodeError):
        raise ListenError(f"Cannot listen on {listen.host!r}: no address is known by that name.") from None
    family, _, _, _, address = found[0]
    return family, address


def _bind(
    family: socket.AddressFamily, address: tuple[Any, ...], listen: ListenAddress, *, v6_only: bool
) -> socket.socket:
    sock = socket.socket(family, socket.SOCK_DGRAM)
    try:
        if family == socket.AF_INET6:
            sock.setsockopt(socket.IPPROTO_IPV6, socket.IPV6_V6ONLY, int(v6_only))
        sock.bind(address)
        return _prepared(sock)
    except BaseException:
        sock.close()
        raise


def forbid_fragments(sock: socket.socket) -> bool:
    """Let a datagram that is too large for its path be lost instead of cut; whether the system can do that."""
    if sys.platform != "linux":
        return False
    # linux/in.h and linux/in6.h: IP_MTU_DISCOVER and IPV6_MTU_DISCOVER, set to PMTUDISC_PROBE.
    sock.setsockopt(socket.IPPROTO_IP, 10, 3)  # an IPv6 socket may speak IPv4 too
    if sock.family == socket.AF_INET6:
        sock.setsockopt(socket.IPPROTO_IPV6, 23, 3)
    return True


def _prepared(sock: socket.socket) -> socket.socket:
    sock.setblocking(False)
    for option in (socket.SO_RCVBUF, socket.SO_SNDBUF):
        # systemd, as root, may have gone beyond what the kernel allows us: asking again would take that back.
        if sock.getsockopt(socket.SOL_SOCKET, option) < BUFFER_BYTES:
            sock.setsockopt(socket.SOL_SOCKET, option, BUFFER_BYTES)
    return sock


def _sentence(error: OSError, listen: ListenAddress) -> str:
    where = shown_address((listen.host or "::", listen.port))
    match error.errno:
        case errno.EADDRINUSE:
            return f"Port {listen.port} is in use already: is another bisikd running? Choose another with --listen."
        case errno.EACCES | errno.EPERM:
            return f"Not allowed to listen on port {listen.port}: choose one above 1023, or give the permission."
        case errno.EADDRNOTAVAIL:
            return f"Cannot listen on {where}: that is not an address of this machine."
        case _:
            return f"Cannot listen on {where}: {error.strerror or error}."
