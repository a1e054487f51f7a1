"""A process that opens a log and asks it things, for `benchmarks.log`: `python -m … DIRECTORY KEYS ROOM`.

Prints one JSON object: what starting cost in time and memory, and what a page and a proof cost after it.
"""

import json
import resource
import sys
import time
from collections.abc import Callable
from pathlib import Path

from bisik_protocol.chat.checkpoint import read_checkpoint_untrusted
from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, SigningKey
from bisikd.log import Log

PAGE_ENTRIES = 50
ROUNDS = 21


def peak_mib() -> float:
    """The most memory that this process has had, MiB."""
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024


def timed_ms(action: Callable[[int], object]) -> list[float]:
    """How long each of some rounds took; the first is the cold one."""
    taken = []
    for number in range(ROUNDS):
        began = time.perf_counter()
        action(number)
        taken.append(1000 * (time.perf_counter() - began))
    return taken


def main(directory: Path, keys: Path, room: str) -> None:
    identity = ServerIdentity(
        SigningKey.from_pem((keys / "signing.pem").read_bytes()),
        DecryptionKey.from_pem((keys / "decryption.pem").read_bytes()),
    )
    before = peak_mib()
    began = time.perf_counter()
    log = Log.open(directory, identity, now_ms=lambda: time.time_ns() // 1_000_000)
    start_s = time.perf_counter() - began
    middle = log.head(room) // 2
    note = log.checkpoint()
    assert note is not None
    size = read_checkpoint_untrusted(note).size
    print(
        json.dumps(
            {
                "start_s": start_s,
                "before_mib": before,
                "start_mib": peak_mib(),
                "page_ms": timed_ms(lambda number: log.entries(room, middle + 997 * number % middle, PAGE_ENTRIES)),
                "inclusion_ms": timed_ms(lambda number: log.inclusion((size // 2 + 997 * number) % size, size)),
                "consistency_ms": timed_ms(lambda number: log.consistency((size // 2 + 997 * number) % size, size)),
                "end_mib": peak_mib(),
            }
        )
    )
    log.close()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3])
