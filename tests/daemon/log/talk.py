"""People who talk in rooms: records that a log accepts, made the way clients and daemon make them.

Signing takes a millisecond, so signed statements are made once a test process and handed out again.
"""

import random
from functools import cache

from bisik_protocol.chat.messages import (
    ZERO_DIGEST,
    Act,
    Entry,
    JoinEntry,
    LeaveEntry,
    MessageEntry,
    ModerationEntry,
    TopicEntry,
    encode,
)
from bisik_protocol.chat.sealed_text import seal_statement
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, Kind, Statement, encode_statement, statement_hash
from bisikd.log import Record, device_record, entry_record
from tests.support.keys import device_key, sealing_key

START_MS = 1_700_000_000_000


@cache
def _signed(device: int, statement: bytes) -> bytes:
    return device_key(device).sign(STATEMENT_CONTEXT, statement)


class Talk:
    """The entries of a log to be, in order. `signed=False` saves time where nobody looks at signatures."""

    def __init__(self, *, signed: bool = True) -> None:
        self._signed = signed
        self.heads: dict[str, int] = {}
        self.tips: dict[tuple[str, str], tuple[int, bytes]] = {}
        self.devices: dict[str, int] = {}
        self.said: dict[str, list[bytes]] = {}  # room -> encoded entries, oldest first

    def key_hash(self, name: str) -> bytes:
        return device_key(self.devices[name]).public.key_hash

    def register(self, name: str, device: int = 0) -> Record:
        """The DEVICE record that gives `name` the key of `device`."""
        self.devices[name] = device
        return device_record(name, device_key(device).public.modulus, START_MS)

    def say(self, name: str, text: str, room: str = "#lobby") -> Record:
        """A message that continues everything before it."""
        seq, previous = self.tips.get((room, name), (0, ZERO_DIGEST))
        statement = encode_statement(
            Statement(
                room=room,
                author=self.key_hash(name),
                seq=seq + 1,
                time=START_MS + seq,
                kind=Kind.SAY,
                text=text,
                previous=previous,
            )
        )
        return self._said(name, room, seq + 1, statement)

    def whisper(self, name: str, text: str, room: str) -> Record:
        """The same in a direct room, sealed to the devices of everybody who was registered."""
        seq, previous = self.tips.get((room, name), (0, ZERO_DIGEST))
        statement = seal_statement(
            room=room,
            author=self.key_hash(name),
            seq=seq + 1,
            time=START_MS + seq,
            kind=Kind.SAY,
            text=text,
            previous=previous,
            recipients={self.key_hash(each): sealing_key(number).public for each, number in self.devices.items()},
            random=random.Random(seq).randbytes,
        )
        return self._said(name, room, seq + 1, encode_statement(statement))

    def _said(self, name: str, room: str, seq: int, statement: bytes) -> Record:
        signature = _signed(self.devices[name], statement) if self._signed else bytes(384)
        self.tips[room, name] = seq, statement_hash(statement)
        entry = MessageEntry(room, self._next(room), START_MS, name, statement, signature)
        return self._record(entry)

    def join(self, name: str, room: str = "#lobby") -> Record:
        return self._record(JoinEntry(room, self._next(room), START_MS, name))

    def leave(self, name: str, room: str = "#lobby") -> Record:
        return self._record(LeaveEntry(room, self._next(room), START_MS, name))

    def moderate(self, name: str, room: str = "#lobby") -> list[Record]:
        """A topic, and a kick."""
        topic = self._record(TopicEntry(room, self._next(room), START_MS, name, "about"))
        kick = ModerationEntry(room, self._next(room), START_MS, name, Act.KICK, "tamu", None, "why")
        return [topic, self._record(kick)]

    def _next(self, room: str) -> int:
        self.heads[room] = self.heads.get(room, 0) + 1
        return self.heads[room]

    def _record(self, entry: Entry) -> Record:
        self.said.setdefault(entry.room, []).append(encode(entry))
        return entry_record(entry)
