"""A daemon in a few lines, for tests of the client without a network: what it says is what the contract says.

It verifies nothing and stores in memory. `Wire` joins a conversation to one of its sessions as a connection would:
each lane keeps its order, and lanes overtake one another as the seed wills.
"""

from collections import deque
from random import Random

from bisik.conversation import Conversation
from bisik.events import Event
from bisik_protocol.chat import messages
from bisik_protocol.chat.direct_names import direct_names, direct_room, is_direct
from bisik_protocol.chat.messages import CONTROL_LANE, ZERO_DIGEST, Code, Entry, MessageEntry, Presence
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.sealing_bundle import bundle_digest
from bisik_protocol.chat.statements import (
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    decode_statement_untrusted,
    statement_hash,
)
from bisik_protocol.crypto.identity import SigningKey, VerifyKey
from tests.support.keys import server_identity
from tests.support.signed_tree import SignedTree

SERVER = server_identity().public
TREE = SignedTree([bytes([n]) * 32 for n in range(7)])  # of no relation to what is said: one signature for all tests
START_MS = 1_763_802_000_000  # 2025-11-22T09:00:00Z


class FakeDaemon:
    """Everything that a daemon keeps, and may lose."""

    def __init__(self) -> None:
        self.devices: dict[bytes, tuple[str, bytes]] = {}
        self.rooms: dict[str, list[Entry]] = {LOBBY: []}
        self.sessions: list[FakeSession] = []
        self.full = False
        self.too_fast_ms = 0
        self.busy = False  # cannot prove anything now
        self.tree = TREE
        self.page_bytes = 48 * 1024
        self.refuse_texts: set[str] = set()
        self.members: list[messages.MemberInfo] = []
        self.join_password = "yhnb-2t89"
        self.bundles: dict[bytes, tuple[bytes, bytes]] = {}
        self.names: dict[str, str] = {}  # of who was renamed: from the former name to the present one

    def admit(self, name: str, device: SigningKey) -> None:
        self.devices[device.public.key_hash] = (name, device.public.modulus)

    def append(self, entry: Entry) -> Entry:
        self.rooms[entry.room].append(entry)
        return entry

    def texts(self, room: str = LOBBY) -> list[str]:
        """What was said in a room, in order."""
        return [
            decode_statement_untrusted(entry.statement).text
            for entry in self.rooms[room]
            if isinstance(entry, MessageEntry)
        ]

    def sealing_keys(self, name: str) -> list[messages.SealingDevice]:
        return [
            messages.SealingDevice(modulus, *self.bundles[key_hash])
            for key_hash, (owner, modulus) in self.devices.items()
            if owner == name and key_hash in self.bundles
        ]

    def now(self, name: str) -> str:
        """What somebody is called now."""
        return self.names.get(name, name)

    def other(self, room: str, name: str) -> str:
        """With whom the owner of this name speaks in a direct room."""
        one, other = map(self.now, direct_names(room))
        return other if one == name else one

    def recipients(self, room: str) -> set[bytes]:
        """Whom something in a direct room has to be sealed to."""
        people = set(map(self.now, direct_names(room)))
        return {key for key, (owner, _) in self.devices.items() if owner in people and key in self.bundles}

    def chain(self, room: str, key_hash: bytes) -> list[MessageEntry]:
        """What a device said in a room."""
        return [
            entry
            for entry in self.rooms[room]
            if isinstance(entry, MessageEntry) and decode_any_statement_untrusted(entry.statement).author == key_hash
        ]

    def forget_after(self, room: str, seq: int) -> None:
        """The log is restored from an older copy."""
        self.rooms[room] = [entry for entry in self.rooms[room] if entry.seq <= seq]


