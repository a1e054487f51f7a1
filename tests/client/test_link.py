"""The link: held through everything that a server or a network does, told in words, ended when it should."""

import errno
import socket
from collections.abc import Callable

import pytest
import trio

from bisik.errors import HomeError, IdentityMismatch, Refused, Unreachable
from bisik.events import LinkChanged, LinkState
from bisik.link import Link, held
from bisik_protocol.chat.messages import CONTROL_LANE, Code
from bisik_protocol.crypto.identity import ServerPublic
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, MessageReceived
from tests.client.loopback import Server, open_server
from tests.support.keys import server_identity


class Parrot:
    """A talk that says one thing on each connection and remembers what it hears."""

    def __init__(self) -> None:
        self.failure: Refused | None = None
        self.come_back_later: str | None = None
        self.is_expecting = False
        self.connected = 0
        self.heard: list[bytes] = []
        self.raises: Exception | None = None
        self.timeout: float | None = None
        self.timeouts = 0
        self._to_say: list[bytes] = []
        self._stands = False

    def say(self, data: bytes) -> None:
        self._to_say.append(data)

    def on_connected(self, channel_binding: bytes, server: ServerPublic) -> None:
        assert server == server_identity().public
        assert not self._stands
        assert len(channel_binding) == 32
        self._stands = True
        self.connected += 1
        self.come_back_later = None
        self.say(b"hello")

    def on_disconnected(self) -> None:
        assert self._stands
        self._stands = False
        self._to_say.clear()

    def receive_message_untrusted(self, lane: int, data: bytes, now: float) -> None:
        if self.raises is not None:
            raised, self.raises = self.raises, None
            raise raised
        self.heard.append(data)

    def messages_to_send(self) -> list[tuple[int, bytes]]:
        said, self._to_say = self._to_say, []
        return [(CONTROL_LANE, data) for data in said]

    def next_timeout(self) -> float | None:
        return self.timeout

    def handle_timeout(self, now: float) -> None:
        self.timeout = None
        self.timeouts += 1


def echo(connection: Connection, message: MessageReceived) -> None:
    connection.send(message.lane, message.data.upper())


class Watched:
    """A link to a server, and what it said about itself."""

    def __init__(self, server: Server, parrot: Parrot, *, fingerprint: bytes | None = None) -> None:
        self.changes: list[LinkChanged] = []
        self._news = trio.Event()
        self.link = Link(
            parrot,
            host="127.0.0.1",
            port=server.port,
            fingerprint=fingerprint or server.fingerprint,
            on_change=self.changes.append,
            on_turn=self._tell,
        )

    def _tell(self) -> None:
        self._news.set()
        self._news = trio.Event()

    async def until(self, condition: Callable[[], object]) -> None:
        with trio.fail_after(30):
            while not condition():
                await self._news.wait()

    def said(self, state: LinkState) -> list[str]:
        return [change.text for change in self.changes if change.state is state]


