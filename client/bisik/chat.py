"""The library: a chat as an object, for programs.

    async with bisik.open_chat(invite, name="tama", home=path) as chat:
        receipt = await chat.send("#lobby", "halo")
        async for event in chat.events():
            ...

It joins a `conversation` to a `link` and waits for things; the rules are theirs. Errors are
BisikErrors, never groups.
"""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Generator, Mapping, Sequence
from contextlib import AbstractAsyncContextManager, asynccontextmanager, closing
from functools import partial
from pathlib import Path
from typing import Any, Final, Generic, Literal, NoReturn, Self, TypeVar, cast

import trio

from bisik.checkpoints import LogAlarm
from bisik.conversation import Conversation
from bisik.directs import room_name
from bisik.errors import (
    BisikError,
    HomeError,
    LogMismatch,
    Nonsense,
    NoRecipients,
    NotKnown,
    NotOnDisk,
    Refused,
    Unreachable,
    WrongUsage,
)
from bisik.events import ChatEvent, Event, LinkState, Message, Notice, OwnMessage, QueuedMessage, Receipt
from bisik.gate import REPLY_S, arrive, device_of
from bisik.history import Archive
from bisik.home import Home, Profile
from bisik.i18n import _
from bisik.line import Line
from bisik.link import Link, held
from bisik.moderating import Moderating
from bisik.news import News
from bisik.outbox import Said
from bisik.proof import Proof, Proved
from bisik.proving import fetch_proof
from bisik.recipients import recipient_devices
from bisik.requests import MakeRequest
from bisik.searching import Searching
from bisik.store import Store
from bisik.visit import FirstVisit, who_visits
from bisik_protocol.chat import messages
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import (
    MAX_PAGE_ENTRIES,
    MAX_TEXT_BYTES,
    DeviceInfo,
    MemberInfo,
    Presence,
    Reply,
    Role,
    RoomInfo,
)
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.sealed_text import MAX_SEALED_TEXT_BYTES
from bisik_protocol.chat.statements import Kind, Statement, statement_hash
from bisik_protocol.crypto.identity import SigningKey
from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.transport.stats import ConnectionStats

CONNECT_TIMEOUT_S: Final = 30.0
PUBLISH_S: Final = 2.0
KEYS_S: Final = 10.0  # how long to wait for the keys that something is to be sealed to
_LOBBY_AND_DIRECTS: Final = (LOBBY,)  # where no rooms are named
PERSON: Final = "chat"  # the name of the reader that is a person, in whatever interface
SEEN: Final = "seen"  # the reader whose cursors are what a person has had on the screen

E = TypeVar("E", bound=Event)


