"""A process whose children write a log until they are killed. Run by `tests.soak_log.kills`: `python -m … KEYS`.

For each line on stdin, which is a log's directory, it forks a child. The child opens the log, reads the newest of it
back, says how far it goes (`opened N`), appends without end, and says the room's newest number after each group that
is acknowledged (`stored N`). KEYS is a directory with the two keys of the server, in PEM.
"""

import os
import sys
from pathlib import Path

from bisik_protocol.chat.messages import JoinEntry, decode_entry_untrusted
from bisik_protocol.crypto.identity import DecryptionKey, ServerIdentity, SigningKey
from bisikd.log import Log, LogPolicy, entry_record

ROOM = "#lobby"


def say(*words: object) -> None:
    os.write(1, (" ".join(map(str, words)) + "\n").encode())


def write_for_ever(directory: Path, identity: ServerIdentity) -> None:
    """Groups of one to four entries, small segments, frequent checkpoints: something is always in the middle."""
    policy = LogPolicy(segment_bytes=6000, checkpoint_records=7)
    log = Log.open(directory, identity, now_ms=lambda: 0, policy=policy)
    head = log.head(ROOM)
    newest = max(0, head - 10)
    found = [decode_entry_untrusted(entry).seq for entry in log.entries(ROOM, newest, 20)]
    say("opened" if found == list(range(newest + 1, head + 1)) else "damaged", head)
    while True:
        head = log.head(ROOM)
        entries = [JoinEntry(ROOM, head + 1 + part, 0, f"tamu{head + 1 + part}") for part in range(head % 4 + 1)]
        log.append([entry_record(entry) for entry in entries])
        say("stored", entries[-1].seq)


def main(keys: Path) -> None:
    identity = ServerIdentity(
        SigningKey.from_pem((keys / "signing.pem").read_bytes()),
        DecryptionKey.from_pem((keys / "decryption.pem").read_bytes()),
    )
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            say("writing", os.getpid())
            try:
                write_for_ever(Path(line.removesuffix("\n")), identity)
            finally:
                os._exit(1)  # only if the log refused; a child never ends by itself
        os.waitpid(child, 0)
        say("ended")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
