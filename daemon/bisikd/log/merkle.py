"""The Merkle tree of RFC 6962 section 2.1 over the log's leaves, grown one leaf at a time, and the proofs over it.

It owns the compact frontier: the roots of the complete subtrees that the tree's size, in binary, consists of. That is
all that is needed to append and to know the root, a few hundred bytes for any log. And it owns which subtrees a proof
consists of; where their hashes come from is up to the caller. It knows nothing of what a leaf holds. Hashing, and the
verifying of proofs, is `bisik_protocol.chat.tree`'s.
"""

from collections.abc import Callable, Sequence
from typing import Self

from bisik_protocol.chat.tree import EMPTY_ROOT, HASH_BYTES, node_hash

Subtree = Callable[[int, int], bytes]
"""The root of the complete subtree of 2**level leaves that begins at leaf index * 2**level."""


def root_over(start: int, count: int, subtree: Subtree) -> bytes:
    """MTH of `count` leaves from `start`, which is a multiple of the power of two at or above `count`."""
    if count == 0:
        return EMPTY_ROOT
    if count.bit_count() == 1:
        level = count.bit_length() - 1
        return subtree(level, start >> level)
    left = _split(count)
    return node_hash(root_over(start, left, subtree), root_over(start + left, count - left, subtree))


def inclusion_proof(index: int, size: int, subtree: Subtree) -> list[bytes]:
    """PATH(index, D[size]) of RFC 6962 section 2.1.1. Raises ValueError unless the tree has that leaf."""
    if not 0 <= index < size:
        raise ValueError("there is no such leaf")
    start, proof = 0, []
    while size > 1:
        left = _split(size)
        if index < left:
            proof.append(root_over(start + left, size - left, subtree))
            size = left
        else:
            proof.append(root_over(start, left, subtree))
            index, start, size = index - left, start + left, size - left
    return proof[::-1]


def consistency_proof(old_size: int, size: int, subtree: Subtree) -> list[bytes]:
    """PROOF(old_size, D[size]) of RFC 6962 section 2.1.2; empty from nothing. Raises ValueError if it is shorter."""
    if not 0 <= old_size <= size:
        raise ValueError("there is no such tree")
    start, proof, whole = 0, [], True
    while 0 < old_size < size:
        left = _split(size)
        if old_size <= left:
            proof.append(root_over(start + left, size - left, subtree))
            size = left
        else:
            proof.append(root_over(start, left, subtree))
            old_size, start, size, whole = old_size - left, start + left, size - left, False
    if not whole:
        proof.append(root_over(start, size, subtree))
    return proof[::-1]


def complete_root(hashes: Sequence[bytes]) -> bytes:
    """The root over a power of two of nodes, side by side."""
    row = list(hashes)
    while len(row) > 1:
        row = [node_hash(row[at], row[at + 1]) for at in range(0, len(row), 2)]
    return row[0]


def _split(size: int) -> int:
    """The largest power of two below `size`, which is at least 2."""
    return 1 << (size - 1).bit_length() - 1


class Frontier:
    """The right edge of a tree: enough to append to it and to compute its root."""

    __slots__ = ("_subtrees", "size")

    def __init__(self, size: int = 0, subtrees: tuple[bytes, ...] = ()) -> None:
        if len(subtrees) != size.bit_count():
            raise ValueError("a frontier has one subtree for each bit of its size")
        self.size = size
        self._subtrees = list(subtrees)  # largest first

    def append(self, leaf: bytes) -> None:
        """Add a leaf by its hash."""
        merges, subtrees, node = self.size, self._subtrees, leaf
        while merges & 1:
            node = node_hash(subtrees.pop(), node)
            merges >>= 1
        subtrees.append(node)
        self.size += 1

    def root(self) -> bytes:
        """MTH of everything appended so far."""
        if not self._subtrees:
            return EMPTY_ROOT
        *larger, root = self._subtrees
        for subtree in reversed(larger):
            root = node_hash(subtree, root)
        return root

    def copy(self) -> "Frontier":
        return Frontier(self.size, tuple(self._subtrees))

    def to_bytes(self) -> bytes:
        """The size as 8 bytes, then the subtree roots, largest first."""
        return self.size.to_bytes(8) + b"".join(self._subtrees)

    @classmethod
    def from_bytes(cls, data: bytes) -> Self:
        """What `to_bytes` made. Raises ValueError for anything else."""
        subtrees = tuple(data[at : at + HASH_BYTES] for at in range(8, len(data), HASH_BYTES))
        if len(data) < 8 or any(len(subtree) != HASH_BYTES for subtree in subtrees):
            raise ValueError("a frontier is 8 bytes and whole hashes")
        return cls(int.from_bytes(data[:8]), subtrees)
