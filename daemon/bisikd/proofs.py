"""Proofs out of the log for whoever asks: that it continues what it was, and that something is in it.

A client that comes back asks whether the log continues the checkpoint that it holds, most of them the same one, so
the newest answers are kept. A head is signed when what is to be proved lies behind the newest one: after a crash, and
for what was just said. It must not know what a client makes of an answer.
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.chat.messages import Code
from bisikd.errors import BisikdError
from bisikd.log.errors import LogError
from bisikd.log.recent import Recent

if TYPE_CHECKING:
    from bisikd.blocking import Workers
    from bisikd.journal import Journal
    from bisikd.log.store import Log

KEPT_PROOFS: Final = 64


class NotProvable(BisikdError):  # noqa: N818
    """Why there is no proof; `code` is for the client."""

    def __init__(self, code: Code, sentence: str) -> None:
        super().__init__(sentence)
        self.code = code


@dataclass(frozen=True, slots=True, kw_only=True)
class Included:
    """An entry, and why it is in the log."""

    note: bytes
    leaf: int
    salt: bytes
    entry: bytes
    proof: tuple[bytes, ...]


class Proofs:
    """`journal` is the only one that writes to the log."""

    def __init__(self, log: "Log", *, journal: "Journal", reading: "Workers") -> None:
        self._log = log
        self._journal = journal
        self._reading = reading
        self._kept: Recent[tuple[int, int], tuple[bytes, ...]] = Recent(KEPT_PROOFS)

    async def consistency(self, old_size: int) -> tuple[bytes, tuple[bytes, ...]]:
        """The newest checkpoint, and the proof that its tree begins with its first `old_size` leaves.

        Raises NotProvable: UNKNOWN where the log never had so many, TRY_LATER where it cannot be read now.
        """
        note, size = await self._head(old_size)
        proof = self._kept.get((old_size, size))
        if proof is None:
            proof = tuple(await self._read(self._log.consistency, old_size, size))
            self._kept.set((old_size, size), proof)
        return note, proof

    async def inclusion(self, room: str, seq: int) -> Included:
        """The entry with that number. Raises NotProvable: UNKNOWN where there is none, TRY_LATER."""
        found = await self._read(self._log.leaf_of, room, seq)
        if found is None:
            raise NotProvable(Code.UNKNOWN, f"There is no entry {seq} in {room}.")
        note, size = await self._head(found.index + 1)
        proof = tuple(await self._read(self._log.inclusion, found.index, size))
        return Included(note=note, leaf=found.index, salt=found.salt, entry=found.entry, proof=proof)

    async def _head(self, at_least: int) -> tuple[bytes, int]:
        """A checkpoint over so many leaves or more. Raises NotProvable."""
        note = self._journal.checkpoint
        size = _size(note)
        if size < at_least <= self._log.tree_size:
            try:
                note = await self._journal.sign_now()
            except LogError as error:
                raise NotProvable(Code.TRY_LATER, "The server cannot sign its log now: its disk is full.") from error
            size = _size(note)
        if note is None or size < at_least:
            raise NotProvable(Code.UNKNOWN, f"The log has {self._log.tree_size} entries, and never had {at_least}.")
        return note, size

    async def _read(self, function: Callable[..., Any], *arguments: Any) -> Any:
        try:
            return await self._reading(function, *arguments)
        except LogError as error:
            raise NotProvable(
                Code.TRY_LATER, "The server cannot read the proof in its log now. Its operator should look at it."
            ) from error


def _size(note: bytes | None) -> int:
    return 0 if note is None else read_checkpoint_untrusted(note).size
