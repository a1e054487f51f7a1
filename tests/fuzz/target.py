"""What is fuzzed: a plain function of bytes, the seeds to begin from, and the exceptions that may come out of it.

It knows no fuzzer: Hypothesis, the replay of the corpus and atheris call the same functions.
"""

import tempfile
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from bisik_protocol.errors import RemoteProtocolError
from bisik_protocol.wire.handshake import MAC_BYTES

MAX_INPUT_BYTES = 8192


@dataclass(frozen=True, kw_only=True)
class Target:
    """`take` may raise `refuses` and nothing else: every other exception is a finding."""

    name: str
    take: Callable[[bytes], object]
    seeds: Callable[[], list[bytes]] = lambda: [b""]
    refuses: tuple[type[Exception], ...] = (RemoteProtocolError,)

    def run(self, data: bytes) -> None:
        with suppress(*self.refuses):
            self.take(data)


# Inputs that stand for several things -----------------------------------------------------------------------------


def join(parts: list[tuple[int, bytes]]) -> bytes:
    """Numbered parts, as `split` takes them apart."""
    return b"".join(bytes((number & 0xFF,)) + len(part).to_bytes(2) + part for number, part in parts)


def split(data: bytes) -> list[tuple[int, bytes]]:
    """The parts of any bytes: a number, a length of two bytes, and as much as there is."""
    parts, at = [], 0
    while at + 3 <= len(data):
        end = at + 3 + int.from_bytes(data[at + 1 : at + 3])
        parts.append((data[at], data[at + 3 : end]))
        at = end
    return parts


def edited(pieces: list[bytes], script: bytes) -> list[bytes]:
    """Good pieces with changes: each part of the script says which piece, at which byte, and what stands there.

    What is good is made by the target itself, with keys of this process; so an input is small and stays valid.
    """
    changed = [bytearray(piece) for piece in pieces]
    for which, patch in split(script):
        piece = changed[which % len(changed)]
        if len(patch) < 2:
            del piece[len(piece) // 2 :]
            continue
        at = int.from_bytes(patch[:2]) % (len(piece) + 1)
        piece[at : at + len(patch) - 2] = patch[2:]
    return [bytes(piece) for piece in changed]


def without_mac(datagram: bytes) -> bytes:
    return datagram[:-MAC_BYTES]


@cache
def workshop() -> Path:
    """A directory for readers that want a path."""
    holder = tempfile.TemporaryDirectory(prefix="bisik-fuzz-")
    _kept.append(holder)
    return Path(holder.name)


_kept: list[object] = []


def in_file(name: str, data: bytes) -> Path:
    path = workshop() / name
    path.write_bytes(data)
    return path
