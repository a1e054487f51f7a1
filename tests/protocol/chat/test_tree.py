"""Proofs over the tree: what the definitions of RFC 6962 give is accepted, and nothing else is."""

from hashlib import sha256
from random import Random

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.tree import (
    EMPTY_ROOT,
    MAX_PROOF_HASHES,
    entry_leaf,
    leaf_hash,
    node_hash,
    verify_consistency,
    verify_inclusion,
)

LEAVES = [leaf_hash(number.to_bytes(2)) for number in range(40)]
BITS = [7, 100, 255]


def split(size: int) -> int:
    return 1 << (size - 1).bit_length() - 1


def root_of(hashes: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, over leaf hashes."""
    if len(hashes) < 2:
        return hashes[0] if hashes else EMPTY_ROOT
    left = split(len(hashes))
    return node_hash(root_of(hashes[:left]), root_of(hashes[left:]))


def path(index: int, hashes: list[bytes]) -> list[bytes]:
    """PATH of section 2.1.1, as it is written there."""
    if len(hashes) == 1:
        return []
    left = split(len(hashes))
    if index < left:
        return [*path(index, hashes[:left]), root_of(hashes[left:])]
    return [*path(index - left, hashes[left:]), root_of(hashes[:left])]


def subproof(size: int, hashes: list[bytes], *, whole: bool) -> list[bytes]:
    """SUBPROOF of section 2.1.2, as it is written there."""
    if size == len(hashes):
        return [] if whole else [root_of(hashes)]
    left = split(len(hashes))
    if size <= left:
        return [*subproof(size, hashes[:left], whole=whole), root_of(hashes[left:])]
    return [*subproof(size - left, hashes[left:], whole=False), root_of(hashes[:left])]


ROOTS = [root_of(LEAVES[:size]) for size in range(len(LEAVES) + 1)]


def test_every_leaf_of_every_tree_is_proved() -> None:
    """The path that section 2.1.1 defines is accepted for its leaf."""
    for size in range(1, len(LEAVES) + 1):
        for index in range(size):
            assert verify_inclusion(LEAVES[index], index, size, path(index, LEAVES[:size]), ROOTS[size])


def test_a_path_proves_one_leaf_in_one_place_of_one_tree() -> None:
    """Any other number, size, leaf or root, and any flipped bit or missing or added hash, and it proves nothing."""
    for size in range(1, 18):
        for index in range(size):
            proof = path(index, LEAVES[:size])
            for other in range(-1, size + 2):
                expected = other == index
                assert verify_inclusion(LEAVES[index], other, size, proof, ROOTS[size]) == expected
                if 0 <= other < size and not expected:
                    assert not verify_inclusion(LEAVES[other], index, size, proof, ROOTS[size])
            assert not verify_inclusion(LEAVES[index], index, size, proof, ROOTS[size - 1])
            for wrong in spoiled(proof):
                assert not verify_inclusion(LEAVES[index], index, size, wrong, ROOTS[size])


def test_every_tree_is_shown_to_begin_with_every_smaller_one() -> None:
    """The proof that section 2.1.2 defines is accepted; between equal trees, and from nothing, it is empty."""
    for size in range(1, len(LEAVES) + 1):
        for old in range(1, size + 1):
            proof = subproof(old, LEAVES[:size], whole=True)
            assert verify_consistency(old, ROOTS[old], size, ROOTS[size], proof)
            assert bool(proof) == (old < size)
        assert verify_consistency(0, EMPTY_ROOT, size, ROOTS[size], [])


def test_a_consistency_proof_holds_for_its_two_trees_only() -> None:
    """Another root or size at either end, and any flipped bit or missing or added hash, and it proves nothing."""
    for size in range(2, 18):
        for old in range(1, size):
            proof = subproof(old, LEAVES[:size], whole=True)
            for other in range(1, len(LEAVES)):
                assert verify_consistency(old, ROOTS[other], size, ROOTS[size], proof) == (other == old)
                assert verify_consistency(old, ROOTS[old], size, ROOTS[other], proof) == (other == size)
            assert not verify_consistency(size, ROOTS[size], old, ROOTS[old], proof)
            for wrong in spoiled(proof):
                assert not verify_consistency(old, ROOTS[old], size, ROOTS[size], wrong)


def spoiled(proof: list[bytes]) -> list[list[bytes]]:
    """The proof with something about it that is not right."""
    wrong = [[*proof, bytes(32)], [bytes(32), *proof], [*proof, *proof] if proof else [b""]]
    for at, each in enumerate(proof):
        wrong += [proof[:at] + proof[at + 1 :], [*proof[:at], each[:-1], *proof[at + 1 :]]]
        for bit in BITS:
            changed = bytearray(each)
            changed[bit // 8] ^= 1 << bit % 8
            wrong.append([*proof[:at], bytes(changed), *proof[at + 1 :]])
    return wrong


def test_a_fork_is_never_shown_to_be_a_continuation() -> None:
    """A tree with one leaf changed below the old size: no proof over the new leaves fits the old root."""
    chance = Random(6962)
    for _ in range(300):
        size = chance.randrange(2, 40)
        old = chance.randrange(1, size + 1)
        forked = LEAVES[:size]
        forked[chance.randrange(old)] = leaf_hash(b"forked")
        proof = subproof(old, forked, whole=True)
        assert not verify_consistency(old, ROOTS[old], size, root_of(forked), proof)
        assert not verify_consistency(
            old, ROOTS[old], size, root_of(forked), subproof(old, LEAVES[:size], whole=True)
        )


@pytest.mark.parametrize(
    ("old", "old_root", "size", "root", "proof", "holds"),
    [
        (0, EMPTY_ROOT, 0, EMPTY_ROOT, [], True),
        (0, EMPTY_ROOT, 0, ROOTS[1], [], False),
        (0, ROOTS[1], 5, ROOTS[5], [], False),
        (0, EMPTY_ROOT, 5, ROOTS[5], [bytes(32)], False),
        (5, ROOTS[5], 5, ROOTS[5], [], True),
        (5, ROOTS[5], 5, ROOTS[4], [], False),
        (5, ROOTS[5], 5, ROOTS[5], [bytes(32)], False),
        (3, ROOTS[3], 5, ROOTS[5], [], False),
        (-1, EMPTY_ROOT, 5, ROOTS[5], [], False),
    ],
)
def test_the_ends_of_the_scale(
    old: int, old_root: bytes, size: int, root: bytes, proof: list[bytes], holds: bool
) -> None:
    """Nothing is the beginning of everything, a tree is its own, and neither needs or bears a proof."""
    assert verify_consistency(old, old_root, size, root, proof) == holds


@given(
    st.integers(-2, 1 << 64),
    st.integers(-2, 1 << 64),
    st.lists(st.binary(max_size=40) | st.binary(min_size=32, max_size=32), max_size=MAX_PROOF_HASHES + 2),
    st.binary(max_size=40),
)
def test_any_proof_is_judged_and_none_by_chance(one: int, other: int, proof: list[bytes], root: bytes) -> None:
    """Whatever numbers and bytes a peer gives, the answer is no, and comes at once."""
    assert not verify_inclusion(LEAVES[0], one, other, proof, root)
    assert not verify_consistency(one, ROOTS[3], other, ROOTS[7], proof)


def test_an_entrys_leaf_covers_salt_kind_and_entry() -> None:
    """As docs/log.md says: SHA-256(0x00 || salt || 0x01 || entry)."""
    assert entry_leaf(b"s" * 16, b"entry") == sha256(b"\x00" + b"s" * 16 + b"\x01" + b"entry").digest()
