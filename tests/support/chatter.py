"""A minimal client for the daemon's tests: it drives `ClientEndpoint` itself and knows nothing of the bisik client.

What it is told it keeps: replies by number, entries by room, and why it ended. `until` waits for something to be so.
"""

import os
import socket
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import Any

import trio

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    ZERO_DIGEST,
    Admitted,
    Code,
    Entry,
    FromDaemon,
    Joined,
    JoinRoom,
    Login,
    MessageEntry,
    Post,
    PostRefused,
    Presence,
    Prove,
    Register,
    decode_entry_untrusted,
    decode_from_daemon_untrusted,
    encode,
)
from bisik_protocol.chat.statements import (
    LOGIN_CONTEXT,
    STATEMENT_CONTEXT,
    Kind,
    Statement,
    decode_statement_untrusted,
    encode_statement,
    statement_hash,
)
from bisik_protocol.crypto.identity import SigningKey
from bisik_protocol.transport.client import ClientEndpoint
from bisik_protocol.transport.connection import Connection
from bisik_protocol.transport.events import CloseCode, Closed, Connected, MessageReceived
from bisikd.udp import UdpDriver

PATIENCE_S = 20.0


class Chatter:
    """One client with one connection. `said` is what a restarted client would have kept: share it between two."""

    def __init__(
        self,
        device: SigningKey,
        address: tuple[Any, ...],
        fingerprint: bytes,
        *,
        random: Callable[[int], bytes] = os.urandom,
        said: dict[str, list[bytes]] | None = None,
    ) -> None:
        self.device = device
        self.endpoint = ClientEndpoint(address, fingerprint, random=random, now=trio.current_time())
        self.flush: Callable[[], None] = lambda: None  # whoever drives the endpoint gives it
        self.said = {} if said is None else said
        self.control: list[FromDaemon] = []
        self.closed: Closed | None = None
        self._entries: dict[int, list[Entry]] = {}
        self._lanes: dict[str, int] = {}
        self._numbers = 0
        self._news = trio.Event()

    def on_events(self) -> None:
        """The endpoint or its connection may have events."""
        told = False
        while (happened := self.endpoint.next_event()) is not None:
            told = True
            if isinstance(happened, Closed):
                self.closed = happened
            else:
                assert isinstance(happened, Connected), happened
        connection = self.endpoint.connection
        while connection is not None and (event := connection.next_event()) is not None:
            told = True
            if isinstance(event, MessageReceived):
                self._take(event)
            elif isinstance(event, Closed):
                self.closed = event
        if told:
            self._news.set()
            self._news = trio.Event()

    def _take(self, message: MessageReceived) -> None:
        if message.lane == CONTROL_LANE:
            self.control.append(decode_from_daemon_untrusted(message.data))
        else:
            self._entries.setdefault(message.lane, []).append(decode_entry_untrusted(message.data))

    async def until(self, is_so: Callable[[], Any]) -> Any:
        """Wait until `is_so()` is true, and return it. Fails when that takes too long, or the connection ends."""
        with trio.fail_after(PATIENCE_S):
            while not (answer := is_so()):
                assert self.closed is None, self.closed
                await self._news.wait()
        return answer

    async def until_closed(self) -> Closed:
        """Wait for the connection's end."""
        with trio.fail_after(PATIENCE_S):
            while self.closed is None:
                await self._news.wait()
        return self.closed

    async def connected(self) -> Connection:
        connection = await self.until(lambda: self.endpoint.connection)
        assert isinstance(connection, Connection)
        return connection

    async def request(self, make: Callable[[int], Any]) -> Any:
        """Send the request that `make` makes of a number, and return the reply."""
        connection = await self.connected()
        self._numbers += 1
        number = self._numbers
        connection.send(CONTROL_LANE, encode(make(number)))
        self.flush()
        return await self.until(lambda: self._reply(number))

    def _reply(self, number: int) -> Any:
        return next((reply for reply in self.control if getattr(reply, "number", None) == number), None)

    def close(self) -> None:
        self.endpoint.close(CloseCode.NORMAL)
        self.flush()

    # Coming in

    async def prove(self, password: str) -> Any:
        return await self.request(lambda number: Prove(number, password))

    async def register(self, name: str) -> Any:
        signature = await self._signature()
        return await self.request(lambda number: Register(number, name, self.device.public.modulus, signature))

    async def login(self, name: str, login_id: str | None = None) -> Any:
        signature = await self._signature()
        return await self.request(lambda number: Login(number, name, self.device.public.modulus, signature, login_id))

    async def enter(self, name: str, password: str) -> Admitted:
        """Register, or log in if this device is known."""
        admitted = await self.login(name)
        if not isinstance(admitted, Admitted):
            await self.prove(password)
            admitted = await self.register(name)
        assert isinstance(admitted, Admitted), admitted
        return admitted

    async def _signature(self) -> bytes:
        connection = await self.connected()
        return self.device.sign(LOGIN_CONTEXT, connection.channel_binding)

    # In rooms

    async def join(self, room: str, presence: Presence = Presence.MEMBER, **how: Any) -> Joined:
        joined = await self.request(lambda number: JoinRoom(number, room, presence, **how))
        assert isinstance(joined, Joined), joined
        self._lanes[room] = joined.lane
        return joined

    def say(self, room: str, text: str) -> int:
        """Sign and post the next statement; its number in this device's chain."""
        said = self.said.setdefault(room, [])
        statement = Statement(
            room=room,
            author=self.device.public.key_hash,
            seq=len(said) + 1,
            time=1_795_338_000_000,
            kind=Kind.SAY,
            text=text,
            previous=statement_hash(said[-1]) if said else ZERO_DIGEST,
        )
        said.append(encode_statement(statement))
        self.repeat(room, len(said))
        return len(said)

    def repeat(self, room: str, seq: int) -> None:
        """Post a statement, again or for the first time."""
        statement = self.said[room][seq - 1]
        post = Post(statement, self.device.sign(STATEMENT_CONTEXT, statement))
        connection = self.endpoint.connection
        assert connection is not None
        connection.send(self._lanes[room], encode(post))
        self.flush()

    async def receipt(self, room: str, seq: int) -> MessageEntry:
        """Wait until this device's statement `seq` is stored."""
        entry = await self.until(lambda: self._receipt(room, seq))
        assert isinstance(entry, MessageEntry)
        return entry

    def _receipt(self, room: str, seq: int) -> MessageEntry | None:
        return next((entry for entry in self.messages(room) if entry.statement == self.said[room][seq - 1]), None)

    def entries(self, room: str) -> list[Entry]:
        return self._entries.get(self._lanes[room], [])

    def messages(self, room: str) -> list[MessageEntry]:
        return [entry for entry in self.entries(room) if isinstance(entry, MessageEntry)]

    def texts(self, room: str) -> list[str]:
        return [decode_statement_untrusted(entry.statement).text for entry in self.messages(room)]

    @property
    def refused_posts(self) -> list[tuple[int, Code]]:
        return [(reply.seq, reply.code) for reply in self.control if isinstance(reply, PostRefused)]


@asynccontextmanager
async def open_chatter(
    device: SigningKey, address: tuple[str, int], fingerprint: bytes, **how: Any
) -> AsyncIterator[Chatter]:
    """A client on a real socket, connecting. It says goodbye when the block ends."""
    chatter = Chatter(device, address, fingerprint, **how)
    family = socket.AF_INET6 if ":" in address[0] else socket.AF_INET
    with socket.socket(family, socket.SOCK_DGRAM) as sock:
        sock.bind(("::1" if family == socket.AF_INET6 else "127.0.0.1", 0))
        driver = UdpDriver(sock, chatter.endpoint, chatter.on_events)
        chatter.flush = driver.flush
        async with trio.open_nursery() as nursery:
            nursery.start_soon(driver.run)
            yield chatter
            chatter.close()
            nursery.cancel_scope.cancel()
