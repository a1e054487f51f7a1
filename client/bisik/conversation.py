"""A chat without its input and output: messages of lanes and time in, messages of lanes and events out.

It logs in with the device's key, joins the rooms that are wanted, and posts what the outbox holds. It outlives
connections: whoever drives it says when one stands and when it is gone, and what was wanted is asked for again. The
same code runs under Trio and under virtual time.

It orchestrates. Numbers and replies are in `requests`, lanes in `lanes`, the way from a room to the reader in
`incoming`, the rules of sending in `outbox` and `posting`.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import partial
from typing import Final

from bisik.admission import Admission
from bisik.authors import Authors
from bisik.checkpoints import Checkpoints, LogAlarm
from bisik.confirming import Confirming
from bisik.direct_rooms import MAX_FOLLOWED, DirectRooms
from bisik.directs import Directs
from bisik.errors import BisikError, Refused
from bisik.events import Event, Notice, OwnMessage
from bisik.i18n import _
from bisik.incoming import Followed, Incoming, decode_entry_of_untrusted
from bisik.lanes import Lanes
from bisik.opener import Opener
from bisik.outbox import Outbox
from bisik.posting import Posting
from bisik.reader import Reader
from bisik.requests import MakeRequest, OnReply, Requests, refusal_untrusted
from bisik.rooms import RoomFeed
from bisik.store import Store
from bisik.waiters import Waiters
from bisik_protocol.chat import messages
from bisik_protocol.chat.direct_names import is_direct
from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    MAX_PAGE_ENTRIES,
    Code,
    MessageEntry,
    Presence,
    Reply,
    Role,
    TopicEntry,
)
from bisik_protocol.chat.statements import decode_any_statement_untrusted, statement_hash
from bisik_protocol.crypto.identity import ServerPublic, SigningKey
from bisik_protocol.crypto.sealing_key import SealingKey

PROOF_RETRY_S: Final = 5.0  # the server could not prove its log: how long until it is asked again
DECISION_LOOK_S: Final = 2.0  # between two looks whether the person has decided, which happens in another process

OnRoom = Callable[[Refused | None], None]


@dataclass(slots=True, eq=False)
class _Room:
    followed: Followed
    posting: Posting
    joining: list[OnRoom] = field(default_factory=list)
    asked: bool = False
    """Whether this connection's answer to a JoinRoom is still to come."""
    topic: str = ""
    why_waiting: str | None = None
    """Why the server takes nothing more in the room just now."""

    @property
    def feed(self) -> RoomFeed:
        return self.followed.feed


