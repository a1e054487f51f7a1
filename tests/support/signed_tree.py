"""A log's Merkle tree in memory, whose heads a test server signs: what proofs are made of, without a log."""

from bisik_protocol.chat.checkpoint import Checkpoint, origin_of, sign_checkpoint
from bisik_protocol.chat.tree import node_hash
from bisikd.log.merkle import consistency_proof, inclusion_proof, root_over
from tests.support.keys import server_identity


class SignedTree:
    """`leaves` are leaf hashes; test servers are told apart by number."""

    def __init__(self, leaves: list[bytes] | None = None, *, server: int = 0) -> None:
        self.leaves = [] if leaves is None else leaves
        self._server = server
        self._nodes: dict[tuple[int, int], bytes] = {}
        self._notes: dict[int, bytes] = {}

    def note(self, size: int | None = None) -> bytes:
        """The signed head over the first `size` leaves, or all."""
        size = len(self.leaves) if size is None else size
        if size not in self._notes:
            identity = server_identity(self._server)
            root = root_over(0, size, self._subtree)
            head = Checkpoint(origin=origin_of(identity.fingerprint), size=size, root=root)
            self._notes[size] = sign_checkpoint(head, identity.signing)
        return self._notes[size]

    def consistency(self, old_size: int, size: int) -> list[bytes]:
        """Raises ValueError where there is no such tree."""
        self._require(size)
        return consistency_proof(old_size, size, self._subtree)

    def inclusion(self, leaf: int, size: int) -> list[bytes]:
        """Raises ValueError where there is no such leaf or tree."""
        self._require(size)
        return inclusion_proof(leaf, size, self._subtree)

    def _require(self, size: int) -> None:
        if size > len(self.leaves):
            raise ValueError("there is no such tree")

    def _subtree(self, level: int, index: int) -> bytes:
        if level == 0:
            return self.leaves[index]
        if (level, index) not in self._nodes:
            left, right = self._subtree(level - 1, 2 * index), self._subtree(level - 1, 2 * index + 1)
            self._nodes[level, index] = node_hash(left, right)
        return self._nodes[level, index]
