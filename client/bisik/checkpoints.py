"""The server's signed word on how long its log is: the longest is kept, and named in what is said from then on.

It reads no more of a note than its size and root (C2SP tlog-checkpoint: origin, size, root in base64, each a line).
"""

from base64 import b64decode

from bisik.store import Store


class Checkpoints:
    """The newest checkpoint that this home has seen."""

    def __init__(self, store: Store) -> None:
        self._store = store
        newest = store.checkpoint()
        self._size = -1 if newest is None else newest[0]
        self.root: bytes | None = None if newest is None else _parse(newest[1])[1]
        """Root hash of the log as it was then, 32 bytes."""

    def remember(self, note: bytes) -> None:
        """Keep a note if it speaks of a longer log; what is not a checkpoint is ignored."""
        size, root = _parse(note)
        if root is not None and size > self._size:
            self._store.remember_checkpoint(size, note)
            self._size, self.root = size, root


def _parse(note: bytes) -> tuple[int, bytes | None]:
    try:
        _, size, root, *_ = note.decode("utf-8").split("\n")
        digest = b64decode(root, validate=True)
        return (int(size), digest) if size.isascii() and size.isdigit() and len(digest) == 32 else (-1, None)
    except ValueError:
        return -1, None
