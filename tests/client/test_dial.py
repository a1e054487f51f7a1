"""Reaching a server: all addresses, one after the other, the right identity, and a sentence when it fails."""

import socket
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import pytest
import trio

from bisik import dial as dialling
from bisik.dial import dial, identify
from bisik.errors import IdentityMismatch, Unreachable
from bisik.line import Line, Target, resolve
from bisik_protocol.crypto.identity import fingerprint_groups
from tests.client.loopback import open_server
from tests.support.keys import server_identity

V4, V6 = socket.AF_INET, socket.AF_INET6
FINGERPRINT = server_identity(0).fingerprint


def has_ipv6() -> bool:
    try:
        with socket.socket(V6, socket.SOCK_DGRAM) as sock:
            sock.bind(("::1", 0))
    except OSError:
        return False
    return True


def resolves_to(monkeypatch: pytest.MonkeyPatch, *targets: tuple[socket.AddressFamily, tuple[Any, ...]]) -> None:
    """Every host name has these addresses."""

    async def getaddrinfo(*_: object, **__: object) -> list[tuple[Any, ...]]:
        return [(family, socket.SOCK_DGRAM, 17, "", address) for family, address in targets]

    monkeypatch.setattr(trio.socket, "getaddrinfo", getaddrinfo)


@contextmanager
def black_hole() -> Iterator[int]:
    """A port that takes everything and says nothing."""
    with socket.socket(V4, socket.SOCK_DGRAM) as sock:
        sock.bind(("127.0.0.1", 0))
        yield sock.getsockname()[1]


