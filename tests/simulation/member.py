"""A member of a run: the real client library, life after life, on one home; and whether what it is told is true.

A reader is given every entry of its rooms once, in order, from where it was; each is in the log at that moment. Only
after a kill may it be given again what it was given last.
"""

import re
from collections.abc import Awaitable, Callable
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import trio

from bisik.chat import Chat
from bisik.errors import BisikError, NotStored, Refused, Unreachable
from bisik.events import Event, Join, Leave, LinkChanged, Message, Notice, OwnMessage
from bisik.gate import open_gate
from bisik.home import Profile
from bisik.link import held
from bisik.reader import MAX_EVENTS
from bisik.store import Store
from bisik_protocol.chat.direct_names import direct_names, direct_room, is_direct
from bisik_protocol.chat.messages import MAX_PAGE_ENTRIES, Code, MessageEntry, Presence
from bisik_protocol.chat.statements import message_id
from bisik_protocol.transport.connection import Connection
from tests.simulation.network import SERVER_ADDRESS, Address, Host, Process, current_process
from tests.simulation.plan import Person
from tests.simulation.watch import unsent
from tests.support.keys import device_key, sealing_key, server_identity
from tests.support.stage import JOIN_PASSWORD

if TYPE_CHECKING:
    from tests.simulation.world import World

TRUE_NOTICES = re.compile(
    "was not seen here before|no room left to store messages|stores messages again"
    "|(has|have) a new device|has no device yet|There is nobody"
)
NOT_FOR_US = re.compile(r"Message (\d+) of \w+ was sealed before this device was there")