class Chat(Moderating):
    """A chat that is open. Made by `open_chat`."""

    def __init__(
        self,
        profile: Profile,
        store: Store,
        device: SigningKey,
        *,
        reader: str,
        join_password: str | None = None,
        line: Line | None = None,
    ) -> None:
        self.profile = profile
        self._store = store
        self._conversation = Conversation(
            name=profile.name, device=device, store=store, reader=reader, join_password=join_password
        )
        self._news = News()
        self._no_sealing_key = False
        self.searching = Searching(self, keeps=reader == PERSON)
        """The words of what was said, on this device."""
        self._link = Link(
            self._conversation,
            host=profile.host,
            port=profile.port,
            fingerprint=profile.fingerprint,
            on_change=self._conversation.reader.put_side,
            on_turn=self._news.tell,
            line=line,
        )

    @property
    def name(self) -> str:
        """Who one is here."""
        return self._conversation.name

    # Saying -----------------------------------------------------------------------------------------------------

    async def send(self, room: str, text: str, *, kind: Literal["say", "act"] = "say") -> Receipt:
        """Say something; returns once it is in the server's log.

        Cancelled before that, it stays in the outbox on disk and goes out at the next occasion. Raises WrongUsage for
        an empty or too long text, Refused where the server will not take it, or what the chat fails with; then, too,
        the message is kept.
        """
        return await self.stored(await self.queue(room, text, kind=kind), room)

    async def queue(self, room: str, text: str, *, kind: Literal["say", "act"] = "say") -> int:
        """Put something into the outbox, and return its id there once it is on disk.

        It is on its way before that, for disks are slow: where the power fails meanwhile, this home has forgotten
        what the server may have stored, and hears it from there. In a direct room it is sealed first; where that
        cannot be, nothing is kept, and the sentence says so. Raises WrongUsage; HomeError where nothing could be
        kept, and NotOnDisk where it was and the disk then failed; for a first message to somebody also Unreachable
        and Refused.
        """
        label = room_name(room)
        text = _sayable(text, MAX_SEALED_TEXT_BYTES if is_direct(label) else MAX_TEXT_BYTES)
        name = await self._sealable(label) if is_direct(label) else label
        enqueue = partial(
            self._conversation.outbox.enqueue,
            name,
            text,
            kind=Kind(kind),
            time_ms=time.time_ns() // 1_000_000,
            checkpoint=self._conversation.checkpoints.root,
        )
        outbox_id = await trio.to_thread.run_sync(enqueue)
        self._conversation.post(name)
        self._conversation.reader.put_side(OwnMessage(state="queued", room=name, outbox_id=outbox_id))
        self._news.tell()
        self._link.kick()
        try:
            await trio.to_thread.run_sync(self._conversation.outbox.sync)
        except HomeError as error:
            raise NotOnDisk(outbox_id, str(error)) from error
        return outbox_id

    @property
    def log_alarm(self) -> LogAlarm | None:
        """What is wrong with the server's log, until the person has decided; meanwhile nothing is sent."""
        return self._conversation.checkpoints.alarm

    async def stored(self, outbox_id: int, room: str) -> Receipt:
        """Wait until a queued message is in the server's log. Raises as `send` does."""
        outcomes: list[Receipt | BisikError] = []
        self._conversation.waiters.add(outbox_id, self.log_name(room), outcomes.append)
        try:
            while not outcomes:
                if self._link.failed is not None:
                    raise self._link.failed
                if not outcomes and self.log_alarm is not None:
                    raise LogMismatch(self.log_alarm.sentence)
                await self._news.wait()
        finally:
            self._conversation.waiters.drop(outbox_id)
        if isinstance(outcomes[0], BisikError):
            raise outcomes[0]
        return self._conversation.directs.told(outcomes[0])

    def why_waiting(self, room: str) -> str | None:
        """Why the server takes nothing more in a room just now; None where nothing is known to be in the way."""
        return self._conversation.why_waiting(self.log_name(room))

    @property
    def waiting(self) -> int:
        """How many messages are in the outbox."""
        return self._conversation.outbox.count()

    def queued(self, room: str) -> list[QueuedMessage]:
        """What is in the outbox for a room, in order."""
        return [
            queued
            for waiting in self._conversation.outbox.queued(self.log_name(room))
            if (queued := self.own(waiting.id)) is not None
        ]

    def own(self, outbox_id: int) -> QueuedMessage | None:
        """What a message says that went through this home's outbox not long ago."""
        said = self._conversation.outbox.said(outbox_id)
        return None if said is None else self._queued(outbox_id, said)

    def receipt(self, outbox_id: int) -> Receipt | None:
        """The receipt of a message that went through this home's outbox not long ago, if it is stored."""
        outcome = self._conversation.outbox.outcome(outbox_id)
        return self._conversation.directs.told(outcome) if isinstance(outcome, Receipt) else None

    # Direct rooms -----------------------------------------------------------------------------------------------

    async def open_direct(self, name: str) -> str:
        """The room of the conversation with somebody, `@name` by their present name; it is asked for if need be.

        Raises Refused where there is nobody of that name, Unreachable.
        """
        label = room_name(f"@{name}")
        directs = self._conversation.directs
        if not directs.knows(label):
            await self._reached()
            reply = await self._ask(partial(messages.GetDirect, name=label[1:]))
            if not isinstance(reply, messages.Direct):
                _no(reply)
            if reply.name != label[1:]:  # a person decides whom they speak to, and not the server
                words = _("The server says that {name} is called {called} now. If that is so: /msg {called}")
                raise NotKnown(words.format(name=label[1:], called=reply.name))
            try:
                self._conversation.direct_rooms.learn_untrusted(reply.room, reply.name)
            except RemoteProtocolError as error:
                raise Nonsense(error.reason) from None
            label = directs.label(reply.room)
        return label

    async def find_room(self, room: str) -> str:
        """A room's name in its one spelling, for everything else here. Raises as `open_direct` does."""
        label = room_name(room)
        if not is_direct(label):
            return label
        label = await self.open_direct(label[1:])
        await self._until(lambda: self._conversation.opener.key is not None or self._no_sealing_key)
        return label

    def follow_directs(
        self, *, presence: Presence = Presence.MEMBER, context: int = 0, history: int = MAX_PAGE_ENTRIES
    ) -> None:
        """Follow every conversation of one's own, those that begin later too."""
        self._conversation.follow_directs(presence, context=context, history=history)
        self._link.kick()

    async def list_directs(self) -> list[str]:
        """One's own conversations, `@name` each, those first in which something was said last."""
        reply = await self._ask(messages.ListDirects)
        if not isinstance(reply, messages.Directs):
            _no(reply)
        for info in reply.directs:
            self._conversation.direct_rooms.learn_untrusted(info.room, info.name)
        return [self._conversation.directs.label(info.room) for info in reply.directs]

    def ask_recipients(self, room: str) -> None:
        """Ask again which devices a direct room is sealed to: a notice tells of those that are new."""
        self._conversation.direct_rooms.ask_keys(self.log_name(room))
        self._link.kick()

    def log_name(self, room: str) -> str:
        """The log's name of a room. Raises WrongUsage, NotKnown."""
        return self._conversation.directs.room(room_name(room))

    def shown_name(self, room: str) -> str:
        """What people call a room that has this name in the log."""
        return self._conversation.directs.label(room)

    async def _sealable(self, label: str) -> str:
        """The log's name of a direct room whose recipients are known. Raises NoRecipients, Refused."""
        label = await self.open_direct(label[1:])
        name = self._conversation.directs.room(label)
        if not recipient_devices(self._store, name):
            await self._reached()
            trouble = self._conversation.direct_rooms.trouble
            trouble.pop(name, None)
            self.ask_recipients(label)
            with trio.move_on_after(KEYS_S):
                await self._until(lambda: bool(recipient_devices(self._store, name)) or name in trouble)
            if name in trouble:
                raise Refused(messages.Code.RECIPIENTS, trouble[name])
            if not recipient_devices(self._store, name):
                raise NoRecipients
        return name

    async def _reached(self) -> None:
        """Something has to be asked before anything can be sealed. Raises NoRecipients where nobody answers."""
        with trio.move_on_after(KEYS_S):
            await self._until(lambda: self._conversation.admitted or self._link.never_reached)
        if not self._conversation.admitted:
            raise NoRecipients

    async def make_sealing_key(self, home: Home) -> None:
        """Load what direct messages are sealed to for this device; where there is none yet, make it meanwhile."""
        try:
            key = await trio.to_thread.run_sync(home.sealing_key, self.profile.fingerprint)
        except HomeError as error:
            self._no_sealing_key = True
            self._conversation.reader.put_side(Notice(text=str(error)))
        else:
            self._conversation.on_sealing_key(key)
            self._link.kick()
        self._news.tell()

    async def publish(self) -> None:
        """A short command may be the first here: wait a little until others can learn what to seal to."""
        with trio.move_on_after(PUBLISH_S):
            while self._conversation.direct_rooms.is_publishing and not self._no_sealing_key:
                await self._news.wait()

    # Hearing ----------------------------------------------------------------------------------------------------

    def events(self) -> "EventStream[ChatEvent]":
        """What is said, who comes and goes, what moderators do in the rooms that were joined, for ever, from where
        this reader last was.

        An event counts as read when the next one is asked for, or the chat is closed without an error. Raises what
        the chat fails with.
        """
        return EventStream(self._next_event, lambda event: isinstance(event, ChatEvent))

    def everything(self) -> "EventStream[Event]":
        """Like `events`, with the link's state, own messages' states and notices in between."""
        return EventStream(self._next_event, lambda event: True)

    @property
    def has_events(self) -> bool:
        """Whether the next event is already there."""
        return self._conversation.reader.has_events

    async def _next_event(self) -> Event:
        await trio.lowlevel.checkpoint()
        while True:
            event = self._conversation.next_event()
            self._link.kick()
            if isinstance(event, Message):
                self.searching.on_message(event)
            if event is not None:
                return event
            self.searching.flush()
            if self._link.failed is not None:
                raise self._link.failed
            await self._news.wait()

    # Rooms ------------------------------------------------------------------------------------------------------

    @property
    def rooms(self) -> list[str]:
        """The rooms that are followed."""
        return [self.shown_name(room) for room in self._conversation.rooms]

    async def join(
        self,
        room: str,
        *,
        presence: Presence = Presence.MEMBER,
        context: int = 0,
        history: int = MAX_PAGE_ENTRIES,
    ) -> None:
        """Follow a room; returns once the server has let us in. Raises Refused.

        It begins where this reader was, or with the last `history` entries if it never was there.
        """
        name = self.log_name(await self.find_room(room))
        await self._done(partial(self._conversation.join, name, presence, context=context, history=history))
        self._remember(name, presence)

    def follow(self, room: str, *, presence: Presence = Presence.MEMBER, context: int = 0) -> None:
        """Like `join`, and does not wait."""
        name = self.log_name(room)
        self._conversation.join(name, presence, context=context)
        self._remember(name, presence)
        self._link.kick()

    def caught_up(self, room: str) -> bool:
        """Whether everything that was said in a room before this moment has come, and was taken from `events`."""
        return not self.has_events and self._conversation.caught_up(self.log_name(room))

    def seen(self, room: str) -> int | None:
        """The newest entry of a room that a person has had on the screen here; None where nobody ever looked."""
        name = self.log_name(room)
        seen = self._store.cursor(SEEN, name)
        return self._conversation.reader.cursor(name) if seen is None else seen

    def mark_seen(self, seen: Mapping[str, int]) -> None:
        """Remember, by room, the newest entry that a person has had on the screen."""
        self._store.advance(SEEN, {self.log_name(room): seq for room, seq in seen.items()}, {})

    def remembered_rooms(self) -> list[str]:
        """The rooms that were joined here and not left, in this visit or an earlier one; at first the lobby."""
        return self._store.rooms() or [LOBBY]

    def known_devices(self, name: str) -> list[bytes]:
        """The hashes of the keys that this home has seen somebody speak with, and pinned to the name."""
        return self._store.devices_of(name)

    def ignored_names(self) -> frozenset[str]:
        """Whose messages the person who uses this home does not want to see. Nothing here hides them."""
        return frozenset(self._store.ignored())

    def ignore(self, name: str, *, ignored: bool = True) -> frozenset[str]:
        """Remember that, or that it is over. The names that are ignored now."""
        self._store.ignore(name, ignored=ignored)
        return self.ignored_names()

    async def leave(self, room: str) -> None:
        """Follow a room no more."""
        name = self.log_name(room)
        self._store.forget_room(name)
        self._conversation.directs.close(name, self._conversation.position(name))
        await self._done(partial(self._conversation.leave, name))

    async def list_rooms(self) -> list[RoomInfo]:
        """All rooms of the server."""
        reply = await self._ask(messages.ListRooms)
        return reply.rooms if isinstance(reply, messages.Rooms) else _no(reply)

    async def who(self, room: str = LOBBY) -> list[MemberInfo]:
        """Who is in a room. Raises Refused where there is no such room."""
        reply = await self._ask(partial(messages.ListMembers, room=self.log_name(await self.find_room(room))))
        return reply.members if isinstance(reply, messages.Members) else _no(reply)

    async def set_away(self, text: str | None) -> None:
        """Tell who asks who is there that one is away, and why; None: back. It lasts until this chat is closed."""
        self._conversation.away = _cut(text)
        reply = await self._ask(partial(messages.SetAway, text=self._conversation.away))
        if not isinstance(reply, messages.Done):
            _no(reply)

    async def devices(self) -> list[DeviceInfo]:
        """The devices that may log in with one's name, oldest first."""
        reply = await self._ask(messages.ListDevices)
        return reply.devices if isinstance(reply, messages.Devices) else _no(reply)

    async def revoke_device(self, key_hash: bytes) -> None:
        """Take that from a device other than this one. Raises Refused."""
        reply = await self._ask(partial(messages.RevokeDevice, key_hash=key_hash))
        if not isinstance(reply, messages.Done):
            _no(reply)

    @property
    def device(self) -> bytes:
        """The hash of this device's key."""
        return self._conversation.own_key

    async def who_confirmed(self, room: str, seq: int) -> messages.Confirmed:
        """Who has an entry of a room that one is in, and who said so by hand. Raises Refused."""
        reply = await self._ask(partial(messages.GetConfirmed, room=self.log_name(room), seq=seq))
        return reply if isinstance(reply, messages.Confirmed) else _no(reply)

    def read_up_to(self, room: str, reader: str) -> int:
        """The newest entry of a room that a reader of this home has read; 0 for none."""
        return self._store.cursor(reader, self.log_name(room)) or 0

    def begin_here(self, room: str) -> None:
        """A reader that never was in a room that it has joined now: what was said before is not for it."""
        name = self.log_name(room)
        if self._conversation.reader.cursor(name) is None:
            self._conversation.reader.begin(name, self._conversation.position(name))

    def newest(self, room: str, *, own: bool = False) -> int:
        """The newest entry of a room that has come here, or the newest one that went out from here; 0 for none."""
        name = self.log_name(room)
        return self._conversation.outbox.newest_stored(name) if own else self._conversation.position(name)

    def confirm(self, room: str, seq: int) -> None:
        """Confirm by hand what was said in a room up to this entry. That it has arrived is said without asking."""
        self._conversation.confirm(self.log_name(room), seq)
        self._link.kick()

    @property
    def role(self) -> Role:
        """One's own, as the server said at the last login."""
        return self._conversation.role

    def topic(self, room: str) -> str:
        """The topic of a room that is followed, as far as it has come; empty where there is none."""
        return self._conversation.topic(self.log_name(room))

    def history(self, room: str = LOBBY) -> Archive:
        """What was said in a room, from the server's log. Raises NotKnown where `find_room` has to come first."""
        talk = self._conversation
        return Archive(self.log_name(room), self._ask, talk.authors, talk.opener, talk.directs)

    async def prove(self, room: str, seq: int) -> Proof:
        """The proof that a message is in the server's log, which goes on from the one that this home has seen.

        It is not judged here. Raises Refused where there is no such entry, LogMismatch, Nonsense.
        """
        conversation = self._conversation
        return await fetch_proof(self._ask, conversation.checkpoints, conversation.authors, self.log_name(room), seq)

    def read(self, proved: Proved) -> str | None:
        """What was said in a message that was proved; None where this device cannot open it."""
        statement = proved.statement
        if isinstance(statement, Statement):
            return statement.text
        try:
            return self._conversation.opener.open_untrusted(statement, statement_hash(proved.entry.statement)).text
        except RemoteProtocolError:
            return None

    # How things are ---------------------------------------------------------------------------------------------

    @property
    def last_trouble(self) -> str | None:
        """Why the last try to reach the server failed, or the last connection ended."""
        return self._link.last_trouble

    @property
    def link_state(self) -> LinkState:
        return self._link.state

    @property
    def offline(self) -> bool:
        """Whether it is known that the server cannot be asked now; while the first try is under way it may yet be."""
        state = self._link.state
        return state in (LinkState.WAITING, LinkState.SILENT) or (
            state is LinkState.CONNECTING and self._link.last_trouble is not None
        )

    def stats(self) -> ConnectionStats | None:
        """How the connection does: round trip, losses. None while there is none."""
        return self._link.stats()

    async def wait_admitted(self, timeout_s: float, *, patient: bool = True) -> None:
        """Until the server has let us in. Without patience the first failed round of trying is enough.

        Raises Unreachable, IdentityMismatch or Refused.
        """
        with trio.move_on_after(timeout_s):
            while not self._conversation.admitted:
                if self._link.failed is not None:
                    raise self._link.failed
                if self._link.never_reached and not patient:
                    break
                await self._news.wait()
        if not self._conversation.admitted:
            raise Unreachable(
                self._link.last_trouble or _("{address} does not answer.").format(address=self.profile.address)
            )

    # Inside -----------------------------------------------------------------------------------------------------

    def _queued(self, outbox_id: int, said: Said) -> QueuedMessage:
        return QueuedMessage(
            outbox_id=outbox_id, room=self.shown_name(said.room), text=said.text, kind=said.kind.value
        )

    def _remember(self, room: str, presence: Presence) -> None:
        if is_direct(room):
            self._conversation.directs.reopen(room)
        elif presence is Presence.MEMBER:
            self._store.remember_room(room)

    def _ask(self, make: MakeRequest) -> "_Question":
        question = _Question(self)
        self._conversation.ask(make, question.replies.append)
        self._link.kick()
        return question

    async def _done(self, start: Callable[..., None]) -> None:
        replies: list[BisikError | None] = []
        start(on_reply=replies.append)
        self._link.kick()
        await self._until(lambda: bool(replies))
        if replies[0] is not None:
            raise replies[0]

    async def _until(self, condition: Callable[[], bool]) -> None:
        while not condition():
            if self._link.failed is not None:
                raise self._link.failed
            await self._news.wait()