class Conversation:
    """One member's side of the chat, through any number of connections."""

    def __init__(
        self, *, name: str, device: SigningKey, store: Store, reader: str, join_password: str | None = None
    ) -> None:
        """`reader` names the place in each room that is gone on from: one home may have several readers.

        With a join password the name is registered, on the first connection on which that can be.
        """
        self.name = name
        self.outbox = Outbox(store, device)
        self.reader = Reader(store, reader)
        self.authors = Authors(store)
        self.waiters = Waiters(self.outbox)
        self.checkpoints = Checkpoints(store)
        self.on_renamed: Callable[[str], None] = lambda name: None
        """Told when the server says that the account has another name now."""
        self.away: str | None = None
        """What others see who ask who is there; said again on every connection."""
        self.admitted = False
        self.role = Role.MEMBER
        self.failure: BisikError | None = None
        """The server will not have us; connecting again is of no use."""
        self.come_back_later: str | None = None
        """The server asks for patience, in its own words. The connection is to be given up for a while."""
        self._store = store
        self._device = device
        self._admission = Admission(device, join_password)
        self.own_key = device.public.key_hash
        if join_password is None:
            self._pin_own_key()
        self._requests = Requests()
        self.directs = Directs(store)
        self.opener = Opener(self.own_key)
        self._incoming = Incoming(self.reader, self.authors, self._requests, self.opener, self.directs, name=name)
        self.direct_rooms = DirectRooms(
            store=store,
            device=device,
            authors=self.authors,
            requests=self._requests,
            directs=self.directs,
            opener=self.opener,
            reader=self.reader,
            join=self._join_direct,
            on_keys=self._on_recipients,
        )
        self._direct_presence = Presence.MEMBER
        self._direct_context = 0
        self._direct_history = MAX_PAGE_ENTRIES
        self._lanes = Lanes()
        self._rooms: dict[str, _Room] = {}
        self._leaving: list[OnRoom] = []
        self._look_at_log: float | None = None  # when to ask again, or to see whether the person has decided
        self._told_alarm: LogAlarm | None = None
        self._posts: list[tuple[int, bytes]] = []
        self._confirming = Confirming()
        self._now = 0.0  # when anything came, or was looked for, last

    # Told by whoever drives it ----------------------------------------------------------------------------------

    def on_connected(self, channel_binding: bytes, server: ServerPublic) -> None:
        """A connection stands. Everything that is wanted goes out in one flight."""
        self.come_back_later = None
        self._look_at_log = None
        self._requests.open()
        self._admission.ask(self._requests, self.name, channel_binding, self._on_login_untrusted)
        self._prove_log(self.checkpoints.begin(server))
        for name in self.outbox.rooms():
            if name not in self._rooms:
                self._follow(name, Presence.WRITER)
        if self.away is not None:
            self._requests.ask(partial(messages.SetAway, text=self.away), lambda _reply: None, again=False)
        for room in self._rooms.values():
            self._ask_to_join(room)
        self._requests.release()

    def on_disconnected(self) -> None:
        """The connection is gone. Nothing is lost: what was under way is asked for again on the next one."""
        self.admitted = False
        self._requests.close()
        self._posts.clear()
        self.direct_rooms.on_disconnected()
        self._lanes = Lanes()
        for room in self._rooms.values():
            room.asked = False
            room.feed.on_disconnected()
            room.posting.on_disconnected()
        leaving, self._leaving = self._leaving, []
        for on_reply in leaving:
            on_reply(None)

    def receive_message_untrusted(self, lane: int, data: bytes, now: float) -> None:
        """A message came. Raises RemoteProtocolError: then the connection must be closed."""
        self._now = now
        if lane == CONTROL_LANE:
            self._on_control_untrusted(data, now)
        else:
            name = self._lanes.route_untrusted(lane, data)
            if name is not None:
                self._on_entry_untrusted(self._rooms[name], data)

    def messages_to_send(self) -> list[tuple[int, bytes]]:
        """(lane, message) pairs for the connection that stands."""
        posts, self._posts = self._posts, []
        return [(CONTROL_LANE, request) for request in self._requests.take()] + posts + self._confirmations()

    @property
    def is_expecting(self) -> bool:
        """Whether the server owes an answer, so that hearing nothing would be strange."""
        return self._requests.unanswered or any(not room.posting.idle for room in self._rooms.values())

    def next_timeout(self) -> float | None:
        times = [self._look_at_log, *(room.posting.retry_at for room in self._rooms.values())]
        if self.admitted:
            times.append(self._confirming.next_timeout())
        return min((time for time in times if time is not None), default=None)

    def handle_timeout(self, now: float) -> None:
        self._now = now
        if self._look_at_log is not None and now >= self._look_at_log:
            self._look_at_log = None
            self._look_again_at_log()
        for room in self._rooms.values():
            room.posting.handle_timeout(now)
            self._go_on_if_needed(room)

    # Asked by the program ---------------------------------------------------------------------------------------

    @property
    def rooms(self) -> list[str]:
        """The rooms that are followed."""
        return [name for name, room in self._rooms.items() if room.feed.presence is not Presence.WRITER]

    def caught_up(self, name: str) -> bool:
        """Whether a room was joined, and all that the server was then known to have of it has come."""
        room = self._rooms.get(name)
        return room is not None and room.feed.caught_up

    def topic(self, name: str) -> str:
        """The topic of a room that is followed, as the server last said."""
        room = self._rooms.get(name)
        return "" if room is None else room.topic

    def why_waiting(self, name: str) -> str | None:
        """Why the server takes nothing more in a room just now, in a sentence for a person."""
        room = self._rooms.get(name)
        return None if room is None else room.why_waiting

    def next_event(self) -> Event | None:
        """The next event for the reader, or None. Asking means that the one before was dealt with."""
        event = self._incoming.next_event()
        return None if event is None else self.directs.told(event)

    def ask(self, make: MakeRequest, on_reply: OnReply) -> None:
        """Ask a question, on this connection or the next."""
        self._requests.ask(make, on_reply)

    def join(
        self,
        name: str,
        presence: Presence = Presence.MEMBER,
        *,
        on_reply: OnRoom | None = None,
        context: int = 0,
        history: int = MAX_PAGE_ENTRIES,
    ) -> None:
        """Follow a room from where the reader was, or from its last `history` entries if the reader never was there.

        `context` is how many entries, already read, to give once more. The room's name is canonical.
        """
        room = self._rooms.get(name)
        if room is None or room.feed.presence is not presence:
            if room is not None:
                self._leave_lane(room)
            room = self._follow(name, presence, context=context, history=history)
        if room.feed.lane is not None:
            if on_reply is not None:
                on_reply(None)
            return
        if on_reply is not None:
            room.joining.append(on_reply)
        if not room.asked:
            self._ask_to_join(room)

    def leave(self, name: str, *, on_reply: OnRoom | None = None) -> None:
        """Follow the room no more. What waits to be posted there still goes out."""
        room = self._rooms.pop(name, None)
        self._confirming.forget(name)
        if room is not None:
            self._leave_lane(room, on_reply)
        elif on_reply is not None:
            on_reply(None)
        if name in self.outbox.rooms():
            self.post(name)

    def post(self, name: str) -> None:
        """Something was put into the outbox for this room: send it as soon as that can be."""
        room = self._rooms.get(name)
        if room is not None:
            self._flush(room)
        elif self.direct_rooms.follows and name in self.directs.open_rooms():
            self._join_direct(name)  # who only wrote there would not be told of anything any more
        else:
            self._ask_to_join(self._follow(name, Presence.WRITER))

    def position(self, name: str) -> int:
        """The newest entry of a room that has come, or was read before; 0 for none."""
        room = self._rooms.get(name)
        return 0 if room is None else max(room.feed.position or 0, room.followed.read)

    def confirm(self, name: str, seq: int) -> None:
        """The person confirms what was said in a room, up to this entry. For good: it is said again when needed."""
        self._store.confirm(name, seq)
        self._confirming.by_hand(name, seq)

    # The control lane -------------------------------------------------------------------------------------------

    def _on_control_untrusted(self, data: bytes, now: float) -> None:
        message = messages.decode_from_daemon_untrusted(data)
        if isinstance(message, messages.PostRefused):
            room = self._rooms.get(message.room)
            if room is not None:
                self._on_post_refused(room, message, now)
        elif isinstance(message, messages.Delivered):
            self._on_delivered(message)
        elif isinstance(message, messages.PutOut):
            self._on_put_out(message)
        elif isinstance(message, messages.DirectNews):
            self.direct_rooms.on_news_untrusted(message)
        elif isinstance(message, messages.CheckpointSeen):
            if self.admitted:
                self._prove_log(self.checkpoints.on_seen(message.note))
                self._on_log_judged()
        else:
            self._requests.answer_untrusted(message)

    def _on_login_untrusted(self, reply: Reply) -> None:
        if isinstance(reply, messages.Admitted):
            self.admitted = True
            self._pin_own_key()
            if reply.name != self.name:
                self._on_renamed(reply.name)
            self.role = reply.role
            self.checkpoints.on_admitted(reply.checkpoint)
            self.direct_rooms.on_admitted(reply.name, reply.sealing)
            self._on_log_judged()
            if self._admission.came_late:
                for room in self._rooms.values():
                    self._ask_to_join(room)
            return
        refused = refusal_untrusted(reply)
        if self._admission.is_first:
            self.failure = refused
        elif refused.code in (Code.TRY_LATER, Code.STORAGE):
            self.come_back_later = str(refused)
        elif refused.code is Code.INCORRECT_PASSWORD:  # all that a stranger is told
            hint = f"bisik login INVITE --name {self.name}"
            sentence = _(
                "The server does not know this device. Come in with an invite and the login ID: {hint}"
            ).format(hint=hint)
            self.failure = Refused(refused.code, sentence)
        else:
            self.failure = refused

    def _pin_own_key(self) -> None:
        """From now on nobody else can have this device's key, and what it says is this person's."""
        if self._store.device(self.own_key) is None:
            self._store.pin_device(self.own_key, self.name, self._device.public.modulus)

    def _on_renamed(self, name: str) -> None:
        """The server's operator has given the account another name."""
        self.authors.on_renamed(self.own_key, name)
        self.name = name
        self.on_renamed(name)
        self.reader.put_side(
            Notice(text=_("You are called {name} from now on: the server's operator renamed you.").format(name=name))
        )

    # The log ----------------------------------------------------------------------------------------------------

    def _prove_log(self, size: int | None) -> None:
        """Ask the server to prove that its log continues the one of this size, if there is one to ask about."""
        if size is not None:
            question = partial(messages.GetConsistency, size=size)
            self._requests.ask(question, partial(self._on_proof_untrusted, size), again=False)

    def _on_proof_untrusted(self, size: int, reply: Reply) -> None:
        if not self.checkpoints.on_reply_untrusted(size, reply):
            self._look_at_log = self._now + PROOF_RETRY_S
            if not self.checkpoints.proved:
                self.reader.put_side(Notice(text=refusal_untrusted(reply).args[0]))
        self._on_log_judged()

    def _look_again_at_log(self) -> None:
        if self.checkpoints.alarm is not None and not self.checkpoints.decided:
            self._look_at_log = self._now + DECISION_LOOK_S
            return
        self._prove_log(self.checkpoints.again())
        self._on_log_judged()

    def _on_log_judged(self) -> None:
        """Send what waits, or say why it is not sent."""
        alarm = self.checkpoints.alarm
        if alarm is not None:
            self._look_at_log = self._now + DECISION_LOOK_S
            if alarm != self._told_alarm:
                self.reader.put_side(Notice(text=alarm.sentence))
        self._told_alarm = alarm
        if self.checkpoints.proved:
            for room in self._rooms.values():
                self._flush(room)

    # Rooms ------------------------------------------------------------------------------------------------------

    def _follow(self, name: str, presence: Presence, *, context: int = 0, history: int = MAX_PAGE_ENTRIES) -> _Room:
        followed = self._incoming.follow(name, presence, context=context, history=history)
        room = self._rooms[name] = _Room(followed, Posting(name, self.outbox))
        return room

    def _ask_to_join(self, room: _Room) -> None:
        if is_direct(room.feed.room) and self.opener.key is None:
            return  # what is there could not be read; it is joined as soon as that can be
        room.asked = self._requests.is_open
        self._requests.ask(room.feed.join_request, partial(self._on_joined_untrusted, room), again=False)

    def _go_on_if_needed(self, room: _Room) -> None:
        if room.posting.wants_keys:
            room.posting.wants_keys = False
            self.direct_rooms.ask_keys(room.feed.room)
        if room.posting.take_rejoin():
            self._ask_to_join(room)

    def _leave_lane(self, room: _Room, on_reply: OnRoom | None = None) -> None:
        self._incoming.unfollow(room.followed)
        if room.feed.lane is not None:
            self._lanes.retire(room.feed.lane)
        if not self._requests.is_open:
            if on_reply is not None:
                on_reply(None)
            return
        if on_reply is not None:
            self._leaving.append(on_reply)
        self._requests.ask(
            partial(messages.LeaveRoom, room=room.feed.room), partial(self._on_left_untrusted, on_reply), again=False
        )

    def _on_left_untrusted(self, on_reply: OnRoom | None, reply: Reply) -> None:
        refused = None if isinstance(reply, messages.Done) else refusal_untrusted(reply)
        if on_reply is not None:
            self._leaving.remove(on_reply)
            on_reply(None if refused is None or refused.code is Code.NOT_JOINED else refused)

    def _on_joined_untrusted(self, room: _Room, reply: Reply) -> None:
        name = room.feed.room
        room.asked = False
        wanted = self._rooms.get(name) is room
        if not isinstance(reply, messages.Joined):
            refused = refusal_untrusted(reply)
            if wanted:
                self._on_join_refused(room, refused)
            return
        if not wanted:
            self._lanes.retire(reply.lane)
            return
        self._on_lane(room)
        early = self._lanes.open(reply.lane, name)
        if not room.feed.on_joined(reply):
            self._incoming.on_log_shorter(room.followed)
        room.topic = reply.topic
        room.posting.on_joined(reply)
        if is_direct(name) and room.feed.presence is Presence.MEMBER:
            self.direct_rooms.on_joined(name)
        joining, room.joining = room.joining, []
        for on_reply in joining:
            on_reply(None)
        self.waiters.tell_room(name)
        self._flush(room)
        for data in early:
            self._on_entry_untrusted(room, data)

    def _on_join_refused(self, room: _Room, refused: Refused) -> None:
        name = room.feed.room
        if not self.admitted:
            return  # the login was refused first, and that says why
        if refused.code is Code.ROOM_INVALID and room.feed.presence is Presence.WRITER:
            self.join(name)  # it does not exist yet, and begins when a member joins
            return
        del self._rooms[name]
        for on_reply in room.joining:
            on_reply(refused)
        if not room.joining:
            self.reader.put_side(
                Notice(
                    room=name,
                    text=_("Cannot join {name}: {refused}").format(name=self.directs.label(name), refused=refused),
                )
            )
        self.waiters.give_up_room(name, refused)

    def _on_put_out(self, put_out: messages.PutOut) -> None:
        """A moderator's word. What waits to be posted in the room goes on waiting until it is joined again."""
        room = self._rooms.get(put_out.room)
        if room is None or room.feed.lane != put_out.lane:
            return  # it was left, or joined again, before this came
        del self._rooms[put_out.room]
        self._incoming.unfollow(room.followed)
        self._lanes.retire(put_out.lane)
        self._store.forget_room(put_out.room)
        self.reader.put_side(Notice(room=put_out.room, text=put_out.text))
        self.waiters.give_up_room(put_out.room, Refused(Code.FORBIDDEN, put_out.text))

    # Direct rooms -----------------------------------------------------------------------------------------------

    def on_sealing_key(self, key: SealingKey) -> None:
        """This device can open and be sealed to."""
        self.direct_rooms.on_key(key)
        for room in self._rooms.values():
            if is_direct(room.feed.room):
                self._ask_to_join(room)

    def follow_directs(
        self, presence: Presence = Presence.MEMBER, *, context: int = 0, history: int = MAX_PAGE_ENTRIES
    ) -> None:
        """From now on every conversation is joined by itself, as `join` does it."""
        self._direct_presence, self._direct_context, self._direct_history = presence, context, history
        self.direct_rooms.follows = True
        for room in self.directs.open_rooms()[:MAX_FOLLOWED]:
            self._join_direct(room)
        if self.admitted:
            self.direct_rooms.list()

    def _join_direct(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is None or room.feed.presence is Presence.WRITER:
            self.join(name, self._direct_presence, context=self._direct_context, history=self._direct_history)

    def _on_recipients(self, name: str) -> None:
        room = self._rooms.get(name)
        if room is not None:
            room.posting.on_keys()
            self._go_on_if_needed(room)
            self._flush(room)

    # Entries and posts ------------------------------------------------------------------------------------------

    def _on_entry_untrusted(self, room: _Room, data: bytes) -> None:
        entry = decode_entry_of_untrusted(data, room.feed.room)
        own = False
        if isinstance(entry, TopicEntry) and entry.seq > room.feed.head:
            room.topic = entry.topic
        if isinstance(entry, MessageEntry):
            own = decode_any_statement_untrusted(entry.statement).author == self.own_key
            if own:
                self._on_own_entry(room, entry)
        self._incoming.on_entry(room.followed, entry, own=own)

    def _on_lane(self, room: _Room) -> None:
        """Say again what this reader has already read, and what its person has confirmed."""
        if room.feed.presence is Presence.MEMBER:
            name = room.feed.room
            self._confirming.on_delivered(name, max(room.followed.read, room.feed.position or 0))
            self._confirming.by_hand(name, self._store.confirmed(name))
            self._confirming.on_joined(name)

    def _confirmations(self) -> list[tuple[int, bytes]]:
        """What is to be confirmed now, on the rooms' lanes."""
        if not self.admitted:
            return []
        for name, room in self._rooms.items():
            if room.feed.presence is Presence.MEMBER and room.followed.delivered:
                self._confirming.on_delivered(name, room.followed.delivered)
        lanes = {name: room.feed.lane for name, room in self._rooms.items()}
        due = self._confirming.due(self._now)
        return [(lane, messages.encode(confirm)) for name, confirm in due if (lane := lanes.get(name)) is not None]

    def _on_delivered(self, told: messages.Delivered) -> None:
        for count in told.counts:
            outbox_id = self.outbox.stored_as(told.room, count.seq)
            if outbox_id is not None:
                event = OwnMessage(
                    state="delivered",
                    room=told.room,
                    outbox_id=outbox_id,
                    delivered=count.delivered,
                    members=count.members,
                )
                self.reader.put_side(event)

    def _on_own_entry(self, room: _Room, entry: MessageEntry) -> None:
        digest = statement_hash(entry.statement)
        room.posting.on_entry(digest)
        settled = self.outbox.settle(digest, seq=entry.seq, time_ms=entry.time)
        if settled is not None:
            self.waiters.tell(settled.id)
            if settled.now:
                self.reader.put_side(OwnMessage(state="stored", room=entry.room, outbox_id=settled.id))
        self._go_on_if_needed(room)
        self._flush(room)

    def _on_post_refused(self, room: _Room, refused: messages.PostRefused, now: float) -> None:
        waits = room.posting.retry_at
        gave_up = room.posting.on_refused(refused, now)
        if (
            room.posting.retry_at not in (None, waits) and room.why_waiting is None
        ):  # told once, until it has gone out
            room.why_waiting = _no_room_left() if refused.code is Code.STORAGE else refused.text
            self.reader.put_side(Notice(room=refused.room, text=room.why_waiting))
        if gave_up is not None:
            event = OwnMessage(state="failed", room=refused.room, outbox_id=gave_up, reason=refused.text)
            self.reader.put_side(event)
            self.waiters.tell(gave_up)
        self._go_on_if_needed(room)
        self._flush(room)

    def _flush(self, room: _Room) -> None:
        if room.feed.lane is None or not self.checkpoints.proved:
            return
        self._posts += [(room.feed.lane, post) for post in room.posting.posts()]
        if room.posting.idle:
            if room.why_waiting == _no_room_left():
                self.reader.put_side(Notice(room=room.feed.room, text=_("The server stores messages again.")))
            room.why_waiting = None
            self.waiters.tell_room(room.feed.room)


def _no_room_left() -> str:
    return _(
        "The server has no room left to store messages. What you write is kept here, and goes out by itself once"
        " there is room."
    )
