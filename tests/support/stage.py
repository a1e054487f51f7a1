"""The daemon's chat without a network: scripted connections, a log in memory, workers that work at once.

A test plays the clients: `visitor.request(...)` gives the reply, `visitor.say(...)` posts, `visitor.entries(room)` is
what came on a room's lane. Passwords cost almost nothing; everything else is the real chat.
"""

import os
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import fields, replace
from pathlib import Path
from typing import Any

import trio
import trio.testing

from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    ZERO_DIGEST,
    Admitted,
    Code,
    Direct,
    Done,
    Entry,
    FromDaemon,
    GetDirect,
    GetSealingKeys,
    Joined,
    JoinRoom,
    LeaveRoom,
    Login,
    MessageEntry,
    Post,
    PostRefused,
    Presence,
    Prove,
    Publish,
    Refused,
    Register,
    Role,
    SealingKeys,
    decode_entry_untrusted,
    decode_from_daemon_untrusted,
    encode,
)
from bisik_protocol.chat.sealed_text import open_statement_untrusted, seal_statement
from bisik_protocol.chat.sealing_bundle import check_bundle_untrusted, make_bundle
from bisik_protocol.chat.statements import (
    LOGIN_CONTEXT,
    STATEMENT_CONTEXT,
    Kind,
    SealedStatement,
    Statement,
    decode_any_statement_untrusted,
    decode_statement_untrusted,
    encode_statement,
    statement_hash,
)
from bisik_protocol.crypto.identity import SigningKey, VerifyKey
from bisik_protocol.crypto.sealing_key import SealingPublic
from bisik_protocol.transport.events import Closed, ConnectionEvent, LaneDrained, MessageReceived
from bisik_protocol.transport.stats import ConnectionStats
from bisikd.blocking import Blocking
from bisikd.chat import Chat
from bisikd.config import Limits
from bisikd.guard import Guard
from bisikd.moderation import Moderation
from bisikd.passwords import Cost, Passwords
from bisikd.sessions import Sessions
from bisikd.users import UserStore
from tests.support.keys import device_key, sealing_key
from tests.support.memory_log import MemoryLog

JOIN_PASSWORD = "k7mq-2hfd-x9wt-3bnr"
CHEAP = Cost(memory_kib=8, passes=1, lanes=1)
LOW_WATER_BYTES = 32 * 1024


class AtOnce:
    """Workers that work in the calling task, after a checkpoint; `hold` makes them wait until `release`."""

    waiting = 0

    def __init__(self) -> None:
        self._held: trio.Event | None = None

    def hold(self) -> None:
        self._held = trio.Event()

    def release(self) -> None:
        assert self._held is not None
        self._held.set()
        self._held = None

    async def __call__(self, function: Callable[..., Any], *arguments: Any) -> Any:
        await trio.lowlevel.checkpoint()
        while self._held is not None:
            await self._held.wait()
        return function(*arguments)


class FakeConnection:
    """What the chat sees of a connection. With `takes` off nothing is acknowledged, and backlogs grow."""

    def __init__(self, binding: bytes, on_ready: Callable[["FakeConnection"], None]) -> None:
        self.channel_binding = binding
        self.peer_address = ("192.0.2.7", 1234)
        self.last_heard = 0.0
        self.closed = False
        self.takes = True
        self.sent: list[tuple[int, bytes]] = []
        self.close_code: int | None = None  # what we closed it with
        self._events: deque[ConnectionEvent] = deque()
        self._backlog: dict[int, int] = {}
        self._on_ready = on_ready

    def send(self, lane: int, data: bytes) -> None:
        if self.closed:
            return
        self.sent.append((lane, data))
        if not self.takes:
            self._backlog[lane] = self._backlog.get(lane, 0) + len(data)

    def backlog(self, lane: int) -> int:
        return self._backlog.get(lane, 0)

    def stats(self, now: float) -> ConnectionStats:
        """All zero but the round trip."""
        zeros: dict[str, Any] = dict.fromkeys((field.name for field in fields(ConnectionStats)), 0)
        return ConnectionStats(**zeros | {"srtt_s": 0.05})

    def next_event(self) -> ConnectionEvent | None:
        return self._events.popleft() if self._events else None

    def close(self, code: int, reason: str = "") -> None:
        if not self.closed:
            self.closed = True
            self.close_code = code
            self._put(Closed(code=code, reason=reason, by_peer=False))

    # What the far side does

    def arrive(self, lane: int, data: bytes) -> None:
        """A message comes from the far side."""
        self._put(MessageReceived(lane=lane, data=data, cost=len(data)))

    def drain(self) -> None:
        """The far side takes everything that waits."""
        for lane, backlog in self._backlog.items():
            self._backlog[lane] = 0
            if backlog > LOW_WATER_BYTES:
                self._put(LaneDrained(lane=lane))

    def end(self, code: int, *, by_peer: bool = True) -> None:
        """The far side says goodbye, or is not heard from any more."""
        self.closed = True
        self._put(Closed(code=code, reason="", by_peer=by_peer))

    def _put(self, event: ConnectionEvent) -> None:
        self._events.append(event)
        self._on_ready(self)