class _Question:
    """Asked; to be awaited for its reply, or not."""

    def __init__(self, chat: Chat) -> None:
        self.replies: list[Reply] = []
        self._chat = chat

    def __await__(self) -> Generator[Any, None, Reply]:
        return self._reply().__await__()

    async def _reply(self) -> Reply:
        await self._chat._until(lambda: bool(self.replies))
        return self.replies[0]


class EventStream(Generic[E]):
    """Events for `async for`. Unlike an async generator it may be dropped at any point, and begun again."""

    def __init__(self, next_event: Callable[[], Awaitable[Event]], is_wanted: Callable[[Event], bool]) -> None:
        self._next_event = next_event
        self._is_wanted = is_wanted

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> E:
        while True:
            event = await self._next_event()
            if self._is_wanted(event):
                return cast(E, event)


@asynccontextmanager
async def open_chat(
    invite: str | None = None,
    *,
    name: str | None = None,
    home: str | Path | None = None,
    rooms: Sequence[str] | None = _LOBBY_AND_DIRECTS,
    presence: Presence = Presence.MEMBER,
    reader: str = "library",
    context: int = 0,
    connect_timeout_s: float | None = CONNECT_TIMEOUT_S,
) -> AsyncIterator[Chat]:
    """Open a chat: register `name` at the first use of an invite, log in with this home's device after that.

    Without an invite, the server that this home used last. `rooms` are followed from the start; None stands for those
    that a person joined here. Where none are named, one's own conversations are followed too. `reader` names the
    place in each room that is gone on from. Without a timeout it opens at once, offline if need be.

    Raises Refused, Unreachable, IdentityMismatch, HomeError, NotKnown, WrongUsage.
    """
    home_ = Home.locate(home)
    visitor = who_visits(home_, invite, name)
    first = isinstance(visitor, FirstVisit)
    async with _open_visit(home_, visitor, reader=reader) as chat:
        for room in chat.remembered_rooms() if rooms is None else rooms:
            if not is_direct(room):
                chat.follow(room, presence=presence, context=context)
        if first:
            await chat.wait_admitted(REPLY_S, patient=False)
            _remember_name(home_, chat.profile, chat.name)
        for room in chat.remembered_rooms() if rooms is None else rooms:
            if is_direct(room):
                await chat.join(room, presence=presence, context=context)
        if rooms is None or rooms is _LOBBY_AND_DIRECTS:
            chat.follow_directs(presence=presence, context=context)
        if connect_timeout_s is not None:
            await chat.wait_admitted(connect_timeout_s)
        yield chat


