"""Proofs out of an open log: what it hands out is what its checkpoints verify, for every entry and every head."""

import sqlite3
from contextlib import closing
from pathlib import Path

import pytest

from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.chat.tree import entry_leaf, verify_consistency, verify_inclusion
from bisikd.log import IndexDamaged, Log
from bisikd.log.index import Index
from bisikd.log.merkle import Frontier, consistency_proof, inclusion_proof, root_over
from tests.daemon.log.bench import open_real
from tests.daemon.log.talk import Talk

GROUPS = 30  # of ten entries: past one kept node of 256 leaves


@pytest.fixture
def talk() -> Talk:
    return Talk(signed=False)


@pytest.fixture
def directory(tmp_path: Path) -> Path:
    return tmp_path / "log"


def filled(directory: Path, talk: Talk) -> tuple[Log, list[bytes]]:
    """A log of 301 leaves with a signed head after each group, and these heads."""
    log, notes = open_real(directory), []
    log.append([talk.register("tama")])
    for number in range(GROUPS):
        log.append([talk.join(f"tamu{number}.{part}", f"#kamar{part % 3}") for part in range(10)])
        note = log.sign_head()
        assert note is not None
        notes.append(note)
    return log, notes


def require_proofs(log: Log, talk: Talk, notes: list[bytes]) -> None:
    """Every entry is proved against a few heads, and every head against every later one."""
    heads = [read_checkpoint_untrusted(note) for note in notes]
    for room, entries in talk.said.items():
        for seq, entry in enumerate(entries, start=1):
            leaf = log.leaf_of(room, seq)
            assert leaf is not None
            assert leaf.entry == entry
            for head in heads[::7]:
                if leaf.index >= head.size:
                    with pytest.raises(ValueError, match="no such leaf"):
                        log.inclusion(leaf.index, head.size)
                    continue
                proof = log.inclusion(leaf.index, head.size)
                assert verify_inclusion(entry_leaf(leaf.salt, entry), leaf.index, head.size, proof, head.root)
    for at, old in enumerate(heads):
        for new in heads[at::5]:
            proof = log.consistency(old.size, new.size)
            assert verify_consistency(old.size, old.root, new.size, new.root, proof)


def test_every_entry_and_every_head_is_proved(directory: Path, talk: Talk) -> None:
    """With heads that were signed at the time."""
    log, notes = filled(directory, talk)
    require_proofs(log, talk, notes)
    log.close()


def test_a_rebuilt_index_proves_the_same(directory: Path, talk: Talk) -> None:
    """The hashes are the log's; the index only has them at hand."""
    log, notes = filled(directory, talk)
    log.close()
    for path in directory.glob("index.sqlite3*"):
        path.unlink()
    log = open_real(directory)
    require_proofs(log, talk, notes)
    log.close()


def test_a_proof_leads_to_the_newest_head_by_itself(directory: Path, talk: Talk) -> None:
    """Without a size, what is asked for is what a returning client holds against what it is now shown."""
    log, notes = filled(directory, talk)
    old, new = read_checkpoint_untrusted(notes[3]), read_checkpoint_untrusted(notes[-1])
    assert verify_consistency(old.size, old.root, new.size, new.root, log.consistency(old.size))
    assert log.consistency(new.size) == log.consistency(0) == []
    log.close()


def test_what_is_not_there_is_not_proved(directory: Path, talk: Talk) -> None:
    """A longer log than this one, a leaf that was never stored, an entry that nobody made."""
    log, _ = filled(directory, talk)
    with pytest.raises(ValueError, match="no such tree"):
        log.consistency(302)
    with pytest.raises(ValueError, match="no such tree"):
        log.consistency(5, 302)
    with pytest.raises(ValueError, match="no such tree"):
        log.inclusion(3, 302)
    with pytest.raises(ValueError, match="no such leaf"):
        log.inclusion(301, 301)
    assert log.leaf_of("#kamar0", 9999) is None
    assert log.leaf_of("#none", 1) is None
    log.close()


def test_a_head_is_signed_when_asked_for(directory: Path, talk: Talk) -> None:
    """Over everything stored, once; an empty log has none."""
    log = open_real(directory)
    assert log.sign_head() is None
    log.append([talk.register("tama")])
    note = log.sign_head()
    assert note is not None
    assert read_checkpoint_untrusted(note).size == 1
    assert log.sign_head() == note
    log.close()


@pytest.mark.parametrize(
    "change",
    [
        "UPDATE leaves SET hash = zeroblob(32) WHERE leaf = 5",
        "UPDATE leaves SET hash = zeroblob(32) WHERE leaf = 290",
        "UPDATE nodes SET hash = zeroblob(32)",
        "DELETE FROM leaves WHERE leaf = 5",
        "DELETE FROM nodes",
    ],
)
def test_a_damaged_index_proves_nothing(directory: Path, talk: Talk, change: str) -> None:
    """Clients take a wrong proof for a rewritten log, so that none is handed out: the index is named instead."""
    log, _ = filled(directory, talk)
    with closing(sqlite3.connect(directory / "index.sqlite3")) as database:
        database.execute(change)
        database.commit()
    with pytest.raises(IndexDamaged, match="index"):
        log.inclusion(7, 301), log.consistency(7, 301)
    log.close()


def test_proofs_are_those_of_the_definition() -> None:
    """Over every small tree, with hashes from an index, as from the leaves themselves."""
    index, tree, hashes = Index.open(None), Frontier(), [bytes([part]) * 32 for part in range(70)]
    index.add_leaves(0, 1, [(0, each) for each in hashes])
    for size, each in enumerate(hashes, start=1):
        tree.append(each)
        assert root_over(0, size, index.subtree) == tree.root()
        for other in range(size):
            proof = inclusion_proof(other, size, index.subtree)
            assert verify_inclusion(hashes[other], other, size, proof, tree.root())
            proof = consistency_proof(other, size, index.subtree)
            assert verify_consistency(other, root_over(0, other, index.subtree), size, tree.root(), proof)
    index.close()


def test_a_large_tree_is_proved_from_a_few_hashes() -> None:
    """200,000 leaves: no proof reads more than a thousand, wherever it leads."""
    index, tree = Index.open(None), Frontier()
    index.begin()
    for first in range(0, 200_000, 1000):
        rows = [(0, number.to_bytes(32)) for number in range(first, first + 1000)]
        index.add_leaves(first, 1, rows)
        for _, each in rows:
            tree.append(each)
    index.commit()
    read = 0
    given = index._hashes

    def counted(level: int, first: int, count: int) -> list[bytes]:
        nonlocal read
        read += count
        return given(level, first, count)

    index._hashes = counted  # type: ignore[method-assign]
    for leaf in (0, 77_777, 131_071, 131_072, 199_999):
        read = 0
        proof = inclusion_proof(leaf, 200_000, index.subtree)
        assert verify_inclusion(leaf.to_bytes(32), leaf, 200_000, proof, tree.root())
        assert read < 1000
        read = 0
        proof = consistency_proof(leaf, 200_000, index.subtree)
        assert read < 1000
    index.close()