class TestResolve:
    async def test_families_take_turns(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Whatever the system put first stays first; repeats are dropped."""
        v6 = [("2001:db8::1", 9, 0, 0), ("2001:db8::2", 9, 0, 0), ("2001:db8::3", 9, 0, 0)]
        v4 = [("192.0.2.1", 9)]
        found = [(V6, address) for address in v6] + [(V4, v4[0]), (V4, v4[0])]
        resolves_to(monkeypatch, *found)
        assert await resolve("host", 9) == [
            Target(V6, v6[0]),
            Target(V4, v4[0]),
            Target(V6, v6[1]),
            Target(V6, v6[2]),
        ]

    @pytest.mark.parametrize("host", ["no-such-host.invalid", "x" * 64 + ".example", "..", "\udcff"])
    async def test_a_host_that_is_not_there_is_a_sentence(self, host: str) -> None:
        """A misspelt one, and one that cannot even be asked for."""
        with pytest.raises(Unreachable, match="cannot be found"):
            await resolve(host, 9)


class TestDial:
    async def test_the_right_server_is_connected_to(self) -> None:
        """And the line goes on living."""
        async with open_server() as server:
            line = await dial("127.0.0.1", server.port, server.fingerprint, timeout_s=10)
            assert line.endpoint.connection is not None
            line.close()

    async def test_who_is_called_off_as_it_connects_leaves_no_socket_behind(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A damaged key, say, may be found in the moment in which the server has answered."""
        lines: list[Line] = []

        class Watched(Line):
            def close(self) -> None:
                super().close()
                lines.append(self)

        on_events = dialling._on_events

        def then_cancel(attempts: Any, line: Line, scope: trio.CancelScope) -> Callable[[], None]:
            tell = on_events(attempts, line, scope)

            def and_cancel() -> None:
                tell()
                if attempts.winner is not None:
                    calling_off.cancel()

            return and_cancel

        monkeypatch.setattr(dialling, "Line", Watched)
        monkeypatch.setattr(dialling, "_on_events", then_cancel)
        async with open_server() as server:
            with trio.CancelScope() as calling_off:
                await dial("127.0.0.1", server.port, server.fingerprint, timeout_s=10)
        assert calling_off.cancelled_caught
        assert [line.endpoint.connection is not None for line in lines] == [True]

    @pytest.mark.skipif(not has_ipv6(), reason="no IPv6 here")
    async def test_over_ipv6(self) -> None:
        """By address."""
        async with open_server(family=V6) as server:
            line = await dial("::1", server.port, server.fingerprint, timeout_s=10)
            assert line.target.family is V6
            line.close()

    async def test_an_address_that_says_nothing_does_not_hold_up_the_next(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A broken IPv6 in front of a working IPv4, as so often."""
        with black_hole() as hole:
            async with open_server() as server:
                resolves_to(monkeypatch, (V4, ("127.0.0.1", hole)), (V4, ("127.0.0.1", server.port)))
                line = await dial("host", 9, server.fingerprint, timeout_s=10)
                assert line.target.address[1] == server.port
                line.close()

    async def test_an_address_without_a_way_does_not_either(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system refuses to open a socket to it."""
        async with open_server() as server:
            resolves_to(monkeypatch, (V4, ("255.255.255.255", 9)), (V4, ("127.0.0.1", server.port)))
            line = await dial("host", 9, server.fingerprint, timeout_s=10)
            line.close()

    async def test_an_impostor_at_one_address_does_not_hide_the_right_one(
        self, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        """A stale record in the name service."""
        async with open_server(key=1) as impostor, open_server() as server:
            resolves_to(monkeypatch, (V4, ("127.0.0.1", impostor.port)), (V4, ("127.0.0.1", server.port)))
            line = await dial("host", 9, server.fingerprint, timeout_s=10)
            assert line.target.address[1] == server.port
            line.close()

    async def test_only_an_impostor_is_a_mismatch(self) -> None:
        """Both fingerprints are shown."""
        async with open_server(key=1) as impostor:
            with pytest.raises(IdentityMismatch) as mismatch:
                await dial("127.0.0.1", impostor.port, FINGERPRINT, timeout_s=10)
        assert fingerprint_groups(impostor.fingerprint) in str(mismatch.value)
        assert fingerprint_groups(FINGERPRINT) in str(mismatch.value)

    async def test_nobody_listening_is_known_at_once(self) -> None:
        """The system tells."""
        with black_hole() as hole:
            pass
        with trio.fail_after(5), pytest.raises(Unreachable, match=r"Nobody is listening at 127\.0\.0\.1 port"):
            await dial("127.0.0.1", hole, FINGERPRINT, timeout_s=30)

    async def test_silence_is_unreachable_after_the_time_that_was_given(self) -> None:
        """With what else it could be."""
        with black_hole() as hole, pytest.raises(Unreachable, match=r"No answer from 127\.0\.0\.1"):
            await dial("127.0.0.1", hole, FINGERPRINT, timeout_s=0.5)

    async def test_no_network_is_said(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """It is not the server's fault."""
        resolves_to(monkeypatch, (V4, ("255.255.255.255", 9)))
        with pytest.raises(Unreachable, match="no way to host"):
            await dial("host", 9, FINGERPRINT, timeout_s=5)

    async def test_identify_tells_who_answers(self) -> None:
        """Whoever that is."""
        async with open_server(key=1) as server:
            assert await identify("127.0.0.1", server.port, timeout_s=10) == server.fingerprint
        with pytest.raises(Unreachable):
            await identify("127.0.0.1", server.port, timeout_s=5)


class TestLine:
    async def test_a_new_socket_under_a_living_connection(self) -> None:
        """From another port; the server follows."""
        async with open_server() as server:
            line = await dial("127.0.0.1", server.port, server.fingerprint, timeout_s=10)
            async with trio.open_nursery() as nursery:
                nursery.start_soon(line.run)
                before = line._socket.getsockname()
                line.reopen()
                assert line._socket.getsockname() != before
                with trio.fail_after(10):
                    while not server.connections or server.connections[0].peer_address[1] == before[1]:
                        await trio.lowlevel.checkpoint()
                nursery.cancel_scope.cancel()
            assert not line.moved()
            line.close()

    async def test_without_any_way_the_old_socket_is_kept(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Until there is one again."""
        async with open_server() as server:
            line = Line(Target(V4, ("127.0.0.1", server.port)), server.fingerprint)
            before = line._socket

            def refuse(_: Target) -> socket.socket:
                raise OSError

            monkeypatch.setattr("bisik.line._open_socket", refuse)
            line.reopen()
            assert line._socket is before
            assert not line.moved()
            line.close()

    async def test_another_local_address_is_noticed(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The system would send from elsewhere now."""
        async with open_server() as server:
            line = Line(Target(V4, ("127.0.0.1", server.port)), server.fingerprint)

            def elsewhere(_: Target) -> socket.socket:
                sock = socket.socket(V4, socket.SOCK_DGRAM)
                sock.bind(("127.0.0.2", 0))
                return sock

            monkeypatch.setattr("bisik.line._open_socket", elsewhere)
            assert line.moved()
            line.close()
