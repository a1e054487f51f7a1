"""Single records out of any segment, by their place: one read, one decryption, nothing kept but keys and descriptors.

It owns how many segments are open at once. No locking of its own: `store` holds a lock around it.
"""

from pathlib import Path
from typing import Final

from bisik_protocol.crypto.identity import DecryptionKey, VerifyKey
from bisikd.log.errors import LogDamaged
from bisikd.log.files import FileSystem
from bisikd.log.format import DROPPED_CONTEXT, HEADER_CONTEXT
from bisikd.log.index import Place
from bisikd.log.recent import Recent
from bisikd.log.replay import read_record
from bisikd.log.sealing import Opened
from bisikd.log.segments import Segment, dropped_number, dropped_path, open_segment, segment_path

MAX_OPEN_SEGMENTS: Final = 64  # 64 descriptors of the usual 1024; opening one again costs a millisecond, for RSA


class Shelf:
    """The segments of one log, for reading."""

    def __init__(self, files: FileSystem, directory: Path, key: DecryptionKey, signing: VerifyKey) -> None:
        self._files = files
        self._directory = directory
        self._key = key
        self._signing = signing
        self._dropped = dropped_number(files, directory)
        self._open: Recent[int, Segment] = Recent(MAX_OPEN_SEGMENTS, lambda segment: segment.file.close())

    def _segment(self, number: int) -> Segment:
        """Raises LogDamaged, OSError."""
        segment = self._open.get(number)
        if segment is None:
            context = DROPPED_CONTEXT if number == self._dropped else HEADER_CONTEXT
            path = self._path(number)
            segment = open_segment(self._files, path, number, self._key, self._signing, context=context)
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

    def drop(self, number: int) -> None:
        """The segments up to this one have gone, and a drop's file has come."""
        self._open.clear()
        self._dropped = number

    def _path(self, number: int) -> Path:
        return (dropped_path if number == self._dropped else segment_path)(self._directory, number)

    def close(self) -> None:
        self._open.clear()

    def _damaged(self, place: Place, sentence: str) -> LogDamaged:
        return LogDamaged(self._path(place.segment), place.offset, sentence)
