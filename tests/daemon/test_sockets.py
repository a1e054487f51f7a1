"""Opening the UDP socket, and the sentence for each way in which it cannot be opened."""

import os
import socket
from typing import Any

import pytest

from bisikd import sockets
from bisikd.config import ListenAddress
from bisikd.sockets import BUFFER_BYTES, ListenError, open_udp_socket, passed_socket, primary_address, shown_address

LOCAL = ListenAddress(host="127.0.0.1", port=0)


def exchange(server: socket.socket, family: socket.AddressFamily, host: str) -> str:
    """Send a datagram from `host` to the server and return the sender as the server sees it."""
    server.setblocking(True)
    server.settimeout(10)
    with socket.socket(family, socket.SOCK_DGRAM) as client:
        client.sendto(b"hello", (host, server.getsockname()[1]))
        data, address = server.recvfrom(100)
    assert data == b"hello"
    return shown_address(address)


def test_without_a_host_both_families_are_served() -> None:
    """One socket takes IPv6 and IPv4 datagrams, and an IPv4 sender is shown as IPv4."""
    with open_udp_socket(ListenAddress(port=0)) as server:
        assert exchange(server, socket.AF_INET, "127.0.0.1").startswith("127.0.0.1:")
        if server.family == socket.AF_INET6:
            assert exchange(server, socket.AF_INET6, "::1").startswith("[::1]:")


def test_without_ipv6_the_machine_is_served_over_ipv4(monkeypatch: pytest.MonkeyPatch) -> None:
    """A kernel without IPv6 is no reason not to start."""
    real = socket.socket

    def without_ipv6(family: int, *arguments: object) -> socket.socket:
        if family == socket.AF_INET6:
            raise OSError(97, "Address family not supported by protocol")
        return real(family, *arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(socket, "socket", without_ipv6)
    with open_udp_socket(ListenAddress(port=0)) as server:
        assert server.family == socket.AF_INET


def test_a_host_and_port_zero_pick_a_free_port() -> None:
    """The socket is bound to the named address only, and does not block."""
    with open_udp_socket(LOCAL) as server:
        assert server.getsockname()[0] == "127.0.0.1"
        assert server.getsockname()[1] > 0
        assert not server.getblocking()


def test_a_port_in_use_is_said() -> None:
    """Two daemons cannot have one port, and the second one says so."""
    with open_udp_socket(LOCAL) as first:
        port = first.getsockname()[1]
        with pytest.raises(ListenError, match=f"Port {port} is in use already"):
            open_udp_socket(ListenAddress(host="127.0.0.1", port=port))


@pytest.mark.parametrize(
    ("listen", "sentence"),
    [
        (ListenAddress(host="192.0.2.1", port=0), "is not an address of this machine"),
        (ListenAddress(host="no-such-host.invalid", port=0), "no address is known by that name"),
    ],
)
def test_an_impossible_address_is_said(listen: ListenAddress, sentence: str) -> None:
    """Another machine's address, or a name without one."""
    with pytest.raises(ListenError, match=sentence):
        open_udp_socket(listen)


@pytest.mark.parametrize(
    ("address", "text"),
    [
        (("127.0.0.1", 5), "127.0.0.1:5"),
        (("::1", 5, 0, 0), "[::1]:5"),
        (("::ffff:192.0.2.7", 5, 0, 0), "192.0.2.7:5"),
        (("localhost", 5), "localhost:5"),
    ],
)
def test_addresses_are_shown_as_people_write_them(address: tuple[object, ...], text: str) -> None:
    """Brackets around IPv6, and nothing of how IPv4 is mapped into it."""
    assert shown_address(address) == text


def test_the_primary_address_never_fails() -> None:
    """Even a machine without a network gets an invite, if only one for itself."""
    assert primary_address()


def test_no_socket_was_passed_in() -> None:
    """LISTEN_FDS that are meant for another process are not ours."""
    assert passed_socket({}) is None
    assert passed_socket({"LISTEN_PID": str(os.getpid() + 1), "LISTEN_FDS": "1"}) is None


@pytest.mark.parametrize("kind", [socket.SOCK_DGRAM, socket.SOCK_STREAM])
def test_a_socket_that_systemd_passed_is_used(monkeypatch: pytest.MonkeyPatch, kind: socket.SocketKind) -> None:
    """The first passed descriptor of the process that LISTEN_PID names, if it is a UDP socket."""
    passed = {"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "1"}
    with socket.socket(socket.AF_INET, kind) as sock:
        sock.bind(("127.0.0.1", 0))
        descriptor = os.dup(sock.fileno())
        monkeypatch.setattr("bisikd.sockets.FIRST_PASSED_DESCRIPTOR", descriptor)
        if kind == socket.SOCK_STREAM:
            with pytest.raises(ListenError, match="not a UDP socket"):
                passed_socket(passed)
            return
        ours = passed_socket(passed)
        assert ours is not None
        with ours:
            assert ours.getsockname() == sock.getsockname()
            assert not os.get_inheritable(descriptor)
            assert not ours.getblocking()


def test_buffers_that_systemd_made_larger_than_we_may_stay_large() -> None:
    """The kernel would cut what an ordinary process asks for to its own limit."""
    asked: list[int] = []

    class Generous(socket.socket):
        """A socket that got all it was given."""

        def getsockopt(self, *arguments: Any) -> Any:
            return 2 * BUFFER_BYTES

        def setsockopt(self, *arguments: Any) -> None:
            asked.append(arguments[1])

    with Generous(socket.AF_INET, socket.SOCK_DGRAM) as sock:
        sockets._prepared(sock)
    assert asked == []


def test_two_passed_sockets_are_too_many() -> None:
    """The daemon serves one socket; a unit that lists two is a mistake that is said."""
    with pytest.raises(ListenError, match="exactly one socket"):
        passed_socket({"LISTEN_PID": str(os.getpid()), "LISTEN_FDS": "2"})