@pytest.fixture(autouse=True)
def quick(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody wants to wait for mosh's six seconds in a test."""
    monkeypatch.setattr("bisik.link.LOOK_EVERY_S", 0.02)
    monkeypatch.setattr("bisik.link.LATER_S", 0.05)


class TestHolding:
    async def test_what_is_said_is_sent_and_what_is_heard_is_given(self) -> None:
        """The plain way, and a goodbye at the end."""
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: parrot.heard == [b"HELLO"])
                parrot.say(b"more")
                watched.link.kick()
                await watched.until(lambda: parrot.heard == [b"HELLO", b"MORE"])
                stats = watched.link.stats()
                assert stats is not None
                assert stats.datagrams_received > 0
            assert [closed.code for closed in server.closed] == [CloseCode.NORMAL]
            assert watched.link.stats() is None
        assert [change.state for change in watched.changes] == [LinkState.CONNECTING, LinkState.CONNECTED]

    @pytest.mark.parametrize(
        ("code", "sentence"),
        [
            (CloseCode.GOING_AWAY, "The server is going down for a while."),
            (CloseCode.REFUSED, "The server ended the session: too loud"),
            (CloseCode.INTERNAL, "Something went wrong in the server."),
            (CloseCode.PROTOCOL, "The server and this client do not understand each other."),
            (CloseCode.NORMAL, "The server ended the session."),
        ],
    )
    async def test_a_connection_that_is_ended_is_made_again(self, code: CloseCode, sentence: str) -> None:
        """At once, with the reason in words."""
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: len(parrot.heard) == 1)
                server.close_all(code, "too loud")
                await watched.until(lambda: len(parrot.heard) == 2)
                assert watched.link.last_trouble == sentence
            assert watched.said(LinkState.WAITING) == [sentence]
            assert watched.said(LinkState.CONNECTED)[-1] == "Connected again."

    async def test_a_server_that_breaks_the_protocol_is_left_and_tried_again(self) -> None:
        """It is told why."""
        parrot = Parrot()
        parrot.raises = RemoteProtocolError("reply")
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: parrot.heard == [b"HELLO"])
            assert server.closed[0].code == CloseCode.PROTOCOL
            assert server.closed[0].reason == "reply"
            assert parrot.connected == 2

    async def test_a_server_that_asks_for_patience_is_come_back_to(self) -> None:
        """After a while, and in its own words."""
        parrot = Parrot()

        def later(connection: Connection, message: MessageReceived) -> None:
            if parrot.connected == 1:
                parrot.come_back_later = "Busy now."
            echo(connection, message)

        async with open_server(later) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: parrot.connected == 2)
            assert watched.said(LinkState.WAITING) == ["Busy now."]

    async def test_the_talks_timers_are_kept(self) -> None:
        """They are few and far between; a look now and then is enough."""
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: len(parrot.heard) == 1)
                parrot.timeout = trio.current_time() + 0.01
                parrot.say(b"after the timer")
                await watched.until(lambda: len(parrot.heard) == 2)
                assert parrot.timeouts == 1

    async def test_an_overdue_answer_is_asked_about(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Where nothing of ours is in flight, silence would not be noticed otherwise."""
        monkeypatch.setattr("bisik.link.EXPECT_S", 0.05)
        monkeypatch.setattr("bisik.link.SILENT_S", 0.2)
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: len(parrot.heard) == 1)
                while (stats := watched.link.stats()) is None or stats.in_flight_bytes:
                    await trio.lowlevel.checkpoint()
                server.deaf = True
                parrot.is_expecting = True
                await watched.until(lambda: watched.said(LinkState.SILENT))
                server.deaf = False
                await watched.until(lambda: "The server answers again." in watched.said(LinkState.CONNECTED))

    async def test_a_way_that_is_dead_in_one_direction_is_told_apart(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """The server goes on talking, and does not hear us."""
        monkeypatch.setattr("bisik.link.SILENT_S", 0.3)
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: len(parrot.heard) == 1)
                server.deaf = True
                parrot.say(b"are you there?")
                watched.link.kick()
                async with trio.open_nursery() as nursery:
                    nursery.start_soon(server.chatter)
                    await watched.until(lambda: watched.said(LinkState.SILENT))
                    nursery.cancel_scope.cancel()
                assert watched.said(LinkState.SILENT) == [
                    "We hear the server, and it does not hear us; still trying."
                ]
                server.deaf = False
                await watched.until(lambda: b"ARE YOU THERE?" in parrot.heard)
                await watched.until(lambda: "The server answers again." in watched.said(LinkState.CONNECTED))

    async def test_a_network_that_is_gone_is_waited_for(self, monkeypatch: pytest.MonkeyPatch) -> None:
        """Nothing can be sent; then it can, through a new socket."""
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: len(parrot.heard) == 1)
                line = watched.link._line
                assert line is not None
                before = line._socket

                class Gone:
                    def __getattr__(self, name: str) -> object:
                        return getattr(before, name)

                    def send(self, _: bytes) -> int:
                        raise OSError(errno.ENETUNREACH, "Network is unreachable")

                line._socket = Gone()  # type: ignore[assignment]
                parrot.say(b"through the wall")
                watched.link.kick()
                assert line.unsendable == 1
                await watched.until(lambda: len(parrot.heard) == 2)
                assert isinstance(line._socket, socket.socket)
                assert parrot.connected == 1


class TestEnding:
    async def test_a_talk_that_has_failed_ends_the_link(self) -> None:
        """With a goodbye; connecting again is of no use."""
        parrot = Parrot()

        def refuse(connection: Connection, message: MessageReceived) -> None:
            parrot.failure = Refused(Code.NAME_UNKNOWN, "Nobody has that name.")
            echo(connection, message)

        async with open_server(refuse) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: watched.link.failed is not None)
            assert watched.link.failed is parrot.failure
            assert parrot.connected == 1
            assert len(server.closed) == 1

    async def test_a_home_that_cannot_be_used_ends_the_link(self) -> None:
        """The disk may be full: nothing is taken from the server that cannot be kept."""
        parrot = Parrot()
        parrot.raises = HomeError("The disk is full.")
        async with open_server(echo) as server:
            watched = Watched(server, parrot)
            async with held(watched.link):
                await watched.until(lambda: watched.link.failed is not None)
            assert isinstance(watched.link.failed, HomeError)
            assert parrot.connected == 1

    async def test_another_identity_ends_the_link(self) -> None:
        """Before anything is said to it."""
        parrot = Parrot()
        async with open_server(echo) as server:
            watched = Watched(server, parrot, fingerprint=bytes(32))
            async with held(watched.link):
                await watched.until(lambda: watched.link.failed is not None)
            assert isinstance(watched.link.failed, IdentityMismatch)
            assert parrot.connected == 0
            assert server.connections == []

    async def test_nobody_there_is_told_and_tried_again(self) -> None:
        """Until the program gives up; then the link ends at once."""
        parrot = Parrot()
        async with open_server(echo) as server:
            port = server.port
        changes: list[LinkChanged] = []
        link = Link(parrot, host="127.0.0.1", port=port, fingerprint=bytes(32), on_change=changes.append)
        with trio.fail_after(30):
            async with held(link):
                while len([change for change in changes if change.state is LinkState.WAITING]) < 3:
                    await trio.lowlevel.checkpoint()
        assert link.never_reached
        assert link.last_trouble is not None
        assert "Nobody is listening" in link.last_trouble
        waits = [change.retry_in_s for change in changes if change.state is LinkState.WAITING]
        assert waits[0] == 0
        assert all(wait is not None and wait <= 5 for wait in waits)

    async def test_what_the_body_raises_comes_out_alone(self) -> None:
        """After the goodbye."""
        async with open_server(echo) as server:
            watched = Watched(server, Parrot())

            async def fail() -> None:
                async with held(watched.link):
                    await watched.until(lambda: watched.link.state is LinkState.CONNECTED)
                    raise Unreachable("mine")

            with pytest.raises(Unreachable, match="mine"):
                await fail()
            assert len(server.closed) == 1

    async def test_a_cancelled_body_says_goodbye_too(self) -> None:
        """The goodbye is shielded, for a moment."""
        async with open_server(echo) as server:
            watched = Watched(server, Parrot())
            with trio.CancelScope() as scope:
                async with held(watched.link):
                    await watched.until(lambda: watched.link.state is LinkState.CONNECTED)
                    scope.cancel()
                    await trio.lowlevel.checkpoint()
            assert scope.cancelled_caught
            assert [closed.code for closed in server.closed] == [CloseCode.NORMAL]