def _open_visit(home: Home, visitor: Profile | FirstVisit, *, reader: str) -> AbstractAsyncContextManager[Chat]:
    if isinstance(visitor, FirstVisit):
        return _open_first_visit(home, visitor, reader=reader)
    return open_profile(home, visitor, reader=reader)


@asynccontextmanager
async def _open_first_visit(home: Home, first: FirstVisit, *, reader: str) -> AsyncIterator[Chat]:
    """Registering is the beginning of the chat, on the same connection. The home knows nothing of it yet."""
    device, line = await arrive(home, host=first.host, port=first.port, fingerprint=first.fingerprint)
    profile = Profile(
        name=first.name,
        host=first.host,
        port=first.port,
        fingerprint=first.fingerprint,
        folder=home.folder(first.fingerprint),
    )
    with closing(line):
        store = await trio.to_thread.run_sync(Store, profile.store_path)
        chat = Chat(profile, store, device, reader=reader, join_password=first.join_password, line=line)
        async with _opened(home, chat):
            yield chat


@asynccontextmanager
async def open_profile(home: Home, profile: Profile, *, reader: str) -> AsyncIterator[Chat]:
    """Open a chat as somebody whom this home already knows, with no rooms; it connects in the background."""
    device = await device_of(home, profile.fingerprint)
    store = await trio.to_thread.run_sync(Store, profile.store_path)
    chat = Chat(profile, store, device, reader=reader)
    async with _opened(home, chat):
        yield chat


