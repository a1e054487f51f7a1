"""The log's Merkle tree as whoever checks it sees it: RFC 6962 section 2.1 hashing, and the verifying of both proofs.

An inclusion proof shows that an entry is in the tree under a root; a consistency proof shows that a newer root stands
over the same leaves as an older one, and more. It owns what a leaf's hash covers. It knows nothing of how a log keeps
its hashes, nor of who signed a root (see `checkpoint`). The verifying follows RFC 9162 sections 2.1.3.2 and 2.1.4.2,
which give RFC 6962's proofs an algorithm.
"""

from collections.abc import Sequence
from hashlib import sha256
from typing import Final

HASH_BYTES: Final = 32
SALT_BYTES: Final = 16
EMPTY_ROOT: Final = sha256(b"").digest()
MAX_PROOF_HASHES: Final = 128  # twice the height of any tree whose size fits in 64 bits
ENTRY_LEAF: Final = 0x01  # what stands before an entry in its leaf; docs/log.md has the other kinds


def leaf_hash(data: bytes) -> bytes:
    """MTH({d}) = SHA-256(0x00 || d)."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """SHA-256(0x01 || left || right); the prefix keeps a node from being passed off as a leaf."""
    return sha256(b"\x01" + left + right).digest()


def record_leaf(kind: int, salt: bytes, payload: bytes) -> bytes:
    """The hash of a leaf. The salt, 16 random bytes, keeps a hash that others see from confirming a guess."""
    return leaf_hash(salt + bytes((kind,)) + payload)


def entry_leaf(salt: bytes, entry: bytes) -> bytes:
    """The hash of the leaf that holds this encoded entry, byte for byte as it was received."""
    return record_leaf(ENTRY_LEAF, salt, entry)


def verify_inclusion(leaf: bytes, index: int, size: int, proof: Sequence[bytes], root: bytes) -> bool:
    """Whether the leaf with this hash is number `index`, from 0, of the `size` leaves under `root`.

    Any bytes and any numbers may be given: what proves nothing is False.
    """
    if not 0 <= index < size or not _well_formed(proof):
        return False
    number, last, node = index, size - 1, leaf
    for sibling in proof:
        if last == 0:
            return False
        if number & 1 or number == last:
            node = node_hash(sibling, node)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            node = node_hash(node, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and node == root


def verify_consistency(old_size: int, old_root: bytes, size: int, root: bytes, proof: Sequence[bytes]) -> bool:
    """Whether the `size` leaves under `root` begin with the `old_size` leaves under `old_root`.

    Any bytes and any numbers may be given: what proves nothing is False. The empty tree is the beginning of every
    tree, and a tree its own: both with an empty proof.
    """
    if not 0 <= old_size <= size or not _well_formed(proof):
        return False
    if old_size == 0:
        return not proof and old_root == EMPTY_ROOT and (size > 0 or root == EMPTY_ROOT)
    if old_size == size:
        return not proof and old_root == root
    hashes = list(proof)
    if old_size.bit_count() == 1:
        hashes.insert(0, old_root)
    if not hashes:
        return False
    number, last = old_size - 1, size - 1
    while number & 1:
        number, last = number >> 1, last >> 1
    old = new = hashes[0]
    for sibling in hashes[1:]:
        if last == 0:
            return False
        if number & 1 or number == last:
            old, new = node_hash(sibling, old), node_hash(sibling, new)
            while not number & 1 and number:
                number, last = number >> 1, last >> 1
        else:
            new = node_hash(new, sibling)
        number, last = number >> 1, last >> 1
    return last == 0 and old == old_root and new == root


def _well_formed(proof: Sequence[bytes]) -> bool:
    return len(proof) <= MAX_PROOF_HASHES and all(len(each) == HASH_BYTES for each in proof)
