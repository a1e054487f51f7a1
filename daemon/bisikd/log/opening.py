"""From files to a log that can be asked: recover the segments, bring the index up to them, load the newest state.

It owns what happens when index and segments do not agree: behind is normal and is caught up; unusable is thrown
away and made anew; ahead means that the log has lost what it had stored, and is refused.
"""

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from bisik_protocol.crypto.identity import ServerIdentity
from bisikd.log.catalogue import Catalogue
from bisikd.log.dropped import Dropped, open_dropped
from bisikd.log.errors import IndexDamaged, LogDamaged, LogFailed, full, sentence
from bisikd.log.facts import read_fact
from bisikd.log.files import FileSystem
from bisikd.log.format import Malformed
from bisikd.log.index import Index, Place, Watermark
from bisikd.log.ledger import Disagrees, Staged
from bisikd.log.merkle import Frontier
from bisikd.log.recovery import Recovered, Start, recover
from bisikd.log.replay import Group
from bisikd.log.segments import Segment, dropped_number, open_segment, segment_path
from bisikd.log.shelf import Shelf

GROUPS_AT_A_TIME = 512  # entered into the index in one transaction


@dataclass(frozen=True, slots=True)
class Ready:
    """A recovered log, before its new segment."""

    recovered: Recovered
    catalogue: Catalogue
    shelf: Shelf
    checkpoint: bytes | None  # the newest signed tree head


def open_recovered(files: FileSystem, directory: Path, identity: ServerIdentity, index_path: Path | None) -> Ready:
    """Recover the log in `directory`. Raises LogDamaged, LogFull, LogFailed, OSError."""
    try:
        return _open(files, directory, identity, index_path)
    except IndexDamaged:
        if index_path is None:
            raise
        index_path.unlink(missing_ok=True)  # SQLite discards a write-ahead log without its database
        return _open(files, directory, identity, index_path)


def _open(files: FileSystem, directory: Path, identity: ServerIdentity, index_path: Path | None) -> Ready:
    shelf = Shelf(files, directory, identity.decryption, identity.signing.public)
    shown = index_path or directory
    with _index_errors(shown):
        index = Index.open(index_path)
    catalogue = Catalogue(index, shelf, shown)
    try:
        with _index_errors(shown):
            start = _start(files, directory, identity, index.watermark())
            _require_same_drop(index, start, dropped_number(files, directory), shown)
        catalogue.load()
        if start is not None and index.dropped():
            dropped = open_dropped(files, directory, identity.decryption, identity.signing.public)
            catalogue.remember_dropped_at(dropped.created_ms if dropped else 0)
        feed = _Feed(catalogue, index)
        with _index_errors(shown):
            keys = identity.decryption, identity.signing.public
            recovered = recover(files, directory, *keys, start, feed.on_group, feed.on_dropped)
            feed.flush()
            place = index.checkpoint()
        checkpoint = shelf.read(place).payload if place else None
    except BaseException:
        catalogue.close()
        shelf.close()
        raise
    return Ready(recovered, catalogue, shelf, checkpoint)


def _require_same_drop(index: Index, start: Start | None, number: int, shown: Path) -> None:
    """Raises IndexDamaged for an index from before segments were dropped: it leads to where nothing is."""
    if start is not None and index.dropped() != number:
        raise IndexDamaged(shown, "The index does not know what is no longer kept.")


def _start(files: FileSystem, directory: Path, identity: ServerIdentity, mark: Watermark | None) -> Start | None:
    """Where to read on. Raises LogDamaged if the log has not got all that the index has seen in it."""
    if mark is None:
        return None
    path = segment_path(directory, mark.segment)
    segment = open_segment(files, path, mark.segment, identity.decryption, identity.signing.public)
    size = segment.file.size()
    segment.file.close()
    advice = "If an older copy of the log was put back on purpose, delete the index beside it."
    if segment.header_hash != mark.header_hash:
        raise LogDamaged(path, 0, f"This is another segment than the one that was here before. {advice}")
    if size < mark.position.offset:
        lost = f"The segment ends here, and was {mark.position.offset} bytes long: stored messages are missing."
        raise LogDamaged(path, size, f"{lost} {advice}")
    return mark.start


class _Feed:
    """Enters what recovery reads into the index, many groups to a transaction."""

    def __init__(self, catalogue: Catalogue, index: Index) -> None:
        self._catalogue = catalogue
        self._index = index
        self._mark: Watermark | None = None
        self._pending = 0

    def on_group(self, segment: Segment, group: Group, tree: Frontier) -> None:
        """Raises LogDamaged if a leaf contradicts those before it; no daemon has stored it so."""
        if self._pending == 0:
            self._index.begin()
        staged = Staged(self._catalogue)
        for leaf in group.leaves:
            try:
                staged.admit(read_fact(leaf.kind, leaf.payload))
            except (Malformed, Disagrees) as error:
                raise LogDamaged(segment.path, leaf.offset, sentence(error)) from None
        first = tree.size - len(group.leaves)
        self._catalogue.add(segment.number, first, [(leaf.offset, leaf.hash) for leaf in group.leaves], staged)
        if group.note:
            self._index.set_checkpoint(Place(segment.number, group.offset))
        self._mark = Watermark(segment.number, segment.header_hash, group.end, tree)
        self._pending += 1
        if self._pending == GROUPS_AT_A_TIME:
            self.flush()

    def on_dropped(self, dropped: Dropped) -> None:
        """Begin behind what is no longer kept."""
        self._index.begin()
        self._catalogue.begin_behind(dropped)
        self._index.commit()

    def flush(self) -> None:
        if self._mark is not None and self._pending:
            self._index.set_watermark(self._mark)
            self._index.commit()
            self._pending = 0


@contextmanager
def _index_errors(path: Path) -> Iterator[None]:
    try:
        yield
    except sqlite3.OperationalError as error:
        if error.sqlite_errorcode == sqlite3.SQLITE_FULL:
            raise full(path) from error
        raise LogFailed(f"{path}: The index cannot be written ({error}).") from error
    except sqlite3.Error as error:
        raise IndexDamaged(path, f"The index cannot be read ({error}).") from error
