"""The contenders as one kind of thing: how to start a server, and how to come in as a client of it.

`transport` is our transport alone, with the bare message as its payload: what can be compared with aioquic byte for
byte. `chat` is all of it: bisikd with signed statements and an fsynced log, and the library that people's programs
use. `member` is a client of the same daemon that costs less than the library, for when there are many in one process.
"""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractAsyncContextManager, asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Protocol

import trio

import bisik
from benchmarks.peers.aioquic_chat import QuicClient
from benchmarks.peers.bare_chat import BareClient
from benchmarks.peers.member import MemberClient, Person
from benchmarks.peers.transport_chat import OnMessage, TransportClient
from benchmarks.stage import Server, Stage
from bisik_protocol.chat.names import LOBBY

Address = tuple[str, int]

CONNECT_S = 120.0


class Client(Protocol):
    """Somebody who is in the room and can speak."""

    def send(self, message: bytes) -> None:
        """Say it, at once, without waiting for anything."""


OpenClient = Callable[[Stage, Server, Address, OnMessage], AbstractAsyncContextManager[Client]]


@dataclass(frozen=True, slots=True)
class Contender:
    """`open_client` takes the address to speak to, the server's or a relay's, and enters when the client is ready."""

    name: str
    start: Callable[[Stage], Awaitable[Server]]
    open_client: OpenClient


class FleetClient:
    """A core in the stage's fleet."""

    def __init__(self, stage: Stage, core: Any) -> None:
        self.core = core
        self._fleet = stage.fleet

    def send(self, message: bytes) -> None:
        self.core.send(message)
        self._fleet.flush(self.core)


@asynccontextmanager
async def _in_fleet(
    stage: Stage, address: Address, make: Callable[[Callable[[], None]], Any]
) -> AsyncIterator[Client]:
    ready = trio.Event()
    core = make(ready.set)
    stage.fleet.add(core, address)
    try:
        with trio.fail_after(CONNECT_S):
            await ready.wait()
        yield FleetClient(stage, core)
        core.say_goodbye()
        stage.fleet.flush(core)
    finally:
        stage.fleet.remove(core)


def _open_quic(
    stage: Stage, server: Server, address: Address, on_message: OnMessage
) -> AbstractAsyncContextManager[Client]:
    return _in_fleet(stage, address, lambda on_ready: QuicClient(address, server.certificate, on_message, on_ready))


def _open_transport(
    stage: Stage, server: Server, address: Address, on_message: OnMessage
) -> AbstractAsyncContextManager[Client]:
    return _in_fleet(
        stage, address, lambda on_ready: TransportClient(address, server.fingerprint, on_message, on_ready)
    )


def _open_bare(
    stage: Stage, server: Server, address: Address, on_message: OnMessage
) -> AbstractAsyncContextManager[Client]:
    return _in_fleet(stage, address, lambda on_ready: BareClient(on_message, on_ready))


def member(
    server: Server, address: Address, on_message: OnMessage, on_ready: Callable[[], None], person: Person
) -> MemberClient:
    """A member of `server`'s chat, as a core for a fleet."""
    assert server.invite is not None
    assert server.invite.join_password is not None
    return MemberClient(
        address,
        server.fingerprint,
        on_message,
        on_ready,
        person=person,
        join_password=server.invite.join_password,
    )


class LibraryClient:
    """The library's chat, with a queue in front, so that saying something does not wait."""

    def __init__(self, chat: bisik.Chat) -> None:
        self.chat = chat
        self._to_say, self._said = trio.open_memory_channel[bytes](10_000)

    def send(self, message: bytes) -> None:
        self._to_say.send_nowait(message)

    async def say(self) -> None:
        """Put what is to be said into the outbox, in order."""
        async for message in self._said:
            await self.chat.queue(LOBBY, message.decode())

    async def hear(self, on_message: OnMessage) -> None:
        """Tell of what others said."""
        async for event in self.chat.events():
            if isinstance(event, bisik.Message) and event.author != self.chat.name:
                on_message(event.text.encode())


def invite_to(server: Server, address: Address) -> str:
    """The server's invite, with the address of whatever stands in front of it."""
    assert server.invite is not None
    return replace(server.invite, host=address[0], port=address[1]).url()


@asynccontextmanager
async def open_library(
    stage: Stage, server: Server, address: Address, on_message: OnMessage, *, home: Path | None = None
) -> AsyncIterator[Client]:
    """The library's chat in the lobby; as somebody new with a key made before, or as whoever `home` belongs to."""
    if home is None:
        home = await trio.to_thread.run_sync(stage.new_home, server.fingerprint)
    invite = invite_to(server, address)
    async with bisik.open_chat(invite, name=home.name, home=home, connect_timeout_s=CONNECT_S) as chat:
        await chat.join(LOBBY)
        client = LibraryClient(chat)
        async with trio.open_nursery() as nursery:
            nursery.start_soon(client.say)
            nursery.start_soon(client.hear, on_message)
            yield client
            nursery.cancel_scope.cancel()


AIOQUIC = Contender("aioquic", Stage.start_aioquic, _open_quic)
TRANSPORT = Contender("bisik transport", Stage.start_transport, _open_transport)
CHAT = Contender("bisik chat", Stage.start_daemon, open_library)
BARE = Contender("bare sockets", Stage.start_bare, _open_bare)
ALL = (AIOQUIC, TRANSPORT, CHAT)
