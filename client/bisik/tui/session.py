"""Between the chat and the screen: the Trio tasks of the UI, and what typed lines ask of an interface.

Events of the chat change the rooms, and the screen is told what to draw again. What is asked of the server is asked
here, in tasks of its own, so that nothing that is typed or scrolled ever waits for the network. It knows no widgets:
the screen is a `Face`.
"""

from collections.abc import Callable, Sequence
from contextlib import AbstractAsyncContextManager, suppress
from typing import Final, Protocol

import trio

from bisik.chat import Chat
from bisik.desk import Desk
from bisik.errors import BisikError, NotOnDisk, NotStored
from bisik.events import ChatEvent, Event, Join, Leave, LinkChanged, Message, Notice, OwnMessage
from bisik.i18n import _, ngettext
from bisik.news import News
from bisik.render import Renderer
from bisik.slash import Where
from bisik.tui.linkbar import LinkBar, LinkText
from bisik.tui.past import Past
from bisik.tui.ring import Bell
from bisik.tui.room import Member, Pending, RoomView, Told
from bisik.tui.rooms import Ring, Rooms
from bisik.typed import Command, Say, read_typed
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import MemberInfo, Role
from bisik_protocol.chat.names import LOBBY

CONTEXT: Final = 40  # entries already read that a person who comes back is shown again
TICK_S: Final = 0.5
MEMBERS_EVERY_S: Final = 30.0
MEMBERS_PAUSE_S: Final = 1.0
ASK_S: Final = 8.0
PARTING_S: Final = 2.0
MAX_TYPED: Final = 500  # messages on their way to the disk

OpenChat = Callable[[], AbstractAsyncContextManager[Chat]]


class Face(Protocol):
    """What draws. None of it may wait."""

    def accept_lines(self) -> None:
        """The session takes what is typed from now on."""

    def draw_room(self, room: RoomView) -> None:
        """Something in a room is different."""

    def show_room(self, room: RoomView) -> None:
        """This room is on the screen now."""

    def draw_link(self, link: LinkText) -> None: ...

    def draw_status(self) -> None: ...

    def write(self, sequence: str) -> None:
        """Give something to the terminal that makes a noise."""

    def give_back(self, room: str, line: str) -> None:
        """A line that was typed in a room and not taken."""

    def carry_out(self, command: Command) -> None:
        """A command that is about the screen."""

    @property
    def reading(self) -> int | None:
        """The position in the current room that somebody reads at; None where the end is followed."""


