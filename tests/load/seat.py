"""A place in a room that one person keeps over many connections, and the client that sits on it.

The client is the real transport endpoint with the real chat messages, signatures and all, without the home and the
database that `bisik` keeps, so that one process can be five hundred of them. The seat goes on where it was: it asks
for the entries after the last one it has seen, and sends again what was under way, as the real client does.

It owns what must hold for one member: every entry of the room comes once and in order, whatever happened between.
"""

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import trio

from benchmarks.peers.transport_chat import TransportClient
from bisik_protocol.chat.messages import (
    CONTROL_LANE,
    ZERO_DIGEST,
    Admitted,
    Joined,
    JoinRoom,
    Login,
    MessageEntry,
    Post,
    PostRefused,
    Presence,
    Refused,
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

TIME_MS = 1_795_338_000_000


@dataclass
class Room:
    """What was stored in a room, as everybody in it is shown: `texts` counts, by number, what the room was told."""

    name: str
    head: int = 0
    texts: Counter[str] = field(default_factory=Counter)


@dataclass(eq=False)
class Seat:
    """`wrong` collects what must not be, in words. `client` is who sits there now, None while nobody does."""

    name: str
    device: SigningKey = field(repr=False)
    room: Room
    wrong: list[str]
    client: "SeatClient | None" = None
    position: int | None = None  # the newest entry that was shown here
    said: int = 0
    accepted: int = 0
    shown: int = 0
    _pending: tuple[int, bytes, str] | None = None  # number in the chain, statement, text

    @property
    def free_to_speak(self) -> bool:
        """One message at a time: what was said is stored before the next."""
        return self.client is not None and self.client.lane is not None and self._pending is None

    @property
    def waits(self) -> bool:
        """Whether something was said that has not come back as stored."""
        return self._pending is not None

    def say(self, text: str) -> None:
        """Only while `free_to_speak`. Flush the client afterwards."""
        client = self.client
        assert client is not None
        statement = encode_statement(
            Statement(
                room=self.room.name,
                author=self.device.public.key_hash,
                seq=client.chain_seq + 1,
                time=TIME_MS,
                kind=Kind.SAY,
                text=text,
                previous=client.chain_hash,
            )
        )
        self._pending = (client.chain_seq + 1, statement, text)
        self.said += 1
        self.send_pending()

    def send_pending(self) -> None:
        """Post what is under way, for the first time or again."""
        if self._pending is None or self.client is None or self.client.lane is None:
            return
        number, statement, _ = self._pending
        if self.client.chain_seq < number:  # else it was stored, and its entry is on its way here
            post = Post(statement, self.device.sign(STATEMENT_CONTEXT, statement))
            self.client.connection.send(self.client.lane, encode(post))

    def on_entry(self, data: bytes) -> None:
        """An entry of the room was shown to whoever sits here."""
        entry = decode_entry_untrusted(data)
        if self.position is not None and entry.seq != self.position + 1:
            self.wrong.append(f"{self.name} was shown {entry.seq} of {self.room.name} after {self.position}")
        self.position = entry.seq
        self.shown += 1
        if entry.seq > self.room.head:  # the first of all to be shown it counts it
            self.room.head = entry.seq
            if isinstance(entry, MessageEntry):
                self.room.texts[decode_statement_untrusted(entry.statement).text] += 1
        if isinstance(entry, MessageEntry) and self._pending is not None and entry.statement == self._pending[1]:
            self._on_stored(entry.statement)

    def _on_stored(self, statement: bytes) -> None:
        assert self._pending is not None
        if self.client is not None and self.client.chain_seq < self._pending[0]:
            self.client.chain_seq, self.client.chain_hash = self._pending[0], statement_hash(statement)
        self._pending = None
        self.accepted += 1


class SeatClient(TransportClient):
    """One connection of a seat; `ready` is set once it is in the room."""

    def __init__(self, seat: Seat, address: tuple[Any, ...], fingerprint: bytes) -> None:
        self.ready = trio.Event()
        super().__init__(address, fingerprint, lambda _: None, self.ready.set)
        self.lane: int | None = None
        self.chain_seq = 0
        self.chain_hash = ZERO_DIGEST
        self._seat = seat

    def on_connected(self) -> None:
        seat, connection = self._seat, self.connection
        signature = seat.device.sign(LOGIN_CONTEXT, connection.channel_binding)
        connection.send(CONTROL_LANE, encode(Login(1, seat.name, seat.device.public.modulus, signature)))
        join = JoinRoom(2, seat.room.name, Presence.MEMBER, after=seat.position, history=0)
        connection.send(CONTROL_LANE, encode(join))

    def on_lane_message(self, lane: int, data: bytes) -> None:
        if lane != CONTROL_LANE:
            self._seat.on_entry(data)
            return
        match decode_from_daemon_untrusted(data):
            case Joined(lane=opened, head=head, chain_seq=seq, chain_hash=previous):
                self.lane, self.chain_seq, self.chain_hash = opened, seq, previous
                if self._seat.position is None:
                    self._seat.position = head
                self._seat.send_pending()
                self.ready.set()
            case Admitted():
                pass
            case (Refused() | PostRefused()) as refused:
                self._seat.wrong.append(f"{self._seat.name} was refused: {refused}")

    def check(self) -> None:
        """Nobody ends these connections but this side."""
        if self.closed is not None:
            self._seat.wrong.append(f"{self._seat.name} was put out: {self.closed}")
