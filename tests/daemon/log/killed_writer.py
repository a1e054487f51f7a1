"""A process whose children write a log until they are killed. Run by test_kill: `python -m … DIRECTORY KEYS`.

For each line on stdin it forks a child, which opens the log and appends without end, and prints the room's newest
number after each acknowledged group. KEYS is a directory with the two keys of the server, in PEM.
"""

import os
import sys
from pathlib import Path

from bisik_protocol.chat.messages import JoinEntry
from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, SigningKey
from bisikd.log import Log, LogPolicy, entry_record

ROOM = "#lobby"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write_for_ever(directory: Path, identity: ServerIdentity) -> None:
    """Groups of one to four entries, small segments, frequent checkpoints: something is always in the middle."""
    policy = LogPolicy(segment_bytes=6000, checkpoint_records=7)
    log = Log.open(directory, identity, now_ms=lambda: 0, policy=policy)
    while True:
        head = log.head(ROOM)
        entries = [JoinEntry(ROOM, head + 1 + part, 0, f"tamu{head + 1 + part}") for part in range(head % 4 + 1)]
        log.append([entry_record(entry) for entry in entries])
        say("stored", entries[-1].seq)


def main(directory: Path, keys: Path) -> None:
    identity = ServerIdentity(
        SigningKey.from_pem((keys / "signing.pem").read_bytes()),
        DecryptionKey.from_pem((keys / "decryption.pem").read_bytes()),
    )
    for _ in sys.stdin:
        child = os.fork()
        if child == 0:
            say("writing", os.getpid())
            try:
                write_for_ever(directory, identity)
            finally:
                os._exit(1)  # only if the log refused; a child never ends by itself
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]))