class Session:
    """A person at a screen, in the rooms of one chat. It is the desk's front."""

    where = Where.SCREEN

    def __init__(self, open_chat: OpenChat, rooms: Rooms, face: Face, bell: Bell) -> None:
        self.queued = 0
        """How many messages wait in the outbox."""
        self._open_chat = open_chat
        self._rooms = rooms
        self._face = face
        self._bell = bell
        self._link = LinkBar()
        self._chat: Chat | None = None
        self._desk: Desk | None = None
        self._nursery: trio.Nursery | None = None
        self._typed, self._to_say = trio.open_memory_channel[tuple[str, Say]](MAX_TYPED)
        self._leaving = trio.Event()
        self._members_wanted = trio.Event()
        self._heard = News()
        self._past: Past | None = None
        self._failure: BisikError | None = None
        self._saved: dict[str, int] = {}

    async def run(self) -> None:
        """Until the person leaves. Raises what the chat fails with, and NotStored where something still waits."""
        async with self._open_chat() as chat:
            desk = Desk(chat, self)
            self._chat, self._desk = chat, desk
            self._enter(chat)
            async with trio.open_nursery() as self._nursery:
                self._past = Past(chat, self._rooms, self._face, self._nursery, hides=desk.hides, tell=self._tell)
                for task in (self._hear, self._say, self._tick, self._watch_members):
                    self._nursery.start_soon(task, chat)
                self._face.accept_lines()
                await self._leaving.wait()
                await self._part(chat)
                self._nursery.cancel_scope.cancel()
            self._nursery = self._past = None
            self._save_seen(chat)
            waiting = chat.waiting
        if self._failure is not None:
            raise self._failure
        if waiting:
            raise NotStored(
                ngettext(
                    "{n} of your messages could not be sent yet: kept, and sent the next time.",
                    "{n} of your messages could not be sent yet: kept, and sent the next time.",
                    waiting,
                ).format(n=waiting)
            )

    # Asked by the screen ----------------------------------------------------------------------------------------

    def type(self, line: str) -> None:
        """A line was typed and sent."""
        typed = read_typed(line, self.where)
        if self._nursery is None or self._desk is None:
            return
        if isinstance(typed, Say):
            try:
                self._typed.send_nowait((self.room, typed))
            except trio.WouldBlock:
                self.tell(_("That was faster than the disk; it was not taken. Once more, please."))
        elif typed is not None:
            self._nursery.start_soon(self._desk.take, line)

    def choose(self, name: str) -> None:
        """Go to a room that is followed."""
        room = self._rooms.show(name)
        self._members_wanted.set()
        self._face.show_room(room)

    def fetch(self, room: RoomView, *, older: bool) -> None:
        """An end of a room's window is near: get what follows there."""
        if self._past is not None:
            self._past.fetch(room, older=older)

    def newest(self, room: RoomView) -> None:
        """Forget the part of the past that is in the window, and get the newest page."""
        if self._past is not None:
            self._past.newest(room)

    @property
    def fetching(self) -> bool:
        """Whether a part of the room on the screen is on its way."""
        current = self._rooms.current
        return current is not None and self._past is not None and self._past.is_fetching(current.name)

    # What the desk asks of its front ----------------------------------------------------------------------------

    @property
    def room(self) -> str:
        """The room that is spoken in."""
        return LOBBY if self._rooms.current is None else self._rooms.current.name

    def tell(self, sentence: str) -> None:
        self._tell(Told(text=sentence))

    def show_list(self, lines: Sequence[str]) -> None:
        self._tell(Told(text="\n".join(lines), style="list"))

    def show_past(self, events: Sequence[ChatEvent | Notice]) -> None:
        past = Renderer()
        past.room = self.room
        lines = [line for event in events for line in (past.day_line(event), past.line(event)) if line is not None]
        self.show_list(lines)

    def speak_in(self, room: str) -> None:
        if self._chat is not None:
            self._open(self._chat, room)
        self.choose(room)

    def on_left(self, room: str) -> None:
        self._rooms.close(room)
        names = self._rooms.names()
        if self._rooms.current is None and names:
            self.choose(names[0])
        self._face.draw_status()

    def give_back(self, room: str, line: str) -> None:
        self._face.give_back(room, line)

    def carry_out(self, command: Command) -> None:
        self._face.carry_out(command)

    def quit(self) -> None:
        self._leaving.set()

    # Tasks ------------------------------------------------------------------------------------------------------

    def _enter(self, chat: Chat) -> None:
        names = chat.remembered_rooms()
        for name in names:
            chat.follow(name, context=CONTEXT)
        chat.follow_directs(context=CONTEXT)
        for name in chat.rooms:
            self._open(chat, name)
        self.choose(LOBBY if LOBBY in names else names[0])

    def _open(self, chat: Chat, name: str) -> None:
        known = self._rooms.get(name)
        if known is not None and known.is_open:
            return
        room = self._rooms.open(name)
        room.is_open = True
        room.seen = chat.seen(name)
        if room.seen is None and is_direct(name):
            room.seen = 0  # nobody came in here to look: all of it is for the person
        for queued in chat.queued(name):
            room.queue(Pending(outbox_id=queued.outbox_id, text=queued.text, act=queued.kind == "act"))

    async def _hear(self, chat: Chat) -> None:
        try:
            async for event in chat.everything():
                self._handle(chat, event)
                self._heard.tell()
        except BisikError as error:
            self._failure = error
            self._leaving.set()

    def _handle(self, chat: Chat, event: Event) -> None:
        if isinstance(event, LinkChanged):
            self._link.handle(event, trio.current_time())
            self._draw_link(chat)
            if self._past is not None:
                self._past.on_link()
            return
        if self._desk is not None and isinstance(event, Message) and self._desk.hides(event):
            self._rooms.skip(event)
            return
        if isinstance(event, Message | OwnMessage) and is_direct(event.room) and event.room in chat.rooms:
            self._open(chat, event.room)  # a conversation that somebody else has begun
        if isinstance(event, OwnMessage):
            self._on_own(chat, event)
        elif isinstance(event, Message) and event.author == self._rooms.me:
            self._settle(chat, event.room)
        worth = self._rooms.handle(event)
        if isinstance(event, Message) and worth is not Ring.NOTHING:
            self._face.write(self._bell.ring(worth, event.author, event.text, trio.current_time()))
        if isinstance(event, Join | Leave):
            self._members_wanted.set()
        room = self._rooms.get(event.room) if event.room is not None else self._rooms.current
        if room is not None:
            self._face.draw_room(room)

    def _on_own(self, chat: Chat, event: OwnMessage) -> None:
        room = self._rooms.get(event.room)
        self.queued = chat.waiting
        if room is None:
            return
        if event.outbox_id not in room.pending and event.state in ("queued", "failed"):
            said = chat.own(event.outbox_id)
            if said is not None:
                room.queue(Pending(outbox_id=event.outbox_id, text=said.text, act=said.kind == "act"))
        if event.state == "stored":
            self._settle(chat, event.room)
        elif event.state == "delivered" and (receipt := chat.receipt(event.outbox_id)) is not None:
            room.confirm(receipt.id, event.delivered, event.members)

    def _settle(self, chat: Chat, name: str) -> None:
        """Which of the messages on their way are in the log, through whichever process of this home."""
        room = self._rooms.get(name)
        for outbox_id, pending in [] if room is None else list(room.pending.items()):
            if pending.state == "queued" and (receipt := chat.receipt(outbox_id)) is not None:
                self._rooms.on_stored(name, outbox_id, receipt.id)

    async def _say(self, chat: Chat) -> None:
        """Put messages into the outbox, one after the other, as they were typed."""
        async for room, say in self._to_say:
            try:
                await chat.queue(room, say.text, kind="act" if say.act else "say")
            except BisikError as error:
                self._tell(Told(text=str(error), style="notice"))
                if not isinstance(error, NotOnDisk):
                    self.give_back(room, f"/me {say.text}" if say.act else say.text)

    async def _tick(self, chat: Chat) -> None:
        while True:
            self._draw_link(chat)
            self.queued = chat.waiting
            for room in self._rooms:
                if room.seen is None and chat.caught_up(room.name):
                    self._rooms.on_caught_up(room.name)
            self._save_seen(chat)
            if self._rooms.current is not None:
                self._rooms.current.topic = chat.topic(self._rooms.current.name)
            self._face.draw_status()
            await trio.sleep(TICK_S)

    def _draw_link(self, chat: Chat) -> None:
        self._face.draw_link(self._link.text(chat.stats(), trio.current_time()))

    def _save_seen(self, chat: Chat) -> None:
        seen = {room.name: room.seen for room in self._rooms if room.seen is not None}
        if seen != self._saved:
            chat.mark_seen(seen)
            self._saved = seen

    async def _watch_members(self, chat: Chat) -> None:
        while True:
            self._members_wanted = trio.Event()
            room = self._rooms.current
            if room is not None:
                with trio.move_on_after(ASK_S), suppress(BisikError):
                    members = await chat.who(room.name)
                    room.members = tuple(map(_member, members))
                    self._face.draw_room(room)
                await trio.sleep(MEMBERS_PAUSE_S if room is self._rooms.current else 0)
            with trio.move_on_after(MEMBERS_EVERY_S):
                await self._members_wanted.wait()

    async def _part(self, chat: Chat) -> None:
        """Wait a little for what is still on its way."""
        with trio.move_on_after(PARTING_S):
            while chat.waiting and self._failure is None:
                await self._heard.wait()

    def _tell(self, told: Told) -> None:
        self._rooms.tell(told)
        if self._rooms.current is not None:
            self._face.draw_room(self._rooms.current)


def _member(info: MemberInfo) -> Member:
    mark = {Role.OWNER: "~", Role.MODERATOR: "@"}.get(info.role, "")
    return Member(name=info.name, here=info.reachable and info.away is None, mark=mark)