@asynccontextmanager
async def _opened(home: Home, chat: Chat) -> AsyncIterator[None]:
    """Hold a chat's link, and put everything away after that."""
    chat._conversation.on_renamed = partial(_remember_name, home, chat.profile)
    with closing(chat._store), closing(chat.searching):
        async with held(chat._link, beside=partial(chat.make_sealing_key, home)):
            yield
            await chat.publish()
            chat._conversation.reader.done()
        chat._conversation.reader.save()


def _remember_name(home: Home, profile: Profile, name: str) -> None:
    home.save(name=name, host=profile.host, port=profile.port, fingerprint=profile.fingerprint)


def _no(reply: Reply) -> NoReturn:
    if isinstance(reply, messages.Refused):
        raise Refused(reply.code, reply.text)
    raise Nonsense("reply")


def _cut(text: str | None) -> str | None:
    """As much of it as others are shown."""
    return text and (text.encode("utf-8", "ignore")[: messages.MAX_AWAY_BYTES].decode("utf-8", "ignore") or None)


def _sayable(text: str, max_text_bytes: int) -> str:
    """What may be signed: text that is UTF-8 and neither empty nor too long. Raises WrongUsage."""
    text = text.encode("utf-8", "replace").decode("utf-8")
    if not text.strip():
        raise WrongUsage(_("There is nothing to send."))
    size = len(text.encode())
    if size > max_text_bytes:
        raise WrongUsage(
            _("That is too long for one message: {size} bytes, and {max_text_bytes} are the most.").format(
                size=size, max_text_bytes=max_text_bytes
            )
        )
    return text
