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
_DROPPED_NAME = re.compile(r"([0-9]{8,})\.dropped")
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


def dropped_path(directory: Path, number: int) -> Path:
    """The file that stands for the segments up to `number`, which are not kept any more."""
    return directory / f"{number:08}.dropped"


def dropped_number(files: FileSystem, directory: Path) -> int:
    """Up to which segment nothing is kept any more; 0 if everything is."""
    return max(
        (int(match[1]) for name in files.names(directory) if (match := _DROPPED_NAME.fullmatch(name))), default=0
    )


def list_segments(files: FileSystem, directory: Path) -> list[int]:
    """The numbers of the segments, rising from 1, or behind what was dropped, without a gap.

    Raises LogDamaged if one is missing.
    """
    dropped = dropped_number(files, directory)
    numbers = [number for number in segment_numbers(files, directory) if number > dropped]
    if dropped and not numbers:
        raise LogDamaged(segment_path(directory, dropped + 1), 0, "This segment of the log is missing.")
    for expected, number in enumerate(numbers, start=dropped + 1):
        if number != expected:
            raise LogDamaged(segment_path(directory, expected), 0, "This segment of the log is missing.")
    return numbers


def remove_unfinished(files: FileSystem, directory: Path) -> None:
    """Remove what a crash left: segments that never got their name, and those that were dropped already."""
    dropped = dropped_number(files, directory)
    for name in files.names(directory):
        old = _NAME.fullmatch(name)
        older = _DROPPED_NAME.fullmatch(name)
        superseded = (old and int(old[1]) <= dropped) or (older and int(older[1]) < dropped)
        if name.endswith(_UNFINISHED) or superseded:
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
    context: bytes = HEADER_CONTEXT,
    body: Callable[[SegmentSealer, int], bytes] | None = None,
) -> NewSegment:
    """Make segment `number`, on the disk when this returns, under a key that exists nowhere else.

    With a `body`, which is given the sealer and where to begin, it is the file of a drop, and whole.

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
    header = unsigned.signed(identity.signing.sign(context, unsigned.unsigned()))
    data = header.to_bytes()
    path = segment_path(directory, number) if body is None else dropped_path(directory, number)
    header_hash = sha256(data).digest()
    sealed = b"" if body is None else body(SegmentSealer(key, header_hash, random), len(data))
    file = _create_whole(files, path, data + sealed)
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
    files: FileSystem,
    path: Path,
    number: int,
    key: DecryptionKey,
    signing: VerifyKey,
    *,
    writable: bool = False,
    context: bytes = HEADER_CONTEXT,
) -> Segment:
    """Open segment `number` at `path`. Raises LogDamaged if it is not one that this server made, whole and for us."""
    try:
        file = files.open(path, writable=writable)
    except FileNotFoundError:
        raise LogDamaged(path, 0, "This segment of the log is missing.") from None
    try:
        header = _genuine_header(file, number, signing, context)
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


def _genuine_header(file: File, number: int, signing: VerifyKey, context: bytes = HEADER_CONTEXT) -> SegmentHeader:
    """The header that this server made for this number. Raises Malformed."""
    header = read_header(file.read(0, MAX_HEADER_BYTES))
    if not signing.verify(context, header.unsigned(), header.signature):
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
