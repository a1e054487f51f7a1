"""The Merkle tree of RFC 6962 section 2.1 over the log's leaves, grown one leaf at a time.

It owns the hashing and the compact frontier: the roots of the complete subtrees that the tree's size, in binary,
consists of. That is all that is needed to append and to know the root, a few hundred bytes for any log. It knows
nothing of what a leaf holds.
"""

from hashlib import sha256
from typing import Final, Self

HASH_BYTES: Final = 32
EMPTY_ROOT: Final = sha256(b"").digest()


def leaf_hash(data: bytes) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right); the prefix keeps a node from being passed off as a leaf."""
    return sha256(b"\x01" + left + right).digest()


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
