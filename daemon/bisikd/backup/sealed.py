"""A file under a password: written once from front to back, read anywhere, and not one byte believed unchecked.

    bytes 0-7     "bisikbk1"
    8-11          Argon2id memory in KiB     big-endian, as all numbers here
    12-15         passes
    16-31         salt
    then          chunks: 65,536 bytes of plaintext as AES-256-GCM and tag; only the last may be shorter

The key is Argon2id(password, salt), one lane, 32 bytes; it is this file's alone, because the salt is. A chunk's nonce
is its number, 11 bytes, and a byte that is 1 for the last chunk and 0 for all others: so chunks cannot be moved, left
out, repeated, or cut off at the end (the STREAM construction of Hoang, Reyhanitabar, Rogaway and Vizár, as age has
it). The associated data is the header. Nothing else is home-made: primitives are `cryptography`'s.
"""

import io
import os
import struct
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.kdf.argon2 import Argon2id

from bisikd.errors import BisikdError
from bisikd.passwords import Cost

MAGIC: Final = b"bisikbk1"
SALT_BYTES: Final = 16
CHUNK_BYTES: Final = 64 * 1024
TAG_BYTES: Final = 16
MAX_MEMORY_KIB: Final = 512 * 1024  # what a file that somebody else made, or that is damaged, may ask of this machine
MAX_PASSES: Final = 10
BACKUP_COST: Final = Cost(memory_kib=128 * 1024, passes=3, lanes=1)  # guessed at leisure by whoever finds the file

_HEADER: Final = struct.Struct(f">8sII{SALT_BYTES}s")
_KEPT_CHUNKS: Final = 8


class BackupError(BisikdError):
    """A backup cannot be made, opened or restored. The sentence says why, and what was kept."""


@dataclass(frozen=True, slots=True)
class _Key:
    cipher: AESGCM
    header: bytes

    @classmethod
    def of(cls, password: str, header: bytes) -> "_Key":
        _, memory_kib, passes, salt = _HEADER.unpack(header)
        kdf = Argon2id(salt=salt, length=32, iterations=passes, lanes=1, memory_cost=memory_kib)
        return cls(AESGCM(kdf.derive(password.encode())), header)


def _nonce(number: int, *, last: bool) -> bytes:
    return number.to_bytes(11) + bytes([last])


class SealedWriter(io.RawIOBase):
    """What is written to it goes to `out` encrypted. `close` writes the last chunk; `out` stays open."""

    def __init__(
        self, out: BinaryIO, password: str, *, cost: Cost = BACKUP_COST, random: Callable[[int], bytes] = os.urandom
    ) -> None:
        header = _HEADER.pack(MAGIC, cost.memory_kib, cost.passes, random(SALT_BYTES))
        self._out = out
        self._key = _Key.of(password, header)
        self._waiting = bytearray()
        self._number = 0
        out.write(header)

    def writable(self) -> bool:
        return True

    def write(self, data: "bytes | bytearray | memoryview") -> int:  # type: ignore[override] # of Buffers, these
        self._waiting += data
        while len(self._waiting) > CHUNK_BYTES:  # the last one must be known to be it
            self._put(bytes(self._waiting[:CHUNK_BYTES]), last=False)
            del self._waiting[:CHUNK_BYTES]
        return len(data)

    def close(self) -> None:
        if not self.closed:
            self._put(bytes(self._waiting), last=True)
            super().close()

    def _put(self, plaintext: bytes, *, last: bool) -> None:
        self._out.write(self._key.cipher.encrypt(_nonce(self._number, last=last), plaintext, self._key.header))
        self._number += 1


class SealedReader(io.RawIOBase):
    """The plaintext of a file, from any place. Each method raises BackupError for bytes that are not as written."""

    def __init__(self, path: Path, password: str) -> None:
        """Raises BackupError: no backup, or the wrong password, which looks like damage in the first chunk."""
        self._path = path
        try:
            self._file = path.open("rb")
        except OSError as error:
            raise BackupError(f"{path} cannot be read ({error.strerror or error}).") from None
        self._at = 0
        self._chunks: dict[int, bytes] = {}
        try:
            self._key = self._open(password)
            self.size = self._measure()
            self._chunk(0)
        except BaseException:
            self._file.close()
            raise

    def close(self) -> None:
        self._file.close()
        super().close()

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._at

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._at = offset + (0, self._at, self.size)[whence]
        return self._at

    def readinto(self, buffer: "bytearray | memoryview") -> int:  # type: ignore[override] # of Buffers, these
        data = self.read_at(self._at, len(buffer))
        buffer[: len(data)] = data
        self._at += len(data)
        return len(data)

    def read_at(self, offset: int, size: int) -> bytes:
        """`size` bytes from `offset`, fewer only at the end."""
        parts = []
        end = min(offset + size, self.size)
        while offset < end:
            number, start = divmod(offset, CHUNK_BYTES)
            part = self._chunk(number)[start : start + end - offset]
            parts.append(part)
            offset += len(part)
        return b"".join(parts)

    def _open(self, password: str) -> _Key:
        header = self._file.read(_HEADER.size)
        if len(header) != _HEADER.size or not header.startswith(MAGIC):
            raise BackupError(f"{self._path} is no backup that bisikd has made.")
        _, memory_kib, passes, _ = _HEADER.unpack(header)
        if not (8 <= memory_kib <= MAX_MEMORY_KIB and 1 <= passes <= MAX_PASSES):
            raise BackupError(f"{self._path} is damaged: no backup asks for such a key.")
        return _Key.of(password, header)

    def _measure(self) -> int:
        """How much plaintext there is: all chunks but the last are full."""
        sealed = self._path.stat().st_size - _HEADER.size
        full, rest = divmod(sealed, CHUNK_BYTES + TAG_BYTES)
        if 0 < rest < TAG_BYTES or sealed < TAG_BYTES:
            raise BackupError(f"{self._path} was cut off.")
        self._last = full - (rest == 0)
        return sealed - (self._last + 1) * TAG_BYTES

    def _chunk(self, number: int) -> bytes:
        chunk = self._chunks.get(number)
        if chunk is not None:
            return chunk
        sealed_bytes = CHUNK_BYTES + TAG_BYTES
        self._file.seek(_HEADER.size + number * sealed_bytes)
        sealed = self._file.read(sealed_bytes)
        try:
            nonce = _nonce(number, last=number == self._last)
            chunk = self._key.cipher.decrypt(nonce, sealed, self._key.header)
        except (InvalidTag, ValueError):
            why = "the password is wrong, or it is damaged" if number == 0 else "it is damaged, or was cut off"
            raise BackupError(
                f"{self._path} cannot be opened: {why} (chunk {number}). Nothing was changed."
            ) from None
        while len(self._chunks) >= _KEPT_CHUNKS:
            del self._chunks[next(iter(self._chunks))]
        self._chunks[number] = chunk
        return chunk
