"""The tree: RFC 6962's hashing, and a frontier that agrees with the definition at every size."""

from hashlib import sha256

import pytest
from hypothesis import given
from hypothesis import strategies as st

from bisik_protocol.chat.tree import EMPTY_ROOT, leaf_hash, node_hash
from bisikd.log.merkle import Frontier

# The leaves and roots that Certificate Transparency's implementations have in common.
LEAVES = [
    "",
    "00",
    "10",
    "2021",
    "3031",
    "40414243",
    "5051525354555657",
    "606162636465666768696a6b6c6d6e6f",
]
ROOTS = [
    "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855",
    "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
]


def defined_root(leaves: list[bytes]) -> bytes:
    """MTH of RFC 6962 section 2.1, as it is written there."""
    if not leaves:
        return sha256(b"").digest()
    if len(leaves) == 1:
        return sha256(b"\0" + leaves[0]).digest()
    split = 1 << (len(leaves) - 1).bit_length() - 1
    return sha256(b"\1" + defined_root(leaves[:split]) + defined_root(leaves[split:])).digest()


def grown(leaves: list[bytes]) -> Frontier:
    tree = Frontier()
    for leaf in leaves:
        tree.append(leaf_hash(leaf))
    return tree


@pytest.mark.parametrize("size", range(9))
def test_roots_are_those_of_certificate_transparency(size: int) -> None:
    """The tree over the common test leaves has the common roots."""
    assert grown([bytes.fromhex(leaf) for leaf in LEAVES[:size]]).root().hex() == ROOTS[size]


def test_the_empty_tree_is_the_hash_of_nothing() -> None:
    """RFC 6962: MTH({}) = SHA-256()."""
    assert Frontier().root() == EMPTY_ROOT == sha256(b"").digest()


def test_a_node_is_never_a_leaf() -> None:
    """The prefixes keep two leaves from hashing like their parent's content."""
    left, right = leaf_hash(b"a"), leaf_hash(b"b")
    assert node_hash(left, right) != leaf_hash(left + right)


def test_every_size_agrees_with_the_definition() -> None:
    """Grown leaf by leaf, the root is at each size what the recursive definition says."""
    leaves = [bytes([number]) * (number % 5) for number in range(130)]
    tree = Frontier()
    for size, leaf in enumerate(leaves, start=1):
        tree.append(leaf_hash(leaf))
        assert (tree.size, tree.root()) == (size, defined_root(leaves[:size]))


@given(st.integers(0, 300), st.integers(0, 40))
def test_a_frontier_goes_on_after_being_stored(before: int, after: int) -> None:
    """Through its bytes and back, a frontier grows into the same tree."""
    leaves = [number.to_bytes(2) for number in range(before + after)]
    stored = Frontier.from_bytes(grown(leaves[:before]).to_bytes())
    for leaf in leaves[before:]:
        stored.append(leaf_hash(leaf))
    assert stored.root() == grown(leaves).root()


def test_a_copy_grows_alone() -> None:
    """Appending to a copy leaves the original as it was."""
    tree = grown([b"a", b"b", b"c"])
    root = tree.root()
    copy = tree.copy()
    copy.append(leaf_hash(b"d"))
    assert (tree.size, tree.root(), copy.size) == (3, root, 4)


@pytest.mark.parametrize(
    "data", [b"", bytes(7), bytes(9), (1).to_bytes(8), (0).to_bytes(8) + bytes(32), bytes(8 + 31)]
)
def test_a_frontier_that_cannot_be_is_refused(data: bytes) -> None:
    """A size without its subtrees, or with too many, or cut short."""
    with pytest.raises(ValueError, match="frontier"):
        Frontier.from_bytes(data)


def test_a_frontier_stays_small() -> None:
    """A tree of a hundred thousand leaves is kept in less than a kilobyte."""
    assert len(grown([b"x"] * 100_000).to_bytes()) < 1024
