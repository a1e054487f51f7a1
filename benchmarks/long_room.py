"""A lobby in which very much was said, in the state directory of a daemon that has yet to start.

    python -m benchmarks.long_room STATE MESSAGES

It is as if people had said it: one author's chained and signed statements, in the log's own records. Only the clock
is made up: a message a minute, up to now. Signing is what takes the time, so every core does it.
"""

import multiprocessing
import sys
import time
from collections.abc import Iterator, Sequence
from itertools import pairwise
from pathlib import Path
from typing import Final

from bisik_protocol.chat.messages import ZERO_DIGEST, MessageEntry
from bisik_protocol.chat.names import LOBBY
from bisik_protocol.chat.statements import STATEMENT_CONTEXT, Kind, Statement, encode_statement, statement_hash
from bisik_protocol.crypto.identity import SigningKey
from bisikd.log import Log, device_record, entry_record
from bisikd.passwords import Passwords, new_login_id
from bisikd.state import StateDirectory
from bisikd.users import UserStore

AUTHOR: Final = "tama"
BETWEEN_MS: Final = 60_000
GROUP: Final = 1000
TEXT: Final = "words that somebody said in this room, " * 9


def text_of(number: int) -> str:
    """What message `number` says: one to four lines of a screen."""
    return f"message {number}: {TEXT[: number * 7 % len(TEXT)]}"


def build(path: Path, messages: int) -> None:
    """Make the state directory with the room in it."""
    device, end_ms = SigningKey.generate(), time.time_ns() // 1_000_000
    with StateDirectory.open_or_create(path) as state:
        users = UserStore.open(state.users_directory)
        users.create(AUTHOR, device.public.modulus, Passwords().hash(new_login_id()), end_ms)
        log = Log.open(state.log_directory, state.identity, now_ms=lambda: end_ms)
        log.append([device_record(AUTHOR, device.public.modulus, 0)])
        with multiprocessing.Pool(initializer=_begin, initargs=(device.to_pem(),)) as pool:
            groups = pairwise([*range(0, messages, GROUP), messages])
            statements = _statements(device.public.key_hash, messages, end_ms - messages * BETWEEN_MS)
            for first, last in groups:
                group = [next(statements) for _ in range(first, last)]
                signed = zip(group, pool.map(_sign, group, chunksize=64), strict=True)
                log.append(
                    [
                        entry_record(MessageEntry(LOBBY, seq, time_ms, AUTHOR, statement, signature))
                        for seq, ((time_ms, statement), signature) in enumerate(signed, first + 1)
                    ]
                )
        log.close()


def _statements(author: bytes, messages: int, time_ms: int) -> Iterator[tuple[int, bytes]]:
    previous = ZERO_DIGEST
    for number in range(1, messages + 1):
        time_ms += BETWEEN_MS
        statement = encode_statement(Statement(LOBBY, author, number, time_ms, Kind.SAY, text_of(number), previous))
        previous = statement_hash(statement)
        yield time_ms, statement


_key: SigningKey | None = None  # of a worker process


def _begin(pem: bytes) -> None:
    global _key  # noqa: PLW0603 # a worker has nothing else to keep it in
    _key = SigningKey.from_pem(pem)


def _sign(stated: tuple[int, bytes]) -> bytes:
    assert _key is not None
    return _key.sign(STATEMENT_CONTEXT, stated[1])


def main(arguments: Sequence[str]) -> None:
    build(Path(arguments[0]), int(arguments[1]))


if __name__ == "__main__":
    main(sys.argv[1:])