class FakeSession:
    """What a daemon does for one connection."""

    def __init__(self, daemon: FakeDaemon) -> None:
        self.daemon = daemon
        self.out: list[tuple[int, bytes]] = []
        self.requests: list[messages.Request] = []
        self.confirms: list[tuple[str, messages.Confirm]] = []
        self.name = ""
        self._key_hash: bytes | None = None
        self._proved = False
        self._lanes: dict[int, tuple[str, Presence]] = {}
        self._next_lane = 1
        daemon.sessions.append(self)

    def receive(self, lane: int, data: bytes) -> None:
        if lane != CONTROL_LANE:
            said = messages.decode_from_member_untrusted(data)
            if isinstance(said, messages.Confirm):
                self.confirms.append((self._lanes[lane][0] if lane in self._lanes else "", said))
            elif lane in self._lanes:
                self._post(lane, said)
            return
        request = messages.decode_request_untrusted(data)
        self.requests.append(request)
        if isinstance(request, messages.Login):
            self._login(request)
        elif isinstance(request, messages.Prove | messages.Register) and self._key_hash is None:
            self._come_in(request)
        elif self._key_hash is None:
            self._refuse(request.number, Code.NOT_ADMITTED, "Log in first.")
        else:
            self._answer(request)

    def _say(self, message: messages.FromDaemon) -> None:
        self.out.append((CONTROL_LANE, messages.encode(message)))

    def _refuse(self, number: int, code: Code, text: str) -> None:
        self._say(messages.Refused(number, code, text))

    def _login(self, request: messages.Login) -> None:
        device = VerifyKey.from_modulus_untrusted(request.device)
        name, _ = self.daemon.devices.get(device.key_hash, ("", b""))
        if name != request.name:
            self._refuse(request.number, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
            return
        self._key_hash = device.key_hash
        self.name = name
        bundle = self.daemon.bundles.get(device.key_hash)
        sealing = None if bundle is None else bundle_digest(bundle[0])
        self._say(messages.Admitted(request.number, name, None, self.daemon.tree.note(), sealing=sealing))

    def _come_in(self, request: messages.Prove | messages.Register) -> None:
        if isinstance(request, messages.Prove):
            self._proved = request.join_password == self.daemon.join_password
        if not self._proved:
            self._refuse(request.number, Code.INCORRECT_PASSWORD, "Incorrect password. Try again.")
        elif isinstance(request, messages.Prove):
            self._say(messages.Done(request.number))
        elif request.name in [name for name, _ in self.daemon.devices.values()]:
            self._refuse(request.number, Code.NAME_TAKEN, "Taken.")
        else:
            device = VerifyKey.from_modulus_untrusted(request.device)
            self.daemon.devices[device.key_hash] = (request.name, device.modulus)
            self._key_hash = device.key_hash
            self._say(messages.Admitted(request.number, request.name, "the-login-id", self.daemon.tree.note()))

    def _answer(self, request: messages.Request) -> None:
        daemon, number = self.daemon, request.number
        if isinstance(request, messages.JoinRoom):
            self._join(request)
        elif isinstance(request, messages.LeaveRoom):
            lanes = [lane for lane, (room, _) in self._lanes.items() if room == request.room]
            for lane in lanes:
                del self._lanes[lane]
            self._say(messages.Done(number))
        elif isinstance(request, messages.ListRooms):
            self._say(messages.Rooms(number, [messages.RoomInfo(r, 0, len(e)) for r, e in daemon.rooms.items()]))
        elif isinstance(request, messages.ListMembers):
            self._say(messages.Members(number, request.room, daemon.members))
        elif isinstance(request, messages.GetHistory):
            before = request.before if request.before is not None else 1 << 52
            entries = [e for e in daemon.rooms[request.room] if e.seq < before][-request.count :]
            page = [messages.encode(entry) for entry in entries]
            while sum(map(len, page)) > daemon.page_bytes and len(page) > 1:
                del page[0]
            self._say(messages.History(number, request.room, page))
        elif isinstance(request, messages.GetConsistency):
            self._prove(number, request.size)
        elif isinstance(request, messages.GetDevice):
            if request.key_hash in daemon.devices:
                self._say(messages.Device(number, *daemon.devices[request.key_hash]))
            else:
                self._refuse(number, Code.UNKNOWN, "Nobody's.")
        else:
            self._answer_direct(request)

    def _answer_direct(self, request: messages.Request) -> None:
        daemon = self.daemon
        if isinstance(request, messages.ListDirects):
            mine = [room for room in daemon.rooms if is_direct(room) and daemon.rooms[room]]
            infos = [
                messages.DirectInfo(room, daemon.other(room, self.name), len(daemon.rooms[room]))
                for room in mine
                if self.name in map(daemon.now, direct_names(room))
            ]
            self._say(messages.Directs(request.number, infos))
        elif isinstance(request, messages.Publish) and self._key_hash is not None:
            daemon.bundles[self._key_hash] = (request.bundle, request.signature)
            self._say(messages.Done(request.number))
        elif isinstance(request, messages.GetDirect | messages.GetSealingKeys):
            self._answer_about(request)

    def _answer_about(self, request: messages.GetDirect | messages.GetSealingKeys) -> None:
        daemon = self.daemon
        name = daemon.now(request.name)
        if name not in [owner for owner, _ in daemon.devices.values()]:
            self._refuse(request.number, Code.UNKNOWN, "There is nobody of that name.")
        elif isinstance(request, messages.GetSealingKeys):
            self._say(messages.SealingKeys(request.number, name, daemon.sealing_keys(name)))
        else:
            known = [
                room
                for room in daemon.rooms
                if is_direct(room) and {self.name, name} == set(map(daemon.now, direct_names(room)))
            ]
            room = known[0] if known else direct_room(self.name, name)
            self._say(messages.Direct(request.number, room, name))

    def _prove(self, number: int, size: int) -> None:
        tree = self.daemon.tree
        if self.daemon.busy:
            self._refuse(number, Code.TRY_LATER, "The server cannot sign its log now.")
        elif size > len(tree.leaves):
            self._refuse(number, Code.UNKNOWN, "The log is shorter.")
        else:
            self._say(messages.Consistency(number, tree.note(), tree.consistency(size, len(tree.leaves))))

    def _join(self, request: messages.JoinRoom) -> None:
        room = request.room
        if room not in self.daemon.rooms and request.presence is not Presence.MEMBER:
            self._refuse(request.number, Code.ROOM_INVALID, f"There is no room {room} yet.")
            return
        if len(room) > 60:
            self._refuse(request.number, Code.ROOM_LIMIT, "No more rooms.")
            return
        entries = self.daemon.rooms.setdefault(room, [])
        known = [lane for lane, (name, _) in self._lanes.items() if name == room]
        lane = known[0] if known else self._next_lane
        assert self._key_hash is not None
        chain = self.daemon.chain(room, self._key_hash)
        tip = (
            (decode_any_statement_untrusted(chain[-1].statement).seq, statement_hash(chain[-1].statement))
            if chain
            else (0, ZERO_DIGEST)
        )
        head = entries[-1].seq if entries else 0
        self._say(messages.Joined(request.number, room, lane, head, *tip))
        if known:
            return
        self._next_lane += 1
        self._lanes[lane] = (room, request.presence)
        if request.presence is not Presence.WRITER:
            after = head - request.history if request.after is None else request.after
            for entry in entries:
                if entry.seq > after:
                    self.out.append((lane, messages.encode(entry)))

    def _post(self, lane: int, post: messages.Post) -> None:
        room, presence = self._lanes[lane]
        statement = decode_any_statement_untrusted(post.statement)
        digest = statement_hash(post.statement)
        chain = self.daemon.chain(room, statement.author)
        stored = {decode_any_statement_untrusted(entry.statement).seq: entry for entry in chain}
        if statement.seq in stored:
            entry = stored[statement.seq]
            if statement_hash(entry.statement) == digest:
                self.out.append((lane, messages.encode(entry)))
            else:
                self._refuse_post(room, statement.seq, Code.CHAIN)
            return
        previous = statement_hash(chain[-1].statement) if chain else ZERO_DIGEST
        if statement.seq != len(stored) + 1 or statement.previous != previous:
            self._refuse_post(room, statement.seq, Code.CHAIN)
        elif is_direct(room) and not self._is_for_all(room, statement):
            self._refuse_post(room, statement.seq, Code.RECIPIENTS)
        elif isinstance(statement, Statement) and statement.text in self.daemon.refuse_texts:
            self._refuse_post(room, statement.seq, Code.STATEMENT_INVALID)
        elif self.daemon.too_fast_ms:
            wait_ms = self.daemon.too_fast_ms
            self._say(messages.PostRefused(room, statement.seq, Code.TRY_LATER, "Too fast.", wait_ms))
        elif self.daemon.full:
            self._refuse_post(room, statement.seq, Code.STORAGE)
        else:
            self._store(room, statement.author, post, writer=lane if presence is Presence.WRITER else None)

    def _is_for_all(self, room: str, statement: Statement | SealedStatement) -> bool:
        return isinstance(statement, SealedStatement) and set(statement.sealed.devices) == self.daemon.recipients(
            room
        )

    def _store(self, room: str, author: bytes, post: messages.Post, *, writer: int | None) -> None:
        entries = self.daemon.rooms[room]
        seq = entries[-1].seq + 1 if entries else 1
        name, _ = self.daemon.devices[author]
        entry = MessageEntry(room, seq, START_MS + seq, name, post.statement, post.signature)
        entries.append(entry)
        if writer is not None:
            self.out.append((writer, messages.encode(entry)))
        for session in self.daemon.sessions:
            session.show(entry)
            if is_direct(room):
                session.tell_news(room)

    def tell_news(self, room: str) -> None:
        """Something was said in a direct room."""
        joined = [name for name, _ in self._lanes.values()]
        if self.name in map(self.daemon.now, direct_names(room)) and room not in joined:
            self._say(messages.DirectNews(room, self.daemon.other(room, self.name)))

    def put_out(self, room: str, text: str) -> None:
        """A moderator ends the session's stay in a room."""
        lane = next(lane for lane, (name, _) in self._lanes.items() if name == room)
        del self._lanes[lane]
        self._say(messages.PutOut(room, lane, text))

    def show(self, entry: Entry) -> None:
        """Fan out a new entry to this session, if it follows the room."""
        for lane, (room, presence) in self._lanes.items():
            if room == entry.room and presence is not Presence.WRITER:
                self.out.append((lane, messages.encode(entry)))

    def _refuse_post(self, room: str, seq: int, code: Code) -> None:
        self._say(messages.PostRefused(room, seq, code, f"Refused: {code.value}."))


class Wire:
    """One connection between a conversation and a daemon."""

    def __init__(self, conversation: Conversation, daemon: FakeDaemon, *, seed: int = 0) -> None:
        self.conversation = conversation
        self.session = FakeSession(daemon)
        self._random = Random(seed)
        self._up: dict[int, deque[bytes]] = {}
        self._down: dict[int, deque[bytes]] = {}
        self.cut = False
        conversation.on_connected(b"channel binding", SERVER)

    def step(self) -> bool:
        """Deliver one message, of any lane in any direction. False when there is none."""
        for lane, data in self.conversation.messages_to_send():
            self._up.setdefault(lane, deque()).append(data)
        for lane, data in self.session.out:
            self._down.setdefault(lane, deque()).append(data)
        self.session.out.clear()
        lanes = [(way, lane) for way in (self._up, self._down) for lane, queue in way.items() if queue]
        if not lanes or self.cut:
            return False
        way, lane = self._random.choice(lanes)
        data = way[lane].popleft()
        if way is self._up:
            self.session.receive(lane, data)
        else:
            self.conversation.receive_message_untrusted(lane, data, now=0.0)
        return True

    def settle(self) -> None:
        """Deliver everything."""
        for _ in range(100_000):
            if not self.step():
                return
        raise AssertionError("they never stop talking")

    def disconnect(self) -> None:
        """What is under way is lost."""
        self.cut = True
        self.session.daemon.sessions.remove(self.session)
        self.conversation.on_disconnected()


def settle(*wires: Wire) -> None:
    """Deliver everything on several wires, turn by turn."""
    for _ in range(100_000):
        if sum(wire.step() for wire in wires) == 0:
            return
    raise AssertionError("they never stop talking")


def drain(conversation: Conversation, wire: Wire | None = None) -> list[Event]:
    """All events, as a reader that never stops reading gets them."""
    events: list[Event] = []
    while True:
        while (event := conversation.next_event()) is not None:
            events.append(event)
        if wire is None or not wire.step():
            return events
