"""Single records out of any segment, by their place: one read, one decryption, nothing kept but keys and descriptors.

It owns how many segments are open at once. No locking of its own: `store` holds a lock around it.
"""

from pathlib import Path
from typing import Final

from bisik_protocol.crypto.identity import DecryptionKey, VerifyKey
from bisikd.log.errors import LogDamaged
from bisikd.log.files import FileSystem
from bisikd.log.index import Place
from bisikd.log.recent import Recent
from bisikd.log.replay import read_record
from bisikd.log.sealing import Opened
from bisikd.log.segments import Segment, open_segment, segment_path

MAX_OPEN_SEGMENTS: Final = 64  # 64 descriptors of the usual 1024; opening one again costs a millisecond, for RSA


class Shelf:
    """The segments of one log, for reading."""

    def __init__(self, files: FileSystem, directory: Path, key: DecryptionKey, signing: VerifyKey) -> None:
        self._files = files
        self._directory = directory
        self._key = key
        self._signing = signing
        self._open: Recent[int, Segment] = Recent(MAX_OPEN_SEGMENTS, lambda segment: segment.file.close())

    def _segment(self, number: int) -> Segment:
        """Raises LogDamaged, OSError."""
        segment = self._open.get(number)
        if segment is None:
            path = segment_path(self._directory, number)
            segment = open_segment(self._files, path, number, self._key, self._signing)
            self._open.set(number, segment)
        return segment

    def read(self, place: Place) -> Opened:
        """The record there. Raises LogDamaged if it is not there, whole and authentic."""
        try:
            record = read_record(self._segment(place.segment), place.offset)
        except OSError as error:
            raise self._damaged(place, f"This cannot be read ({error.strerror or error}).") from error
        if record is None:
            raise self._damaged(place, "The record that was stored here is damaged or gone.")
        return record

    def close(self) -> None:
        self._open.clear()

    def _damaged(self, place: Place, sentence: str) -> LogDamaged:
        return LogDamaged(segment_path(self._directory, place.segment), place.offset, sentence)
