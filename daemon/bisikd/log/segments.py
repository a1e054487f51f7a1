"""Segment files as a whole: their names, how one comes into being, and how one is opened and proved genuine.

A segment gets its name only after its header is on the disk, so a file under a segment's name has a whole header or
is damaged; there is nothing in between. It owns the unwrapping of keys. It knows nothing of groups and recovery.
"""

import re
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from errno import EIO
from hashlib import sha256
from pathlib import Path
from typing import Final

from bisik_protocol.crypto.identity import DecryptionKey, EncryptionKey, ServerIdentity, VerifyKey
from bisikd.log.errors import LogDamaged, failed, full, is_full, sentence
from bisikd.log.files import File, FileSystem
from bisikd.log.format import (
    HEADER_CONTEXT,
    KEY_BYTES,
    MAX_HEADER_BYTES,
    Malformed,
    SegmentHeader,
    WrappedKey,
    key_commitment,
    read_header,
)
from bisikd.log.merkle import Frontier
from bisikd.log.sealing import SegmentOpener, SegmentSealer

_NAME = re.compile(r"([0-9]{8,})\.segment")
_UNFINISHED: Final = ".unfinished"


@dataclass(frozen=True, slots=True)
class Segment:
    """An open segment whose header has been proved genuine."""

    path: Path
    header: SegmentHeader
    header_bytes: int
    header_hash: bytes
    file: File
    opener: SegmentOpener

    @property
    def number(self) -> int:
        return self.header.number


@dataclass(frozen=True, slots=True)
class NewSegment:
    """A segment that this process has just made, and that only it may write to."""

    segment: Segment
    sealer: SegmentSealer


def segment_path(directory: Path, number: int) -> Path:
    return directory / f"{number:08}.segment"


def segment_numbers(files: FileSystem, directory: Path) -> list[int]:
    """The numbers of the segments that are there, rising."""
    return sorted(int(match[1]) for name in files.names(directory) if (match := _NAME.fullmatch(name)))


def list_segments(files: FileSystem, directory: Path) -> list[int]:
    """The numbers of the segments, rising from 1 without a gap. Raises LogDamaged if one is missing."""
    numbers = segment_numbers(files, directory)
    for expected, number in enumerate(numbers, start=1):
        if number != expected:
            raise LogDamaged(segment_path(directory, expected), 0, "This segment of the log is missing.")
    return numbers


def remove_unfinished(files: FileSystem, directory: Path) -> None:
    """Remove what a crash left of segments that never got their name; nothing was ever stored in them."""
    for name in files.names(directory):
        if name.endswith(_UNFINISHED):
            files.remove(directory / name)


def create_segment(
    files: FileSystem,
    directory: Path,
    *,
    number: int,
    created_ms: int,
    previous_bytes: int,
    tree: Frontier,
    identity: ServerIdentity,
    auditor: EncryptionKey | None,
    random: Callable[[int], bytes],
) -> NewSegment:
    """Make segment `number`, on the disk when this returns, under a key that exists nowhere else.

    Raises LogFull or LogFailed.
    """
    key = random(KEY_BYTES)
    recipients = [identity.decryption.public, *([auditor] if auditor else [])]
    unsigned = SegmentHeader(
        number=number,
        created_ms=created_ms,
        previous_bytes=previous_bytes,
        tree_size=tree.size,
        root=tree.root(),
        fingerprint=identity.fingerprint,
        commitment=key_commitment(key),
        keys=tuple(WrappedKey(recipient=key_hash(to), wrapped=to.encrypt(key)) for to in recipients),
    )
    header = unsigned.signed(identity.signing.sign(HEADER_CONTEXT, unsigned.unsigned()))
    data = header.to_bytes()
    path = segment_path(directory, number)
    file = _create_whole(files, path, data)
    header_hash = sha256(data).digest()
    segment = Segment(path, header, len(data), header_hash, file, SegmentOpener(key, header_hash))
    return NewSegment(segment, SegmentSealer(key, header_hash, random))


def _create_whole(files: FileSystem, path: Path, data: bytes) -> File:
    """A new file that gets its name only when `data` is on the disk.

    Raises LogFull, having left nothing, or LogFailed. Even a failed fsync of the file may mean no more than "full"
    here: there is no segment then, and nothing was ever stored in it.
    """
    unfinished = path.with_suffix(_UNFINISHED)
    file: File | None = None
    try:
        file = files.create(unfinished)
        write_all(file, 0, data)
        file.sync()
        files.rename(unfinished, path)
    except OSError as error:
        if file is not None:
            file.close()
        with suppress(OSError):
            files.remove(unfinished)
        raise (full(path) if is_full(error) else failed(path, error)) from error
    try:
        files.sync_directory(path.parent)
    except OSError as error:  # now nobody knows whether the name is there
        file.close()
        raise failed(path, error) from error
    return file


def write_all(file: File, offset: int, data: bytes) -> None:
    """Write on after short writes. Raises OSError, also for a disk that takes nothing and gives no reason."""
    written = 0
    while written < len(data):
        count = file.write(offset + written, data[written:] if written else data)
        if count <= 0:
            raise OSError(EIO, "the disk took no bytes and gave no reason")
        written += count


def open_segment(
    files: FileSystem, path: Path, number: int, key: DecryptionKey, signing: VerifyKey, *, writable: bool = False
) -> Segment:
    """Open segment `number` at `path`. Raises LogDamaged if it is not one that this server made, whole and for us."""
    try:
        file = files.open(path, writable=writable)
    except FileNotFoundError:
        raise LogDamaged(path, 0, "This segment of the log is missing.") from None
    try:
        header = _genuine_header(file, number, signing)
        secret = _unwrap(header, key)
    except Malformed as error:
        file.close()
        raise LogDamaged(path, 0, sentence(error)) from None
    except BaseException:
        file.close()
        raise
    data = header.to_bytes()
    header_hash = sha256(data).digest()
    return Segment(path, header, len(data), header_hash, file, SegmentOpener(secret, header_hash))


def look_at_segment(files: FileSystem, path: Path, number: int, signing: VerifyKey) -> tuple[SegmentHeader, int]:
    """Header and length of segment `number`, without opening what is in it. Raises LogDamaged, OSError."""
    try:
        file = files.open(path, writable=False)
    except FileNotFoundError:
        raise LogDamaged(path, 0, "This segment of the log is missing.") from None
    try:
        return _genuine_header(file, number, signing), file.size()
    except Malformed as error:
        raise LogDamaged(path, 0, sentence(error)) from None
    finally:
        file.close()


def _genuine_header(file: File, number: int, signing: VerifyKey) -> SegmentHeader:
    """The header that this server made for this number. Raises Malformed."""
    header = read_header(file.read(0, MAX_HEADER_BYTES))
    if not signing.verify(HEADER_CONTEXT, header.unsigned(), header.signature):
        raise Malformed("this header was not signed by this server: it is damaged, or of another server's log")
    if header.number != number:
        raise Malformed(f"this is segment {header.number} under the name of segment {number}")
    return header


def _unwrap(header: SegmentHeader, key: DecryptionKey) -> bytes:
    """The segment's key. Raises Malformed."""
    ours = key_hash(key.public)
    for wrapped in header.keys:
        if wrapped.recipient == ours:
            secret = key.decrypt(wrapped.wrapped)
            if secret is None or key_commitment(secret) != header.commitment:
                raise Malformed("this segment's key cannot be unwrapped")
            return secret
    raise Malformed("this segment was not encrypted to this key")


def key_hash(key: EncryptionKey) -> bytes:
    """SHA-256 of the modulus: how a header names a recipient."""
    return sha256(key.modulus).digest()