class Member:
    """`crash`, `leave` and the like are what may happen to it; it comes back by itself."""

    def __init__(self, world: "World", person: Person, host: Host, store: Store) -> None:
        self.person = person
        self.host = host
        self.store = store
        self.registered = not person.registers
        self.pause = 0.0  # between this life and the next
        self.reads = True
        self.chat: Chat | None = None
        self.rooms = dict.fromkeys(person.rooms, Presence.MEMBER if person.seen else Presence.READER)
        self._position: dict[str, int | None] = {}  # newest entry given in each room
        self._world = world
        self._device = device_key(person.device)
        self._process = Process(person.name, host, alive=False)
        self._scope = trio.CancelScope()
        self._leaving = trio.Event()
        self._may_read = trio.Event()
        self._sealing = 0  # what is being said, and not accepted yet
        self._alive = trio.Event()
        self._nursery: trio.Nursery | None = None

    @property
    def label(self) -> str:
        return f"{self.person.name}/{self.person.home}/{self.person.reader}"

    # Life ----------------------------------------------------------------------------------------------------------

    async def run(self) -> None:
        """Live and be restarted, until cancelled."""
        while True:
            self.pause = 0.2
            self._process = Process(self.label, self.host)
            current_process.set(self._process)
            with trio.CancelScope() as self._scope:
                await self._live()
            self._process.alive = False
            self.chat = None
            self._world.trace.note("member", self.label, "is gone")
            await trio.sleep(self.pause)

    async def _live(self) -> None:
        self._leaving = trio.Event()
        while not self.registered:
            await self._register()
        profile = Profile(
            name=self.person.name,
            host=SERVER_ADDRESS[0],
            port=SERVER_ADDRESS[1],
            fingerprint=server_identity().fingerprint,
            folder=Path("/home"),
        )
        chat = Chat(profile, self.store, self._device, reader=self.person.reader)
        try:
            async with held(chat._link):
                self._begin(chat)
                async with trio.open_nursery() as self._nursery:
                    self._nursery.start_soon(self._read, chat)
                    self._alive.set()
                    await self._leaving.wait()
                    self._alive = trio.Event()
                    self._nursery.cancel_scope.cancel()
                chat._conversation.reader.done()
            chat._conversation.reader.save()
        finally:
            if self._alive.is_set():
                self._alive = trio.Event()

    def _begin(self, chat: Chat) -> None:
        self._position = {room: self.store.cursor(self.person.reader, room) for room in self.rooms}
        for room, name, _closed in self.store.directs():
            self._position[f"@{name}"] = self.store.cursor(self.person.reader, room)
        self.chat = chat
        self._world.trace.note("member", self.label, "is there", self._position)
        for room, presence in self.rooms.items():
            chat.follow(room, presence=presence)
        if self._world.plan.has_direct:
            chat._conversation.on_sealing_key(sealing_key(self.person.device))
            chat.follow_directs(presence=Presence.MEMBER if self.person.seen else Presence.READER)

    async def _register(self) -> None:
        host, port = SERVER_ADDRESS
        try:
            async with open_gate(host, port, server_identity().fingerprint, self._device) as gate:
                await gate.prove(JOIN_PASSWORD)
                await gate.register(self.person.name)
                self.registered = True
        except Unreachable as error:
            self._world.trace.note("member", self.label, "cannot register:", error)
            await trio.sleep(1.0)
        except Refused as error:
            if error.code.value not in ("storage", "try-later"):
                raise self._world.trace.violation(f"{self.label} was refused: {error}") from error
            await trio.sleep(1.0)

    # Speaking ------------------------------------------------------------------------------------------------------

    def do(self, act: Callable[[Chat], Awaitable[None]]) -> None:
        """Something for the next moment in which it is alive."""
        self._world.nursery.start_soon(self._do, act)

    async def _do(self, act: Callable[[Chat], Awaitable[None]]) -> None:
        await self._alive.wait()
        if self.chat is None or self._nursery is None:
            self.do(act)
            return
        current_process.set(self._process)
        self._nursery.start_soon(act, self.chat)

    def say(self, room: str, text: str) -> None:
        self.do(partial(self._say, room, text))

    async def _say(self, room: str, text: str, chat: Chat) -> None:
        outbox_id = await self._queue(room, text, chat)
        self._world.accepted(self, room, text)
        try:
            receipt = await chat.stored(outbox_id, room)
        except NotStored as error:
            raise self._world.trace.violation(f"{self.label} has given up: {error}") from error
        except BisikError as error:
            raise self._world.trace.violation(f"{self.label} was told that {text[:20]!r} failed: {error}") from error
        self._world.trace.note("receipt", self.label, room, receipt.seq)
        entry = self._world.log.entry(self._log_name(room), receipt.seq)
        if (
            not isinstance(entry, MessageEntry)
            or self._world.text_of(entry) != text
            or receipt.id != message_id(entry.statement)
        ):
            raise self._world.trace.violation(
                f"{self.label} has a receipt for {text[:20]!r}, and {room} {receipt.seq} is {entry}"
            )

    async def _queue(self, room: str, text: str, chat: Chat) -> int:
        """What cannot be sealed yet is tried again, as a person would."""
        self._sealing += 1
        try:
            return await self._queue_again(room, text, chat)
        finally:
            self._sealing -= 1

    async def _queue_again(self, room: str, text: str, chat: Chat) -> int:
        while True:
            try:
                return await chat.queue(room, text)
            except Refused as error:
                if error.code not in (Code.RECIPIENTS, Code.NAME_UNKNOWN):
                    raise
            except Unreachable as error:
                self._world.trace.note("member", self.label, "cannot seal:", error)
            await trio.sleep(1.0)

    def _log_name(self, room: str) -> str:
        return direct_room(self.person.name, room[1:]) if is_direct(room) else room

    async def _come_and_go(self, room: str, away_s: float, chat: Chat) -> None:
        presence = self.rooms.get(room)
        if presence is None:
            return
        self._world.trace.note("member", self.label, "leaves", room)
        await chat.leave(room)
        await trio.sleep(away_s)
        await chat.join(room, presence=presence)

    def come_and_go(self, room: str, away_s: float) -> None:
        """Leave a room, and enter it again."""
        self.do(partial(self._come_and_go, room, away_s))

    # Listening -----------------------------------------------------------------------------------------------------

    async def _read(self, chat: Chat) -> None:
        async for event in chat.everything():
            self._on_event(event)
            self._check_bounds(chat)
            while not self.reads:
                self._may_read = trio.Event()
                await self._may_read.wait()

    def _on_event(self, event: Event) -> None:
        trace = self._world.trace
        if isinstance(event, Message | Join | Leave):
            self._on_entry(event)
        elif isinstance(event, Notice) and (sealed := NOT_FOR_US.match(event.text)) and event.room is not None:
            self._on_place(event.room, int(sealed[1]))
        elif isinstance(event, Notice) and not TRUE_NOTICES.search(event.text):
            raise trace.violation(f"{self.label} was told: {event.text}")
        elif isinstance(event, LinkChanged):
            trace.note("link", self.label, event.state.value, event.text)
        elif isinstance(event, OwnMessage) and event.state == "failed":
            raise trace.violation(f"{self.label} was told that a message failed: {event.reason}")

    def _on_entry(self, event: Message | Join | Leave) -> None:
        trace = self._world.trace
        trace.note("shown", self.label, event.room, event.seq, event.type)
        self._on_place(event.room, event.seq)
        stored = self._world.log.entry(self._log_name(event.room), event.seq)
        if stored is None:
            raise trace.violation(f"{self.label} was given {event.seq} of {event.room}, which is not stored")
        text = self._world.text_of(stored) if isinstance(stored, MessageEntry) else ""
        if stored.author != event.author or (isinstance(event, Message) and text != event.text):
            raise trace.violation(f"{self.label} was given {event}, and {stored} is stored")

    def _on_place(self, room: str, seq: int) -> None:
        position = self._position.get(room)
        if position is not None and seq != position + 1:
            raise self._world.trace.violation(f"{self.label} was given {seq} of {room} after {position}")
        self._position[room] = seq

    def _check_bounds(self, chat: Chat) -> None:
        conversation = chat._conversation
        waiting = len(conversation.reader._events)
        if waiting > MAX_EVENTS + 2 * MAX_PAGE_ENTRIES:
            raise self._world.trace.violation(f"{waiting} events wait for {self.label}")
        for room in conversation._rooms.values():
            if len(room.feed._inbox) > 64 + MAX_PAGE_ENTRIES:
                raise self._world.trace.violation(f"{len(room.feed._inbox)} entries wait for {self.label}")
            if len(room.posting._sent) > 64:
                raise self._world.trace.violation(f"{len(room.posting._sent)} posts of {self.label} are under way")

    # What may happen to it -----------------------------------------------------------------------------------------

    def crash(self, down_s: float) -> None:
        """kill -9; its home stays."""
        self.pause = down_s
        self._process.alive = False
        self._scope.cancel()

    def leave(self, away_s: float) -> None:
        """Quit, and come back."""
        self.pause = away_s
        self._leaving.set()

    def read_on(self) -> None:
        self.reads = True
        self._may_read.set()

    def present_in(self) -> list[str]:
        """The rooms in which others should see it."""
        rooms = {} if self.chat is None else self.chat._conversation._rooms
        return [
            name
            for name, room in rooms.items()
            if room.feed.presence is Presence.MEMBER and not is_direct(name)  # nobody sees who is in those
        ]

    @property
    def connection(self) -> Connection | None:
        """What it speaks on now."""
        line = None if self.chat is None else self.chat._link._line
        return None if line is None else line.endpoint.connection

    def missing(self) -> str | None:
        """What it has not got or not got rid of yet, in words."""
        if self.chat is None or not self.chat._conversation.admitted:
            return f"{self.label} is not connected"
        if self.chat.waiting:
            return f"{self.chat.waiting} messages wait in the outbox of {self.label}"
        for room in self.rooms:
            head = self._world.log.heads().get(room, 0)
            if self._position.get(room) != head and head:
                return f"{self.label} has read {self._position.get(room)} of {head} in {room}"
        for room, head in self._world.log.heads().items():
            if is_direct(room) and self.person.name in direct_names(room):
                (other,) = set(direct_names(room)) - {self.person.name}
                if self._position.get(f"@{other}") != head:
                    return f"{self.label} has read {self._position.get(f'@{other}')} of {head} in {room}"
        return None

    def unrest(self) -> str | None:
        """What keeps it from being at rest though nothing is missing, in words."""
        rest = None if self.connection is None else unsent(self.connection)
        if self._sealing:
            rest = "something is to be said that could not be sealed yet"
        return None if rest is None else f"{self.label}: {rest}"

    def address(self) -> Address | None:
        """Where it can be reached now; None before it has spoken from there."""
        line = None if self.chat is None else self.chat._link._line
        port = None if line is None else self.host.ports.get(line._socket)  # type: ignore[call-overload]
        return None if port is None else (self.host.public_ip, port)