class Stage:
    """A chat that runs. `entries_seen` is what the operator's console was told."""

    def __init__(
        self,
        directory: Path,
        nursery: trio.Nursery,
        limits: Limits | None,
        log: MemoryLog,
        moderation: Moderation | None = None,
    ) -> None:
        directory.mkdir(exist_ok=True)
        self.log = log
        self.users = UserStore.open(directory)
        self.hashing, self.writing, self.reading = AtOnce(), AtOnce(), AtOnce()
        self.entries_seen: list[Entry] = []
        self.failures: list[str] = []
        self.told: list[str] = []  # to the operator
        self.time_ms = 1_795_338_000_000
        passwords = Passwords(CHEAP)
        join_hash = passwords.hash(JOIN_PASSWORD)
        self.chat = Chat(
            log=log,  # type: ignore[arg-type]
            users=self.users,
            passwords=passwords,
            join_hash=lambda: join_hash,
            blocking=Blocking(hashing=self.hashing, writing=self.writing, reading=self.reading),
            now=trio.current_time,
            now_ms=lambda: self.time_ms,
            flush=lambda: None,
            on_entry=lambda entry, statement: self.entries_seen.append(entry),
            tell=self.told.append,
            limits=limits,
            guard=Guard(),
            moderation=moderation,
        )
        self.sessions = Sessions(self.chat, nursery, self.failures.append)
        nursery.start_soon(self.chat.journal.run)

    def visitor(self, device: int = 0, host: str = "192.0.2.7") -> "Visitor":
        """Somebody connects, from the device with that number."""
        return Visitor(self, device_key(device), host)

    async def member(self, name: str, device: int = 0, *rooms: str) -> "Visitor":
        """Somebody who is admitted, registering if the name is new, and in these rooms."""
        visitor = self.visitor(device)
        if self.users.get(name):
            assert isinstance(await visitor.login(name), Admitted)
        else:
            await visitor.prove()
            assert isinstance(await visitor.register(name), Admitted)
        for room in rooms:
            assert isinstance(await visitor.join(room), Joined)
        return visitor

    def promote(self, name: str, role: Role = Role.MODERATOR) -> None:
        """Give somebody a role, as the operator does."""
        self.users.change(name, lambda user: replace(user, role=role))

    async def settled(self) -> None:
        """Every task has done what it can do now."""
        await trio.testing.wait_all_tasks_blocked()


