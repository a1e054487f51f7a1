"""Where each device's chain of statements stands in one room: in the log, and with what is on its way there.

Posts are pipelined: the next statement is checked against the last one taken, not the last one stored. A tip stays in
memory while a session of the device is in the room or a post of it is on its way; after that the log knows.
"""

from dataclasses import dataclass, field
from enum import Enum
from typing import Generic, TypeVar

from bisik_protocol.chat.messages import ZERO_DIGEST

P = TypeVar("P")


class Place(Enum):
    """Where a statement belongs in its author's chain."""

    NEXT = "next"  # continues it
    PENDING = "pending"  # is on its way to the log already
    STORED = "stored"  # has a number that is in the log; the log says whether it is the same statement
    WRONG = "wrong"  # contradicts or skips


@dataclass(slots=True)
class Tip(Generic[P]):
    """One device's chain in one room. `pending` holds the posts that are on their way, by number, ascending."""

    stored_seq: int = 0
    stored_hash: bytes = ZERO_DIGEST
    loaded: bool = False
    holders: int = 0
    pending: dict[int, tuple[bytes, P]] = field(default_factory=dict)

    def load(self, seq: int, statement_hash: bytes) -> None:
        """What the log says. Ignored where somebody loaded it before: the chain may have grown since."""
        if not self.loaded:
            self.stored_seq, self.stored_hash, self.loaded = seq, statement_hash, True

    def place(self, seq: int, previous: bytes, statement_hash: bytes) -> Place:
        if seq <= self.stored_seq:
            return Place.STORED
        if seq in self.pending:
            return Place.PENDING if self.pending[seq][0] == statement_hash else Place.WRONG
        if seq != self.stored_seq + len(self.pending) + 1:
            return Place.WRONG
        newest = next(reversed(self.pending.values()))[0] if self.pending else self.stored_hash
        return Place.NEXT if previous == newest else Place.WRONG

    def on_taken(self, seq: int, statement_hash: bytes, post: P) -> None:
        self.pending[seq] = (statement_hash, post)

    def on_stored(self, seq: int) -> None:
        self.stored_hash = self.pending.pop(seq)[0]
        self.stored_seq = seq


class Chains(Generic[P]):
    """The tips of one room."""

    def __init__(self) -> None:
        self._tips: dict[bytes, Tip[P]] = {}

    def __len__(self) -> int:
        return len(self._tips)

    def hold(self, key_hash: bytes) -> Tip[P]:
        """The device's tip, kept until `release`. Load it before use."""
        tip = self._tips.setdefault(key_hash, Tip())
        tip.holders += 1
        return tip

    def release(self, key_hash: bytes) -> None:
        tip = self._tips[key_hash]
        tip.holders -= 1
        self._drop_unused(key_hash, tip)

    def on_stored(self, key_hash: bytes, seq: int) -> None:
        tip = self._tips[key_hash]
        tip.on_stored(seq)
        self._drop_unused(key_hash, tip)

    def on_refused(self) -> None:
        """The log took nothing of what was on its way."""
        for key_hash, tip in list(self._tips.items()):
            tip.pending.clear()
            self._drop_unused(key_hash, tip)

    def _drop_unused(self, key_hash: bytes, tip: Tip[P]) -> None:
        if not tip.holders and not tip.pending:
            del self._tips[key_hash]
