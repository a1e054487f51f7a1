"""The rules that a leaf must keep with the leaves before it, so that a log can be proved by itself.

- A room's sequence numbers begin at 1 and have no gaps.
- What a device says in a room has sequence numbers from 1 without gaps, each naming the hash of the one before.
- Where something was lost, a CHAIN says from where a device's chain goes on; never back.
- A message's author is the name that the newest DEVICE before it gives its key.

The same rules hold for appending, for rebuilding an index and for verifying. It owns them, and what is in memory of
the newest state; what is older it asks for.
"""

from dataclasses import dataclass, field
from typing import Protocol

from bisik_protocol.chat.messages import ZERO_DIGEST
from bisikd.log.facts import ChainFact, DeviceFact, Fact, MessageFact

Chain = tuple[str, bytes]  # room, hash of the author's key
Tip = tuple[int, bytes]  # the author's newest sequence number there, and the hash of that statement

NO_TIP: Tip = (0, ZERO_DIGEST)


class Disagrees(ValueError):  # noqa: N818
    """This leaf contradicts the leaves before it. `str()` is a sentence."""


class Memory(Protocol):
    """What the leaves so far say."""

    def head(self, room: str) -> int:
        """The newest sequence number of a room, 0 if there is none."""

    def tip(self, chain: Chain) -> Tip:
        """Where a device's chain stands in a room."""

    def name_of(self, key_hash: bytes) -> str | None:
        """The name that a key speaks under."""


@dataclass
class Staged:
    """Leaves that are not stored yet, on top of what is. Itself a `Memory`, so that a group can be checked whole."""

    below: Memory
    facts: list[Fact] = field(default_factory=list)
    heads: dict[str, int] = field(default_factory=dict)
    tips: dict[Chain, Tip] = field(default_factory=dict)
    names: dict[bytes, str] = field(default_factory=dict)

    def head(self, room: str) -> int:
        found = self.heads.get(room)
        return self.below.head(room) if found is None else found

    def tip(self, chain: Chain) -> Tip:
        return self.tips.get(chain) or self.below.tip(chain)

    def name_of(self, key_hash: bytes) -> str | None:
        return self.names.get(key_hash) or self.below.name_of(key_hash)

    def admit(self, fact: Fact) -> None:
        """Take the next leaf. Raises Disagrees and takes nothing."""
        if isinstance(fact, DeviceFact):
            self.names[fact.key_hash] = fact.device.name
        elif isinstance(fact, ChainFact):
            if fact.seq < self.tip((fact.room, fact.key_hash))[0]:
                raise Disagrees(f"A chain in {fact.room} is at {self.tip((fact.room, fact.key_hash))[0]} already.")
            self.tips[fact.room, fact.key_hash] = fact.seq, fact.hash
        else:
            entry = fact.entry
            if entry.seq != self.head(entry.room) + 1:
                raise Disagrees(f"{entry.room} is at {self.head(entry.room)}, so its next entry is not {entry.seq}.")
            if isinstance(fact, MessageFact):
                self._admit_statement(fact)
            self.heads[entry.room] = entry.seq
        self.facts.append(fact)

    def _admit_statement(self, fact: MessageFact) -> None:
        entry, statement = fact.entry, fact.statement
        if statement.room != entry.room:
            raise Disagrees(f"A statement made in {statement.room} is in {entry.room}.")
        name = self.name_of(statement.author)
        if name != entry.author:
            raise Disagrees(f"The key that signed for {entry.author} was given to {name or 'nobody'}.")
        chain = entry.room, statement.author
        sequence, newest = self.tip(chain)
        if (statement.seq, statement.previous) != (sequence + 1, newest):
            raise Disagrees(
                f"Message {statement.seq} of {entry.author} in {entry.room} does not continue message {sequence}."
            )
        self.tips[chain] = statement.seq, fact.hash