class Visitor:
    """One client, played by the test."""

    def __init__(self, stage: Stage, device: SigningKey, host: str) -> None:
        self.stage = stage
        self.device = device
        self.key_hash = device.public.key_hash
        self.connection = FakeConnection(bytes([len(stage.sessions) % 256]) * 32, self._on_ready)
        self.connection.last_heard = trio.current_time()
        self.connection.peer_address = (host, 1234)
        self.lanes: dict[str, int] = {}
        self.said: dict[str, list[bytes]] = {}
        self._numbers = 0
        stage.sessions.open(self.connection)  # type: ignore[arg-type]

    def _on_ready(self, connection: FakeConnection) -> None:
        self.stage.sessions.on_ready(connection)  # type: ignore[arg-type]

    def number(self) -> int:
        self._numbers += 1
        return self._numbers

    def ask(self, request: Any) -> None:
        """Send a request and do not wait for the reply."""
        self.connection.arrive(CONTROL_LANE, encode(request))

    async def request(self, request: Any) -> Any:
        """Send a request and return its reply."""
        self.ask(request)
        await self.stage.settled()
        return self.reply(request.number)

    def reply(self, number: int) -> Any:
        found = [reply for reply in self.control if getattr(reply, "number", None) == number]
        assert len(found) == 1, f"one reply to request {number}, not {found}"
        return found[0]

    @property
    def control(self) -> list[FromDaemon]:
        return [decode_from_daemon_untrusted(data) for lane, data in self.connection.sent if lane == CONTROL_LANE]

    @property
    def refused_posts(self) -> list[tuple[int, Code]]:
        return [(reply.seq, reply.code) for reply in self.control if isinstance(reply, PostRefused)]

    # Coming in

    async def prove(self, password: str = JOIN_PASSWORD) -> Any:
        return await self.request(Prove(self.number(), password))

    def ask_prove(self, password: str = JOIN_PASSWORD) -> int:
        number = self.number()
        self.ask(Prove(number, password))
        return number

    def signature(self) -> bytes:
        return self.device.sign(LOGIN_CONTEXT, self.connection.channel_binding)

    async def register(self, name: str) -> Any:
        return await self.request(Register(self.number(), name, self.device.public.modulus, self.signature()))

    async def login(self, name: str, login_id: str | None = None) -> Any:
        return await self.request(Login(self.number(), name, self.device.public.modulus, self.signature(), login_id))

    # In rooms

    async def join(self, room: str, presence: Presence = Presence.MEMBER, **how: Any) -> Any:
        number = self.ask_join(room, presence, **how)
        await self.stage.settled()
        return self.joined(number)

    def ask_join(self, room: str, presence: Presence = Presence.MEMBER, **how: Any) -> int:
        """Ask, and do not wait; the reply's number."""
        number = self.number()
        self.ask(JoinRoom(number, room, presence, **how))
        return number

    async def request_leave(self, room: str) -> None:
        assert isinstance(await self.request(LeaveRoom(self.number(), room)), Done)

    def joined(self, number: int) -> Any:
        """The reply to an `ask_join`."""
        reply = self.reply(number)
        if isinstance(reply, Joined):
            self.lanes[reply.room] = reply.lane
        return reply

    def statement(self, room: str, text: str, *, seq: int | None = None, previous: bytes | None = None) -> bytes:
        """The next statement of this device in the room, or one that is wrong on purpose."""
        said = self.said.setdefault(room, [])
        newest = statement_hash(said[-1]) if said else ZERO_DIGEST
        return encode_statement(
            Statement(
                room=room,
                author=self.key_hash,
                seq=len(said) + 1 if seq is None else seq,
                time=self.stage.time_ms,
                kind=Kind.SAY,
                text=text,
                previous=newest if previous is None else previous,
            )
        )

    def post(self, room: str, statement: bytes, *, signer: SigningKey | None = None) -> None:
        signature = (signer or self.device).sign(STATEMENT_CONTEXT, statement)
        self.connection.arrive(self.lanes[room], encode(Post(statement, signature)))

    def say(self, room: str, *texts: str) -> None:
        """Post, and do not wait for the receipts."""
        for text in texts:
            statement = self.statement(room, text)
            self.said[room].append(statement)
            self.post(room, statement)

    async def publish(self, number: int) -> None:
        """This device can be sealed to from now on, with the sealing key of that number."""
        bundle, signature = make_bundle(self.device, sealing_key(number).public)
        assert isinstance(await self.request(Publish(self.number(), bundle, signature)), Done)

    async def open_direct(self, name: str, presence: Presence = Presence.MEMBER) -> str:
        """Begin or continue the conversation with that person; its room."""
        direct = await self.request(GetDirect(self.number(), name))
        assert isinstance(direct, Direct), direct
        assert isinstance(await self.join(direct.room, presence), Joined)
        return direct.room

    async def recipients(self, *names: str) -> dict[bytes, SealingPublic]:
        """The devices of these people that can be sealed to, as the server says."""
        found = {}
        for name in names:
            reply = await self.request(GetSealingKeys(self.number(), name))
            assert isinstance(reply, SealingKeys), reply
            for key in reply.keys:
                device = VerifyKey.from_modulus_untrusted(key.device)
                found[device.key_hash] = check_bundle_untrusted(device, key.bundle, key.signature)
        return found

    def sealed(self, room: str, text: str, recipients: dict[bytes, SealingPublic]) -> bytes:
        """The next statement of this device in a direct room."""
        said = self.said.setdefault(room, [])
        return encode_statement(
            seal_statement(
                room=room,
                author=self.key_hash,
                seq=len(said) + 1,
                time=self.stage.time_ms,
                kind=Kind.SAY,
                text=text,
                previous=statement_hash(said[-1]) if said else ZERO_DIGEST,
                recipients=recipients,
                random=os.urandom,
            )
        )

    async def whisper(self, room: str, text: str, *names: str) -> None:
        """Seal a text to the devices of these people, post it, and wait for what comes of it."""
        statement = self.sealed(room, text, await self.recipients(*names))
        self.post(room, statement)
        self.said[room].append(statement)
        await self.stage.settled()

    def opened(self, room: str, number: int) -> list[str]:
        """What was said in a direct room, to the holder of the sealing key of that number."""
        texts = []
        for entry in self.entries(room):
            assert isinstance(entry, MessageEntry), "nobody comes or goes in a direct room"
            statement = decode_any_statement_untrusted(entry.statement)
            assert isinstance(statement, SealedStatement)
            texts.append(open_statement_untrusted(statement, self.key_hash, sealing_key(number)).text)
        return texts

    def entries(self, room: str) -> list[Entry]:
        """What came on the room's lane."""
        lane = self.lanes[room]
        return [decode_entry_untrusted(data) for sent_lane, data in self.connection.sent if sent_lane == lane]

    def texts(self, room: str) -> list[str]:
        return [text_of(entry) for entry in self.entries(room) if isinstance(entry, MessageEntry)]

    def refusal(self, reply: Any) -> Code:
        assert isinstance(reply, Refused), reply
        return reply.code


def text_of(entry: MessageEntry) -> str:
    return decode_statement_untrusted(entry.statement).text


@asynccontextmanager
async def open_stage(
    directory: Path,
    *,
    limits: Limits | None = None,
    log: MemoryLog | None = None,
    moderation: Moderation | None = None,
) -> AsyncIterator[Stage]:
    """A running chat with accounts in `directory`; a `log` from an earlier stage makes this one its restart."""
    async with trio.open_nursery() as nursery:
        stage = Stage(directory, nursery, limits, MemoryLog() if log is None else log, moderation)
        yield stage
        nursery.cancel_scope.cancel()
    assert stage.failures == [], "\n".join(stage.failures)
